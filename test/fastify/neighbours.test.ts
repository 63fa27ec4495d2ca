import proxy from '@fastify/http-proxy'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import { execFile, spawnSync } from 'node:child_process'
import dns from 'node:dns'
import { EventEmitter, once as nodeOnce } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Server as SocketIo } from 'socket.io'
import { io } from 'socket.io-client'
import t, { type Test } from 'tap'
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws'
import cometd from '../../plugin/index.js'
import { memoryLog, type Wire } from '../helpers/harness.js'
import { listen, post } from '../helpers/http.js'
import { clientTls, H2C, RawClient, serverTls, WEBSOCKET, written } from '../helpers/raw.js'
import { SocketClient } from '../helpers/socket.js'

const HANDSHAKE = '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]'
const UNKNOWN = '[{"channel":"/a","data":1,"clientId":"nobody"}]'

type Setup = (app: FastifyInstance) => unknown

/** An application that has routes of its own, and listens. `before` and `after` are done before and after the plugin is registered. */
async function house (t: Test, { before, after, fastify }: { before?: Setup, after?: Setup, fastify?: object } = {}): Promise<{ app: FastifyInstance, origin: string }> {
  // What is left of the options lets the compiler think of HTTP/2, too.
  const app = Fastify({ forceCloseConnections: true, ...fastify }) as unknown as FastifyInstance
  t.teardown(async () => await app.close())
  app.get('/alive', async () => 'yes')
  app.post('/size', { bodyLimit: 10_000_000 }, async request => ({ size: (request.body as string[])[0]?.length }))
  await before?.(app)
  await app.register(cometd)
  await after?.(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, origin: app.listeningOrigin }
}

/** What a server that sends back all messages says to `text`, or the status with which it refuses. */
async function echo (url: string, text: string, options?: ClientOptions): Promise<string | number> {
  const ws = new WebSocket(url.replace(/^http/, 'ws'), options)
  const refused = new Promise<number>((resolve, reject) => {
    ws.on('unexpected-response', (request, { statusCode }) => { resolve(statusCode as number); request.destroy() })
    ws.on('error', reject)
  })
  const answered = (async () => {
    await nodeOnce(ws, 'open')
    ws.send(text)
    const [data] = await nodeOnce(ws, 'message')
    ws.close()
    await nodeOnce(ws, 'close')
    return String(data)
  })()
  answered.catch(() => {})
  return await Promise.race([refused, answered])
}

function echoAll (wss: WebSocketServer): WebSocketServer {
  return wss.on('connection', ws => { ws.on('message', data => ws.send(`echo ${String(data)}`)) })
}

/** Nothing of what has happened has harmed the application, or the plugin. */
async function unharmed (t: Test, app: FastifyInstance): Promise<void> {
  const origin = app.listeningOrigin
  t.equal(await (await fetch(`${origin}/alive`)).text(), 'yes')
  t.match(JSON.parse((await post(`${origin}/cometd`, HANDSHAKE).response).body), [{ successful: true }])
  for (const path of ['/cometd', '/cometd/45.0']) {
    const client = await SocketClient.open(app, { path })
    t.match(await client.handshake(), { successful: true })
    client.ws.close()
    await client.closed
  }
}

/** A test of others who come to the HTTP server before the plugin, and of others who come after it. */
function eitherOrder (title: string, code: (t: Test, order: (setup: Setup) => object) => Promise<void>): void {
  t.test(`${title}, set up before the plugin`, async t => await code(t, before => ({ before })))
  t.test(`${title}, set up after the plugin`, async t => await code(t, after => ({ after })))
}

eitherOrder('a WebSocketServer of ws at another path of the server', async (t, order) => {
  const { app, origin } = await house(t, order(app => { echoAll(new WebSocketServer({ server: app.server, path: '/stream' })) }))
  t.equal(await echo(`${origin}/stream`, 'a'), 'echo a')
  await unharmed(t, app)
  t.equal(await echo(`${origin}/stream`, 'b'), 'echo b')
  t.equal(await echo(`${origin}/nowhere`, 'c'), 400, 'it refuses what is not its own, as it does without the plugin')

  const client = await RawClient.open(t, origin)
  t.match(await client.send(written('POST /cometd', H2C, UNKNOWN)), { status: 200, body: /session_unknown/ }, 'what is not its own, but ours')
  t.match(await client.send(written('POST /cometd/connect?x=1', H2C, UNKNOWN)), { status: 200, body: /session_unknown/ })
  t.match(await client.send(written('POST /size', H2C, '["abc"]')), { status: 405 })
})

