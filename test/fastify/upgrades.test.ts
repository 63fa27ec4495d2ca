import requestContext from '@fastify/request-context'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import { once as nodeOnce } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import cometd, { type CometDPluginOptions, createCometDServer, type StandaloneCometDServer } from '../../plugin/index.js'
import { memoryLog, once, start, turn } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { SocketClient } from '../helpers/socket.js'

// The status with which an upgrade request is refused.
async function refusal (app: FastifyInstance, headers: Record<string, string> = {}, path = '/cometd'): Promise<number> {
  const origin = app.server.listening ? app.listeningOrigin : await listen(app)
  const { ws } = new SocketClient(app, origin + path, { headers })
  return await new Promise((resolve, reject) => {
    ws.on('unexpected-response', (request, response) => { resolve(response.statusCode as number); response.resume() })
    ws.on('open', () => reject(new Error('let in')))
  })
}

function bare (t: Test): FastifyInstance {
  const app = Fastify()
  t.teardown(async () => await app.close())
  return app
}

t.test("the application's onRequest hooks guard the upgrade", async t => {
  const app = bare(t)
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers.authorization !== 'Bearer good') await reply.code(401).send()
  })
  await app.register(cometd, { routeOptions: { onRequest: async (request, reply) => { if (request.headers['x-banned'] !== undefined) await reply.code(418).send() } } })
  t.equal(await refusal(app), 401)
  t.equal(await refusal(app, { authorization: 'Bearer good', 'x-banned': '1' }), 418)
  const one = await SocketClient.join(app, { headers: { authorization: 'Bearer good' } })
  t.match(await one.publish('/a', 1), { successful: true })
})

t.test('upgrade requests of ours that are refused leave no socket behind, whoever refuses them', async t => {
  const refuseAll = async (handshakeTimeout: number): Promise<{ app: FastifyInstance, closed: Promise<void> }> => {
    const app = bare(t)
    app.addHook('onRequest', async (request, reply) => { if (request.headers['x-when'] === 'before') return await reply.code(401).send() })
    await app.register(cometd, { handshakeTimeout, prefix: '/tenants/:id(^[0-9]+$)' })
    app.addHook('onRequest', async (request, reply) => { if (request.headers['x-when'] === 'after') return await reply.code(401).send() })
    await listen(app)
    const closed = new Promise<void>(resolve => {
      let count = 0
      app.server.on('connection', socket => socket.on('close', () => { if (++count === 5) resolve() }))
    })
    t.equal(await refusal(app, { 'x-when': 'before' }, '/tenants/1/cometd'), 401)
    t.equal(await refusal(app, { 'x-when': 'after' }, '/tenants/1/cometd'), 401)
    t.equal(await refusal(app, { 'x-when': 'before' }, '/tenants/1/cometd/45.0'), 401)
    t.equal(await refusal(app, { origin: 'https://evil.example' }, '/tenants/1/cometd'), 403)
    t.equal(await refusal(app, {}, '/tenants/one/cometd'), 404, 'of which the router knows better')
    return { app, closed }
  }
  const { closed } = await refuseAll(100)
  await closed

  const { app, closed: alsoClosed } = await refuseAll(10_000)
  const one = await SocketClient.open(app, { path: '/tenants/1/cometd' })
  await app.close()
  await alsoClosed
  t.equal((await one.closed).code, 1001)
})

t.test('@fastify/websocket of the application is shared, its routes and ours work side by side', async t => {
  const { lines, logger } = memoryLog()
  const app = Fastify({ logger })
  t.teardown(async () => await app.close())
  await app.register(websocket, { options: { maxPayload: 2_000_000 } })
  await app.register(cometd, { maxMessageSize: 1_000 })
  app.get('/echo', { websocket: true }, ws => { ws.on('message', data => ws.send(String(data))) })
  await listen(app)
  t.match(lines.find(({ level }) => level === 40), { maxPayload: 2_000_000, maxMessageSize: 1_000 })

  const one = await SocketClient.join(app)
  await one.connect()
  const { answer } = await one.hold()
  const echo = await SocketClient.open(app, { path: '/echo' })
  echo.raw('[{"id":"e"}]')
  t.strictSame(await echo.reply('e'), { id: 'e' })

  const large = await SocketClient.open(app)
  large.raw(' '.repeat(1_001))
  t.strictSame(await large.closed, { code: 1009, reason: 'message too big' })

  await app.close()
  t.match(await answer, { advice: { reconnect: 'retry' } }, 'held connects are answered although its sockets are closed first')
  t.equal((await one.closed).code, 1001)
  t.equal((await echo.closed).code, 1005)
})

