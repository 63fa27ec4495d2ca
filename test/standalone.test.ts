import t, { type Test } from 'tap'
import { once as nodeOnce } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createCometDServer, type StandaloneCometDServer } from '../plugin/index.js'
import { once, type Wire } from './helpers/harness.js'
import { post } from './helpers/http.js'

async function serve (t: Test, listener: RequestListener): Promise<{ server: Server, url: string }> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await nodeOnce(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function open (url: string): Promise<{ clientId: string, send: (message: Wire) => Promise<Wire[]> }> {
  const { headers, body } = await post(url, [{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }]).response
  const cookie = (headers['set-cookie'] as string[])[0]?.split(';')[0] as string
  const { clientId } = JSON.parse(body)[0]
  const send = async (message: Wire): Promise<Wire[]> => JSON.parse((await post(url, [{ clientId, ...message }], { cookie }).response).body)
  await send({ channel: '/meta/connect', connectionType: 'long-polling' })
  return { clientId, send }
}

async function converse (server: StandaloneCometDServer, url: string): Promise<Wire[]> {
  const { clientId, send } = await open(url)
  await send({ channel: '/meta/subscribe', subscription: '/a' })
  const session = server.getServerSession(clientId)
  const suspended = once(session as never, 'suspended')
  const held = send({ channel: '/meta/connect', connectionType: 'long-polling', id: 'h' })
  await suspended
  server.createServerChannel('/a').publish(null, '€')
  return await held
}

t.test('http.createServer(server.handle) is a CometD server, whatever the path, from the first request on', async t => {
  const server = createCometDServer({ timeout: 10_000 })
  t.teardown(async () => await server.close())
  const { url } = await serve(t, server.handle)
  t.equal(server.options.timeout, 10_000)
  for (const path of ['', '/cometd', '/any/path?x=1', '//', '/cometd/handshake']) {
    t.strictSame(await converse(server, url + path), [{ channel: '/a', data: '€' }, { channel: '/meta/connect', id: 'h', successful: true }], path)
  }
})

t.test('a request that comes before the server is ready waits for it', async t => {
  const { url } = await serve(t, (request, response) => {
    const server = createCometDServer()
    t.teardown(async () => await server.close())
    server.handle(request, response)
  })
  const { body } = await post(url, [{ channel: '/a', data: 1 }]).response
  t.match(JSON.parse(body), [{ error: '402::session_unknown' }])
})

t.test('a body that something before the server has read is taken from request.body', async t => {
  const server = createCometDServer()
  t.teardown(async () => await server.close())
  const parse: Array<(text: string) => unknown> = [text => JSON.parse(text), text => text, text => Buffer.from(text)]
  for (const parser of parse) {
    const { url } = await serve(t, (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', chunk => chunks.push(chunk)).on('end', () => {
        (request as IncomingMessage & { body: unknown }).body = parser(Buffer.concat(chunks).toString())
        server.handle(request, response)
      })
    })
    t.equal((await converse(server, url)).length, 2)
    t.equal((await post(url, '[7]').response).status, 400)
  }
})

t.test('each call makes a server of its own', async t => {
  const servers = [createCometDServer({ timeout: 1_000 }), createCometDServer()]
  const urls = await Promise.all(servers.map(async ({ handle }) => (await serve(t, handle)).url))
  const { clientId } = await open(urls[0] as string)
  t.ok(servers[0]?.getServerSession(clientId))
  t.notOk(servers[1]?.getServerSession(clientId))
  t.equal(servers[1]?.options.timeout, 30_000)
  await Promise.all(servers.map(async server => await server.close()))
})

t.test('close() answers held connects', async t => {
  const server = createCometDServer()
  const { url } = await serve(t, server.handle)
  const { clientId, send } = await open(url)
  const suspended = once(server.getServerSession(clientId) as never, 'suspended')
  const held = send({ channel: '/meta/connect', connectionType: 'long-polling' })
  await suspended
  await server.close()
  t.match(await held, [{ successful: true, advice: { reconnect: 'retry' } }])
})

t.test('context has the request and the response', async t => {
  const server = createCometDServer()
  t.teardown(async () => await server.close())
  const { url } = await serve(t, server.handle)
  server.createServerChannel('/service/a').addListener('message', (session, channel, message, callback) => {
    server.context.response?.setHeader('X-My-Header', `foo ${server.context.request?.headers['x-mine']}`)
    callback()
  })
  const { clientId } = await open(url)
  server.options.trustClientSession = true
  const { headers } = await post(url, [{ channel: '/service/a', data: 1, clientId }], { 'x-mine': 'bar' }).response
  t.equal(headers['x-my-header'], 'foo bar')
})

t.test('what is not a POST is answered with 400, a bad option is thrown', async t => {
  const server = createCometDServer({ logLevel: 'silent', bodyLimit: 100 })
  t.teardown(async () => await server.close())
  const { url } = await serve(t, server.handle)
  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) t.equal((await fetch(url + '/x', { method })).status, 400)
  t.equal((await post(url, 'x'.repeat(200)).response).status, 413)
  t.throws(() => createCometDServer({ timeout: -1 }), { code: 'COMETD_ERR_OPTION_INVALID' })
  t.throws(() => createCometDServer({ routeOptions: {}, nonsense: 1 } as never), { code: 'COMETD_ERR_OPTION_INVALID' })
})