eitherOrder('socket.io at the same port', async (t, order) => {
  const { app, origin } = await house(t, order(app => {
    const server = new SocketIo(app.server)
    server.on('connection', socket => { socket.on('ask', (text, answer) => answer(`echo ${text}`)) })
    app.addHook('preClose', async () => { server.disconnectSockets(true) })
  }))
  for (const transports of [['websocket'], ['polling', 'websocket']]) {
    const socket = io(origin, { transports, forceNew: true })
    await nodeOnce(socket as unknown as EventEmitter, 'connect')
    if (socket.io.engine.transport.name === 'polling') await nodeOnce(socket.io.engine as unknown as EventEmitter, 'upgrade')
    t.equal(await socket.emitWithAck('ask', 'a'), 'echo a')
    t.equal(socket.io.engine.transport.name, 'websocket')
    socket.close()
  }
  await unharmed(t, app)
})

async function upstream (t: Test): Promise<string> {
  const server = createServer((request, response) => { response.end(`upstream ${request.url}`) })
  echoAll(new WebSocketServer({ server }))
  server.listen(0, '127.0.0.1')
  await nodeOnce(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

eitherOrder('@fastify/http-proxy with WebSockets at a prefix', async (t, order) => {
  const there = await upstream(t)
  const { app, origin } = await house(t, order(async app => await app.register(proxy, { upstream: there, prefix: '/upstream', websocket: true })))
  t.equal(await echo(`${origin}/upstream/a`, 'a'), 'echo a')
  t.equal(await (await fetch(`${origin}/upstream/b`)).text(), 'upstream /b')
  await unharmed(t, app)
  t.equal(await echo(`${origin}/nowhere`, 'c'), 404, "alone, it takes care of what is nobody's")
  const client = await RawClient.open(t, origin)
  t.match(await client.send(written('POST /cometd', H2C, UNKNOWN)), { status: 200, body: /session_unknown/ })
})

eitherOrder('@fastify/http-proxy with WebSockets at /', async (t, order) => {
  const there = await upstream(t)
  const { app, origin } = await house(t, order(async app => await app.register(proxy, { upstream: there, prefix: '/', websocket: true })))
  t.equal(await echo(`${origin}/a`, 'a'), 'echo a')
  t.equal(await (await fetch(`${origin}/cometd/file.js`)).text(), 'upstream /cometd/file.js')
  await unharmed(t, app)
  t.equal(await echo(`${origin}/cometd.old`, 'b'), 'echo b')
  const client = await RawClient.open(t, origin)
  t.match(await client.send(written('POST /cometd', H2C, UNKNOWN)), { status: 200, body: /session_unknown/ })
})

t.test('@fastify/websocket on the root, while the plugin is in a scope', async t => {
  const { lines, logger } = memoryLog()
  const app = Fastify({ logger })
  t.teardown(async () => await app.close())
  app.get('/alive', async () => 'yes')
  await app.register(async scope => {
    await scope.register(cometd)
    t.equal(scope.hasDecorator('injectWS'), true)
  })
  await app.register(websocket)
  app.get('/echo', { websocket: true }, ws => { ws.on('message', data => ws.send(`echo ${String(data)}`)) })
  const origin = await listen(app)
  t.equal(await echo(`${origin}/echo`, 'a'), 'echo a')
  const ws = new WebSocket(`${origin.replace('http', 'ws')}/cometd`)
  await nodeOnce(ws, 'open')
  ws.send(UNKNOWN)
  t.match(String((await nodeOnce(ws, 'message'))[0]), /session_unknown/)
  ws.close()
  await nodeOnce(ws, 'close')
  t.equal(await (await fetch(`${origin}/alive`)).text(), 'yes')
  t.notOk(lines.some(({ level }) => level >= 40), 'no request was taken twice')
})

t.test('a request that would like another protocol is served as it is, if nobody takes upgrades but the plugin', async t => {
  const { app, origin } = await house(t)
  const client = await RawClient.open(t, origin)
  t.match(await client.send(written('POST /cometd', H2C, UNKNOWN)), { status: 200, body: /session_unknown/ })
  t.match(await client.send(written('POST /size', H2C, '["abc"]')), { status: 200, body: '{"size":3}' }, 'a route of the application, on the same connection')
  t.match(await client.send(written('GET /alive', H2C)), { status: 200, body: 'yes' })
  t.match(await client.send(written('GET /alive', '')), { status: 200, body: 'yes' })
  t.match(await client.send(written('GET /nowhere', WEBSOCKET)), { status: 404, body: /Route GET:\/nowhere not found/ }, 'a WebSocket that nobody has')
  t.match(await client.send(written('GET /alive', WEBSOCKET)), { status: 200, body: 'yes' })
  t.match(await client.send(written('GET /cometd', H2C)), { status: 400, body: /COMETD_ERR_TRANSPORT_UNKNOWN/ })
  t.match(await client.send(written('POST /cometd', WEBSOCKET, UNKNOWN)), { status: 200, body: /session_unknown/ })

  const large = JSON.stringify(['x'.repeat(3_000_000)])
  t.match(await client.send(written('POST /size', H2C, large)), { body: '{"size":3000000}' }, 'a body of many packets')

  client.write(`POST /size HTTP/1.1\r\nHost: test\r\n${H2C}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`)
  client.write('5\r\n["a"]\r\n')
  t.match(await client.send('0\r\n\r\n'), { body: '{"size":1}' }, 'a body in chunks')

  client.write(`POST /size HTTP/1.1\r\nHost: test\r\n${H2C}Content-Type: application/json\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n`)
  t.match(await client.answer(), { status: 100 })
  t.match(await client.send('["ab"]'), { body: '{"size":2}' }, 'a body that comes when it is asked for')

  t.match(await client.send(written('GET /alive', `Connection: close, Upgrade\r\n${H2C}`)), { headers: { connection: 'close' } })
  await client.closed
  await unharmed(t, app)
})

t.test('a connect of a client that would like HTTP/2 is held', async t => {
  const { app, origin } = await house(t)
  const client = await RawClient.open(t, origin)
  const { headers, body } = await client.send(written('POST /cometd', H2C, HANDSHAKE))
  const [{ clientId }] = JSON.parse(body) as [Wire]
  const connect = `[{"channel":"/meta/connect","connectionType":"long-polling","clientId":"${clientId}"}]`
  const cookie = `Cookie: ${headers['set-cookie']?.split(';')[0]}\r\n`
  t.match(await client.send(written('POST /cometd', H2C + cookie, connect)), { body: /"successful":true/ })
  const session = app.cometd.getServerSession(clientId)
  session?.addListener('suspended', () => { session.deliver(null, '/a', 'now') })
  t.match(await client.send(written('POST /cometd/connect', H2C + cookie, connect)), { body: /"now"/ })
})

t.test('connections over TLS are treated alike', async t => {
  for (const fastify of [{ https: serverTls }, { http2: true, https: { ...serverTls, allowHTTP1: true } }]) {
    const { app, origin } = await house(t, { fastify, after: app => { echoAll(new WebSocketServer({ server: app.server, path: '/stream' })) } })
    const client = await RawClient.open(t, origin)
    t.match(await client.send(written('POST /cometd', H2C, UNKNOWN)), { status: 200, body: /session_unknown/ })
    t.equal(await echo(`${origin}/stream`, 'a', clientTls), 'echo a')
    const ws = new WebSocket(`${origin.replace('http', 'ws')}/cometd/45.0`, clientTls)
    await nodeOnce(ws, 'open')
    ws.terminate()

    const { app: alone, origin: here } = await house(t, { fastify })
    const other = await RawClient.open(t, here)
    t.match(await other.send(written('POST /size', H2C, JSON.stringify(['x'.repeat(100_000)]))), { body: '{"size":100000}' })
    t.match(await other.send(written('GET /nowhere', WEBSOCKET)), { status: 404 })
    await alone.close()
    await app.close()
  }
})

t.test('HTTP/2 without TLS is not concerned', async t => {
  const app = Fastify({ http2: true, forceCloseConnections: true })
  t.teardown(async () => await app.close())
  await app.register(cometd)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => session.destroy())
  const [headers] = await nodeOnce(session.request({ ':path': '/cometd' }), 'response')
  t.equal(headers[':status'], 400)
})

t.test('a CONNECT request is whose it was', async t => {
  const { app, origin } = await house(t, { after: app => { app.server.on('connect', (_request, socket: Socket) => { socket.end('HTTP/1.1 200 tunnel\r\n\r\n') }) } })
  const client = await RawClient.open(t, origin)
  t.match(await client.send('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n'), { status: 200 })
  await client.closed
  await unharmed(t, app)
})

t.test('all addresses of localhost are served alike', { skip: process.platform !== 'linux' && 'other systems have no 127.0.0.2' }, async t => {
  const { lookup } = dns
  // What a machine with IPv6 says of localhost, with an address that every machine has.
  dns.lookup = ((name: string, options: { all?: boolean }, done: (err: null, found: unknown) => void) => {
    if (name !== 'localhost' || options.all !== true) return lookup(name, options, done as never)
    done(null, ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 })))
  }) as typeof lookup
  t.teardown(() => { dns.lookup = lookup })
  const app = Fastify()
  t.teardown(async () => await app.close())
  app.get('/alive', async () => 'yes')
  await app.register(cometd)
  await app.register(async scope => await scope.register(cometd, { path: '/other' }))
  await app.listen({ port: 0, host: 'localhost' })
  t.equal(app.addresses().length, 2)
  for (const { address, port } of app.addresses() as AddressInfo[]) {
    const client = await RawClient.open(t, `http://${address}:${port}`)
    t.match(await client.send(written('POST /cometd', H2C, UNKNOWN)), { status: 200, body: /session_unknown/ })
    t.match(await client.send(written('POST /cometd', H2C, UNKNOWN)), { status: 200, body: /session_unknown/ })
    t.match(await client.send(written('GET /alive', WEBSOCKET)), { status: 200, body: 'yes' })
    for (const path of ['/cometd', '/other']) {
      const ws = new WebSocket(`ws://${address}:${port}${path}`)
      await nodeOnce(ws, 'open')
      ws.terminate()
    }
    client.socket.destroy()
  }
  await app.close()
})