t.test('a shared @fastify/websocket with a limit that fits is taken without a word; compression is its own business', async t => {
  const { lines, logger } = memoryLog()
  const app = Fastify({ logger })
  t.teardown(async () => await app.close())
  await app.register(websocket, { options: { maxPayload: 1_000 } })
  await t.rejects(async () => await app.register(cometd, { perMessageDeflate: true }), { code: 'COMETD_ERR_OPTION_INVALID', message: /perMessageDeflate/ })
  t.notOk(lines.some(({ level }) => level >= 40))

  const other = bare(t)
  await other.register(websocket, { options: { maxPayload: 1_000 } })
  await other.register(cometd)
  t.ok(await SocketClient.join(other))

  const strict = bare(t)
  await strict.register(websocket)
  await t.rejects(async () => await strict.register(cometd, { protocol: 'bayeux' }), { code: 'COMETD_ERR_OPTION_INVALID', message: /protocol/ })
})

t.test('several scopes have a server each, with sockets of their own', async t => {
  const app = bare(t)
  for (const prefix of ['/one', '/two']) {
    await app.register(async scope => {
      await scope.register(cometd, { prefix })
      scope.cometd.createServerChannel('/service/name').addListener('message', session => { session?.deliver(null, '/service/name', prefix) })
    })
  }
  await listen(app)
  for (const prefix of ['/one', '/two']) {
    const client = await SocketClient.open(app, { path: `${prefix}/cometd` })
    const { clientId } = await client.handshake()
    client.raw([{ id: 'x', channel: '/service/name', data: 1, clientId }])
    await client.reply('x')
    t.strictSame(client.events('/service/name'), [prefix])
  }
  await app.close()
})

t.test('WebSocket is offered below the path, too, and what the application has there stays its own', async t => {
  for (const shared of [false, true]) {
    const app = bare(t)
    if (shared) {
      await app.register(websocket)
      app.get('/api/cometd/echo', { websocket: true }, ws => { ws.on('message', data => ws.send(String(data))) })
    }
    const seen: unknown[] = []
    app.addHook('onRequest', async request => { if (request.headers.upgrade !== undefined) seen.push([request.url, request.routeOptions.url]) })
    app.get('/api/cometd/*', async () => 'a file')
    await app.register(cometd, { prefix: '/api' })
    await listen(app)
    for (const path of ['/api/cometd', '/api/cometd/45.0', '/api/cometd/', '/api/cometd/a/b?c=/d']) {
      const client = await SocketClient.open(app, { path })
      t.match(await client.handshake(), { successful: true }, path)
      client.ws.close()
      await client.closed
    }
    t.strictSame(seen, [
      ['/api/cometd', '/api/cometd'], ['/api/cometd/45.0', '/api/cometd/*'], ['/api/cometd/', '/api/cometd/*'], ['/api/cometd/a/b?c=/d', '/api/cometd/*']
    ], 'hooks see what was asked for')
    for (const path of ['/api/cometd/45.0', '/api/cometd/index.html']) t.equal((await app.inject(path)).body, 'a file')

    const ws = await app.injectWS('/api/cometd/45.0')
    ws.send('{"channel":"/a"}')
    t.match(JSON.parse(String((await nodeOnce(ws, 'message'))[0])), [{ error: '402::session_unknown' }])
    ws.terminate()

    if (!shared) continue
    const echo = await SocketClient.open(app, { path: '/api/cometd/echo' })
    echo.raw('[{"id":"e"}]')
    t.strictSame(await echo.reply('e'), { id: 'e' })
  }
})

t.test('below the path, constraints of the routes hold, and callback-polling is beside', async t => {
  const app = bare(t)
  await app.register(cometd, { transports: ['websocket', 'callback-polling'], routeOptions: { constraints: { host: 'chat.example' } } })
  t.equal(await refusal(app, { host: 'other.example' }, '/cometd/45.0'), 404)
  const client = await SocketClient.open(app, { path: '/cometd/45.0', headers: { host: 'chat.example' } })
  t.match(await client.handshake(), { successful: true })
  const plain = await app.inject({ url: '/cometd/connect?jsonp=no+name&message=%5B%5D', headers: { host: 'chat.example' } })
  t.match(plain.json(), { code: 'COMETD_ERR_CALLBACK_INVALID' })

  const polling = bare(t)
  await polling.register(cometd, { transports: ['long-polling'] })
  t.equal(await refusal(polling, {}, '/cometd/45.0'), 404)
})

t.test('several paths may contain each other', async t => {
  const app = bare(t)
  const names = ['/', '/cometd', '/cometd/inner']
  for (const path of names) {
    await app.register(async scope => {
      await scope.register(cometd, { path })
      scope.cometd.createServerChannel('/service/name').addListener('message', session => { session?.deliver(null, '/service/name', path) })
    })
  }
  await listen(app)
  for (const [url, name] of [['/', '/'], ['/a', '/'], ['/cometd/a', '/cometd'], ['/cometd/inner', '/cometd/inner'], ['/cometd/inner/a', '/cometd/inner'], ['/cometd/innermost', '/cometd']] as const) {
    const client = await SocketClient.open(app, { path: url })
    const { clientId } = await client.handshake()
    client.raw([{ id: 'x', channel: '/service/name', data: 1, clientId }])
    await client.reply('x')
    t.strictSame(client.events('/service/name'), [name], url)
  }
})

t.test('a plugin below another one has sockets, and options for them, of its own', async t => {
  const app = bare(t)
  await app.register(cometd)
  await app.register(async scope => {
    await scope.register(cometd, { path: '/strict', protocol: 'bayeux' })
    t.not(scope.websocketServer, app.websocketServer)
  })
  t.equal(await refusal(app, {}, '/strict'), 400)
  t.ok(await SocketClient.join(app))
})

t.test('injectWS reaches the server without a port', async t => {
  const { app } = await start(t)
  await app.ready()
  const ws = await app.injectWS('/cometd')
  ws.send('{"channel":"/a"}')
  const [data] = await nodeOnce(ws, 'message')
  t.match(JSON.parse(String(data)), [{ channel: '/a', successful: false, error: '402::session_unknown' }])
  // Its streams do not end by themselves.
  ws.terminate()
  await app.close()
})

t.test('allowedOrigins, as a function, is called on the Fastify instance', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  let self: unknown
  await app.register(cometd, { allowedOrigins (this: unknown) { self = this; return false } })
  await app.ready()
  await t.rejects(app.injectWS('/cometd'))
  t.equal((self as FastifyInstance).cometd, app.cometd)
})

t.test('allowedOrigins: the same host by default, a list, any, or what a function says', async t => {
  const allowed = async (allowedOrigins: CometDPluginOptions['allowedOrigins'], headers: Record<string, string>): Promise<boolean> => {
    const app = bare(t)
    await app.register(cometd, allowedOrigins === undefined ? {} : { allowedOrigins })
    try {
      const status = await refusal(app, headers)
      t.equal(status, 403)
      return false
    } catch {
      return true
    }
  }
  t.equal(await allowed(undefined, {}), true, 'what is no page has no origin')
  t.equal(await allowed(undefined, { host: 'chat.example', origin: 'https://chat.example' }), true)
  t.equal(await allowed(undefined, { host: 'chat.example:443', origin: 'https://chat.example' }), true)
  t.equal(await allowed(undefined, { host: 'chat.example:8080', origin: 'http://chat.example:8080' }), true)
  for (const origin of ['https://evil.example', 'http://chat.example:81', 'https://chat.example.evil.example', 'null', 'chat.example', '']) {
    t.equal(await allowed(undefined, { host: 'chat.example', origin }), false, origin)
  }
  t.equal(await allowed(['https://app.example'], { origin: 'https://app.example' }), true)
  t.equal(await allowed(['https://app.example'], { host: 'chat.example', origin: 'https://chat.example' }), false)
  t.equal(await allowed('*', { origin: 'https://evil.example' }), true)
  t.equal(await allowed(async origin => await Promise.resolve(origin === 'https://a.example'), { origin: 'https://a.example' }), true)
  t.equal(await allowed((origin, request) => origin !== undefined && request.headers['x-let-in'] === '1', {}), false)
})

t.test('behind a proxy that is trusted, the host that the page was loaded from counts', async t => {
  const app = Fastify({ trustProxy: true })
  t.teardown(async () => await app.close())
  await app.register(cometd)
  await listen(app)
  t.ok(await SocketClient.join(app, { headers: { host: 'internal:3000', 'x-forwarded-host': 'chat.example', origin: 'https://chat.example' } }))
})