const curl = spawnSync('curl', ['--version'])
t.test('curl publishes with --http2', { skip: !String(curl.stdout).includes('HTTP2') && 'there is no such curl' }, async t => {
  const { app, origin } = await house(t)
  const heard = new Promise(resolve => { app.cometd.createServerChannel('/service/curl').addListener('message', (_session, _channel, { data }) => { resolve(data) }) })
  const send = async (body: string, ...args: string[]): Promise<Wire[]> => {
    const { stdout } = await promisify(execFile)('curl', ['--http2', '--silent', '--show-error', '--max-time', '20', '--json', body, ...args, `${origin}/cometd`])
    return JSON.parse(stdout)
  }
  app.cometd.options.trustClientSession = true
  const [reply] = await send(HANDSHAKE)
  const [published] = await send(JSON.stringify([{ channel: '/service/curl', data: 'x'.repeat(100_000), clientId: reply?.['clientId'] }]), '--header', 'Expect: 100-continue')
  t.match(published, { successful: true })
  t.equal(String(await heard).length, 100_000)
  await unharmed(t, app)
})

const java = spawnSync('java', ['--version'])
t.test('the HttpClient of Java publishes', { skip: java.error !== undefined && process.env['CI'] !== 'true' && 'there is no java' }, async t => {
  const { app, origin } = await house(t)
  const sizes: number[] = []
  app.cometd.createServerChannel('/java').addListener('message', (_session, _channel, { data }) => { sizes.push((data as string).length) })
  const upgrades: unknown[] = []
  app.server.on('request', (request: IncomingMessage) => { upgrades.push(request.headers.upgrade) })
  const { stdout } = await promisify(execFile)('java', [fileURLToPath(new URL('Publish.java', import.meta.url)), `${origin}/cometd`])
  t.match(stdout.split('\n'), [/^200 HTTP_1_1 .*successful":true/, /^200 HTTP_1_1 .*successful":true/, /^200 HTTP_1_1 .*successful":true/, /^200 HTTP_1_1 .*successful":true/])
  t.strictSame(sizes, [20_000, 40_000, 60_000])
  t.ok(upgrades.includes('h2c'))
  await unharmed(t, app)
})

t.test('who asks the server sees nothing of the plugin, and nothing is left of it', async t => {
  const app = Fastify()
  const { server } = app
  const connections = server.listenerCount('connection')
  await app.register(cometd)
  await app.register(async scope => await scope.register(cometd, { path: '/other' }))
  t.strictSame(server.listeners('upgrade'), [])
  const listener = (): void => {}
  server.on('upgrade', listener)
  t.equal(server.listenerCount('upgrade'), 1)
  t.equal(server.listenerCount('upgrade', () => {}), 1)
  t.equal(server.listenerCount('request'), 1)
  server.off('upgrade', listener)
  await app.close()
  for (const name of ['emit', 'listenerCount']) t.notOk(Object.hasOwn(server, name), name)
  t.equal(server.listenerCount('upgrade'), 0)
  t.equal(server.listenerCount('connection'), connections)
  t.equal(server.listenerCount('secureConnection'), Fastify().server.listenerCount('secureConnection'))
})

t.test('others may have put functions of their own in front of those of the server, and may do so later', async t => {
  for (const first of [true, false]) {
    const seen: unknown[] = []
    const observe: Setup = ({ server }) => {
      const { emit } = server
      server.emit = function (this: EventEmitter, event: string, ...args: unknown[]) {
        seen.push(event)
        return Reflect.apply(emit, this, [event, ...args])
      }
    }
    const { app } = await house(t, first ? { before: observe } : { after: observe })
    const { emit } = app.server
    await unharmed(t, app)
    t.ok(seen.includes('request'))
    await app.close()
    t.equal(app.server.emit === emit, !first, first ? 'put back' : 'left alone')
    seen.splice(0)
    const heard = nodeOnce(app.server, 'upgrade')
    app.server.emit('upgrade', { method: 'GET', url: '/cometd', headers: { upgrade: 'websocket' } })
    t.match(await heard, [{ url: '/cometd' }], 'nothing is kept from others any more')
    t.strictSame(seen, ['upgrade'])
    app.server.removeAllListeners('upgrade')
    t.equal(app.server.listenerCount('upgrade'), 0)
  }
})