t.test('a WebSocket that is not offered is refused at once', async t => {
  const { app } = await start(t, { transports: ['long-polling'] })
  t.equal(await refusal(app), 400)
  const shared = bare(t)
  await shared.register(websocket)
  await shared.register(cometd, { transports: ['long-polling'] })
  t.equal(await refusal(shared), 400)
  t.equal((await shared.inject('/cometd')).statusCode, 400)
})

t.test('transports: bad values are refused by name', async t => {
  for (const transports of [[], ['iframe'], ['websocket', 'websocket'], 'websocket']) {
    await t.rejects(async () => await start(t, { transports: transports as never }), { code: 'COMETD_ERR_OPTION_INVALID', message: /transports/ })
  }
  await t.rejects(async () => await start(t, { allowedOrigins: 1 as never }), { code: 'COMETD_ERR_OPTION_INVALID' })
})

t.test("messages are processed in the async context of the upgrade request, held connects' answers too", async t => {
  const app = bare(t)
  await app.register(requestContext)
  app.addHook('onRequest', async request => { request.requestContext.set('user' as never, request.headers['x-user'] as never) })
  await app.register(cometd)
  const seen: unknown[] = []
  const { cometd: server } = app
  server.createServerChannel('/a').addListener('message', async () => {
    await turn()
    seen.push(app.requestContext.get('user' as never), server.context.request?.headers['x-user'])
  })
  const one = await SocketClient.join(app, { headers: { 'x-user': 'ada' } })
  await one.publish('/a', 1)
  t.strictSame(seen, ['ada', 'ada'])
})

t.test('handlerTimeout of the application does not end sockets', async t => {
  const { app, cometd } = await start(t, { timeout: 1 }, { handlerTimeout: 20 } as never)
  const one = await SocketClient.join(app)
  await new Promise(resolve => setTimeout(resolve, 60))
  t.match(await one.publish('/a', 1), { successful: true })
  t.ok(cometd)
})

t.test('an idleTimeout that would cut held connects is warned of', async t => {
  const { lines, logger } = memoryLog()
  const { app } = await start(t, { timeout: 1_000, idleTimeout: 1_000 }, { logger })
  await app.ready()
  t.match(lines.find(({ level }) => level === 40), { idleTimeout: 1_000, timeout: 1_000 })
})

t.test('the standalone server takes upgrade requests of any HTTP server', async t => {
  const server = createCometDServer()
  const socket = await standalone(t, server)
  const client = socket()
  await nodeOnce(client.ws, 'open')
  await client.handshake()
  await client.connect()
  const { answer } = await client.hold()
  const removed = once(client.session, 'removed')
  await server.close()
  t.match(await answer, { advice: { reconnect: 'retry' } })
  t.match(await removed, [{}, false, 'close'])
  t.equal((await client.closed).code, 1001)
  t.equal((await socket().closed).code, 1001, 'one that comes late')
})

t.test('the standalone server refuses upgrade requests if WebSocket is not offered', async t => {
  const socket = await standalone(t, createCometDServer({ transports: ['long-polling'] }))
  const { ws } = socket()
  ws.on('unexpected-response', (request, response) => { response.resume() })
  const [, response] = await nodeOnce(ws, 'unexpected-response')
  t.equal(response.statusCode, 400)
})

async function standalone (t: Test, server: StandaloneCometDServer): Promise<() => SocketClient> {
  const http = createServer(server.handle).on('upgrade', server.upgrade)
  http.listen(0, '127.0.0.1')
  await nodeOnce(http, 'listening')
  t.teardown(() => http.close())
  const { port } = http.address() as AddressInfo
  return () => new SocketClient({ cometd: server } as never, `http://127.0.0.1:${port}/any/path`)
}

t.test('a client has to offer the subprotocol that the option names', async t => {
  const { app } = await start(t, { protocol: 'bayeux' })
  t.equal(await refusal(app), 400)
  t.equal(await refusal(app, { 'sec-websocket-protocol': 'chat' }), 400)
  const ws = new WebSocket(`${app.listeningOrigin.replace('http', 'ws')}/cometd`, ['chat', 'bayeux'])
  await nodeOnce(ws, 'open')
  t.equal(ws.protocol, 'bayeux')
  ws.close()

  const { app: free } = await start(t)
  const other = new WebSocket(`${(await listen(free)).replace('http', 'ws')}/cometd`, ['chat'])
  await nodeOnce(other, 'open')
  other.close()
})