t.test('where Node asks the server which requests to upgrade, it is told; what the application says counts for others', async t => {
  const theirs = (request: IncomingMessage): boolean => request.headers.upgrade === 'websocket'
  const app = Fastify({ serverFactory: handler => Object.assign(createServer(handler), { shouldUpgradeCallback: theirs }) })
  t.teardown(async () => await app.close())
  app.get('/alive', async () => 'yes')
  await app.register(cometd)
  await app.ready()
  const { server } = app
  const asked = (url: string, upgrade: string, method = 'GET'): boolean => (server as unknown as { shouldUpgradeCallback: typeof theirs }).shouldUpgradeCallback({ method, url, headers: { upgrade } } as IncomingMessage)
  t.equal(asked('/cometd', 'websocket'), true)
  t.equal(asked('/cometd/45.0', 'WebSocket'), true)
  t.equal(asked('/cometd', 'h2c', 'POST'), false)
  t.equal(asked('/other', 'websocket'), false, 'nobody listens')
  echoAll(new WebSocketServer({ server, path: '/stream' }))
  t.equal(asked('/other', 'websocket'), true)
  t.equal(asked('/other', 'h2c'), false)
  t.equal(asked('/cometd', 'h2c'), false)
  const origin = await listen(app)
  t.equal(await echo(`${origin}/stream`, 'a'), 'echo a')
  await unharmed(t, app)
  await app.close()
  t.equal((server as unknown as { shouldUpgradeCallback: unknown }).shouldUpgradeCallback, theirs)
})

t.test('hooks of @fastify/websocket run for the routes of the plugin only', async t => {
  const { app, origin } = await house(t, { after: app => { app.get('/ws', async request => ({ ws: String(request.ws) })) } })
  t.strictSame(await (await fetch(`${origin}/ws`)).json(), { ws: 'undefined' })
  t.equal(app.hasRequestDecorator('ws'), false)
  t.ok(app.websocketServer instanceof WebSocketServer)
})

t.test('a route that takes WebSockets without @fastify/websocket is refused when it is added', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  app.get('/before', async () => '')
  await app.register(cometd)
  const refused = { code: 'COMETD_ERR_WEBSOCKET_MISSING', message: "the route '/echo' takes WebSockets: register @fastify/websocket before fastify-cometd" }
  t.throws(() => app.get('/echo', { websocket: true }, () => {}), refused)
  t.throws(() => app.route({ method: 'GET', url: '/echo', handler: async () => '', wsHandler: () => {} }), refused)
  await t.rejects(async () => await app.register(async scope => { scope.get('/echo', { websocket: true }, () => {}) }, { prefix: '/in-scope' }), { code: 'COMETD_ERR_WEBSOCKET_MISSING', message: /\/in-scope\/echo/ })
})

t.test('a scope of the application may have a @fastify/websocket of its own', async t => {
  const { app, origin } = await house(t, {
    after: async app => {
      app.get('/plain', { websocket: false }, async () => 'plain')
      await app.register(async scope => {
        // Its decorators are those of the instance that it is registered on.
        await scope.register(websocket)
        scope.get('/echo', { websocket: true }, ws => { ws.on('message', data => ws.send(`echo ${String(data)}`)) })
        await scope.register(cometd, { path: '/shared' })
      })
    }
  })
  t.equal(await echo(`${origin}/echo`, 'a'), 'echo a')
  const client = await SocketClient.open(app, { path: '/shared/45.0' })
  client.raw([{ id: 'x', channel: '/a' }])
  t.match(await client.reply('x'), { error: '402::session_unknown' })
  client.ws.close()
  await client.closed
  await unharmed(t, app)
})
