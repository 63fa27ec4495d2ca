import t, { type Test } from 'tap'
import compress from '@fastify/compress'
import cookiePlugin from '@fastify/cookie'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { gunzipSync } from 'node:zlib'
import cometd, { cometdPlugin, CometDServer, errors } from '../../plugin/index.js'
import { Client, memoryLog, once, start, turn, type Wire } from '../helpers/harness.js'

t.test('the plugin is known by its name, and checks the version of Fastify', async t => {
  const { app } = await start(t)
  t.ok(app.hasPlugin('fastify-cometd'))
  t.equal(cometd, cometdPlugin)
  const dependent = Fastify()
  t.teardown(async () => await dependent.close())
  dependent.register(cometd)
  dependent.register(fp(async () => {}, { name: 'mine', dependencies: ['fastify-cometd'], decorators: { fastify: ['cometd'] } }))
  await dependent.ready()
  const meta = (cometd as unknown as Record<symbol, unknown>)[Symbol.for('plugin-meta')]
  t.match(meta, { name: 'fastify-cometd', fastify: '5.x' })
})

t.test('the decorator is there after register, awaited or not, in later plugins and child scopes', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  app.register(cometd)
  app.after(() => { t.type(app.cometd, CometDServer) })
  app.register(async child => { t.equal(child.cometd, app.cometd) }, { prefix: '/child' })
  await app.ready()
})

t.test('options may be a function of the instance', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd, () => ({ timeout: 1_234 }))
  t.equal(app.cometd.options.timeout, 1_234)
})

t.test('registered twice in one scope: a coded error', async t => {
  const app = Fastify()
  await app.register(cometd)
  await t.rejects(async () => await app.register(cometd), { code: 'COMETD_ERR_ALREADY_REGISTERED' })
  t.throws(() => { throw new errors.COMETD_ERR_ALREADY_REGISTERED() }, errors.COMETD_ERR_ALREADY_REGISTERED)
})

t.test('two scopes have two independent servers; prefix and path make the URL', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  const servers: CometDServer[] = []
  for (const [prefix, options] of [['/one', {}], ['/two', { path: '/bayeux' }]] as const) {
    await app.register(async scope => {
      await scope.register(cometd, options)
      servers.push(scope.cometd)
    }, { prefix })
  }
  const client = new Client(app)
  for (const [url, status] of [['/one/cometd', 200], ['/one/cometd/handshake', 200], ['/one/cometd/', 200], ['/two/bayeux', 200], ['/two/bayeux/connect', 200], ['/cometd', 404], ['/two/cometd', 404]] as const) {
    client.url = url
    t.equal((await client.post([{ channel: '/a' }])).statusCode, status, url)
  }
  client.url = '/one/cometd'
  const { clientId } = await client.handshake()
  t.ok(servers[0]?.getServerSession(clientId))
  t.notOk(servers[1]?.getServerSession(clientId))
})

t.test('prefix, logLevel and logSerializers given to register are honoured', async t => {
  const { lines, logger } = memoryLog()
  const app = Fastify({ logger })
  t.teardown(async () => await app.close())
  await app.register(cometd, { prefix: '/api', logLevel: 'error', logSerializers: { session: () => 'hidden' } })
  const client = new Client(app)
  client.url = '/api/cometd'
  await client.handshake()
  t.match(await client.send({ channel: 'bad' }), [{ successful: false }])
  t.strictSame(lines.filter(({ reqId }) => reqId !== undefined), [])
})

t.test('the root may be the path', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd, { path: '/' })
  for (const url of ['/', '/handshake']) t.equal((await app.inject({ method: 'POST', url, payload: [{ channel: '/a' }] })).statusCode, 200)
})

t.test('nothing leaks into the scope of the application', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd)
  app.post('/own', { schema: { body: { type: 'object', properties: { n: { type: 'integer' } } } } }, async request => request.body)
  t.strictSame((await app.inject({ method: 'POST', url: '/own', payload: { n: '5' } })).json(), { n: 5 }, 'its validator coerces')
  t.equal((await app.inject({ method: 'POST', url: '/own', headers: { 'content-type': 'text/json' }, payload: '{}' })).statusCode, 415)
  t.notOk(app.hasContentTypeParser('text/json'))
  t.strictSame(Object.keys(app.getSchemas()), [])
  t.match((await app.inject('/nowhere')).json(), { statusCode: 404 })
})

t.test('routeOptions are added: hooks, config, constraints, errorHandler, bodyLimit of the host', async t => {
  const calls: string[] = []
  const app = Fastify()
  t.teardown(async () => await app.close())
  const seen: unknown[] = []
  app.addHook('onRequest', async () => { calls.push('host') })
  app.addHook('onRoute', route => { if (route.method === 'POST') seen.push([route.url, (route.config as { mine?: number }).mine, 'body' in (route.schema as object)]) })
  await app.register(cometd, {
    routeOptions: {
      config: { mine: 1 } as never,
      constraints: { host: 'chat.example' },
      onRequest: [async () => { calls.push('route') }],
      preHandler: async (request, reply) => { calls.push('preHandler'); if (request.headers['x-stop']) await reply.code(401).send({ stop: true }) },
      errorHandler: (error, request, reply) => { reply.code(499).send({ mine: (error as { code: string }).code }) }
    }
  })
  const request = { method: 'POST', url: '/cometd', payload: [{ channel: '/a' }], headers: { host: 'chat.example' } } as const
  t.equal((await app.inject(request)).statusCode, 200)
  t.strictSame(calls, ['host', 'route', 'preHandler'])
  t.strictSame(seen, [['/cometd', 1, true], ['/cometd/*', 1, true]])
  t.strictSame((await app.inject({ ...request, headers: { ...request.headers, 'x-stop': '1' } })).json(), { stop: true })
  t.strictSame((await app.inject({ ...request, payload: [7] })).json(), { mine: 'FST_ERR_VALIDATION' })
  t.equal((await app.inject({ ...request, headers: { host: 'other' } })).statusCode, 404)
})

t.test('hooks of the application guard handshake, connect and publish, whether added before or after', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  const seen: string[] = []
  const guard = (when: string) => async (request: { headers: Record<string, unknown> }, reply: { code: (status: number) => { send: (body: unknown) => unknown } }) => {
    seen.push(when)
    if (request.headers['authorization'] !== when && request.headers['authorization'] !== 'both') return reply.code(401).send({ when })
  }
  app.addHook('onRequest', guard('before') as never)
  await app.register(cometd)
  app.addHook('onRequest', guard('after') as never)
  const client = new Client(app)
  for (const url of ['/cometd/handshake', '/cometd/connect', '/cometd/']) {
    client.url = url
    t.equal((await client.post([{ channel: '/a' }])).statusCode, 401)
    t.strictSame((await client.post([{ channel: '/a' }], { authorization: 'before' })).json(), { when: 'after' })
    t.equal((await client.post([{ channel: '/a' }], { authorization: 'both' })).statusCode, 200)
  }
})

t.test('framework errors keep the shape of the application\'s error handler', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  const client = (): Client => new Client(app)
  app.setErrorHandler((error, request, reply) => { reply.code(400).send({ own: (error as { code: string }).code, validation: (error as { validation?: unknown[] }).validation?.length }) })
  await app.register(cometd)
  t.strictSame((await client().post([{ channel: 7 }])).json(), { own: 'FST_ERR_VALIDATION', validation: 1 })
  t.strictSame((await client().post('{', { 'content-type': 'application/json' })).json(), { own: 'FST_ERR_CTP_INVALID_JSON_BODY' })
})

async function heldThrough (t: Test, prepare: (app: FastifyInstance) => Promise<void>, headers: Record<string, string>): Promise<{ response: Awaited<ReturnType<Client['post']>>, app: FastifyInstance }> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await prepare(app)
  await app.register(cometd)
  const one = await new Client(app).open()
  const suspended = once(one.session, 'suspended')
  const held = one.post([{ channel: '/meta/connect', connectionType: 'long-polling', clientId: one.clientId, id: 'h' }], headers)
  await suspended
  one.session.deliver(null, '/a', 'x'.repeat(2_000))
  return { response: await held, app }
}

t.test('@fastify/cors: held answers carry its headers, and a preflight is answered', async t => {
  const { response, app } = await heldThrough(t, async app => { await app.register(cors, { origin: ['https://page.example'], credentials: true }) }, { origin: 'https://page.example' })
  t.match(response.headers, { 'access-control-allow-origin': 'https://page.example', 'access-control-allow-credentials': 'true' })
  t.equal(response.json().length, 2)
  const preflight = await app.inject({ method: 'OPTIONS', url: '/cometd/connect', headers: { origin: 'https://page.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' } })
  t.equal(preflight.statusCode, 204)
  t.match(preflight.headers, { 'access-control-allow-origin': 'https://page.example', 'access-control-allow-headers': 'content-type' })
})

t.test('@fastify/helmet, @fastify/rate-limit and @fastify/cookie: held answers carry their headers', async t => {
  const { response } = await heldThrough(t, async app => {
    await app.register(helmet)
    await app.register(rateLimit, { max: 100 })
    await app.register(cookiePlugin)
    app.addHook('onRequest', async (request, reply) => { if (request.headers['x-theme']) reply.setCookie('theme', 'dark') })
  }, { 'x-theme': 'dark' })
  t.match(response.headers, { 'x-content-type-options': 'nosniff', 'x-ratelimit-limit': '100', 'set-cookie': 'theme=dark' })
  t.equal(response.json().length, 2)
})

t.test('@fastify/rate-limit: the limit is answered as it answers, and can be set for the route', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(rateLimit, { global: false })
  await app.register(cometd, { routeOptions: { config: { rateLimit: { max: 2, timeWindow: 60_000 } } } })
  const statuses: number[] = []
  for (let i = 0; i < 3; i++) statuses.push((await new Client(app).post([{ channel: '/a' }])).statusCode)
  t.strictSame(statuses, [200, 200, 429])
})

t.test('@fastify/compress: held answers are compressed', async t => {
  const { response } = await heldThrough(t, async app => { await app.register(compress) }, { 'accept-encoding': 'gzip' })
  t.equal(response.headers['content-encoding'], 'gzip')
  t.match(JSON.parse(gunzipSync(response.rawPayload).toString()), [{ channel: '/a' }, { id: 'h', successful: true }])
})

t.test('a plain GET is answered with 400; there is no HEAD', async t => {
  const { app } = await start(t)
  t.match((await app.inject('/cometd')).json(), { statusCode: 400, code: 'COMETD_ERR_TRANSPORT_UNKNOWN' })
  t.equal((await app.inject({ method: 'HEAD', url: '/cometd' })).statusCode, 404)
})

t.test('the log has the session, one line for the refusals of a request, and nothing that clients write', async t => {
  const { lines, logger } = memoryLog()
  const { open } = await start(t, {}, { logger })
  const one = await open()
  const secret = 'do-not-log'
  await one.send({ channel: `/${secret}`, data: secret, ext: { secret } }, { channel: secret, data: secret }, { channel: `/meta/${secret}` })
  t.match(lines.find(({ msg }) => msg === 'messages refused'), { level: 30, session: one.clientId, refused: 2, reqId: /./ })
  t.match(lines.find(({ msg }) => msg === 'session added'), { level: 20, session: one.clientId, plugin: 'fastify-cometd' })
  t.notMatch(JSON.stringify(lines.filter(({ level }) => level >= 30)), secret)
})

t.test('a poll route can be silenced without silencing the server', async t => {
  const { lines, logger } = memoryLog()
  const { open, cometd } = await start(t, { routeOptions: { logLevel: 'warn' } }, { logger })
  cometd.addListener('sessionAdded', () => { throw new Error('seen') })
  await open()
  t.strictSame(lines.filter(({ msg }) => msg === 'incoming request'), [])
  t.ok(lines.some(({ err }) => (err as Error | undefined)?.message === 'seen'))
})

t.test('time limits of the application: handlerTimeout does not cut holds, a short connectionTimeout is warned of', async t => {
  const { lines, logger } = memoryLog()
  const app = Fastify({ logger, handlerTimeout: 50, connectionTimeout: 150 } as object)
  t.teardown(async () => await app.close())
  await app.register(cometd, { timeout: 200 })
  await app.ready()
  t.match(lines.find(({ level }) => level === 40), { msg: 'connectionTimeout ends held connects before the CometD timeout does', connectionTimeout: 150 })
  const one = await new Client(app).open()
  const [reply] = await one.connect() as [Wire]
  t.equal(reply['successful'], true)
})

t.test('close() answers every held connect with the advice to come back after a random interval', async t => {
  const { open, app, cometd } = await start(t, { closeInterval: 1_000 })
  const clients = await Promise.all(Array.from({ length: 20 }, async () => await open()))
  const answers = await Promise.all(clients.map(async client => await client.hold()))
  clients[0]?.session.batch(() => {
    clients[0]?.session.deliver(null, '/a', 'last')
    app.close().catch(t.threw)
  })
  const replies = await Promise.all(answers.map(async ({ answer }) => await answer))
  t.match(replies[0]?.[0], { channel: '/a', data: 'last' })
  const intervals = new Set<number>()
  for (const reply of replies) {
    const { successful, advice } = reply.at(-1) as Wire
    t.equal(successful, true)
    t.match(advice, { reconnect: 'retry', timeout: 30_000 })
    t.ok(Number.isInteger(advice.interval) && advice.interval >= 0 && advice.interval <= 1_000)
    intervals.add(advice.interval)
  }
  t.ok(intervals.size > 3)
  t.ok(cometd.closed)
})

t.test('after close() nothing is kept, late messages are refused, late calls do nothing', async t => {
  const { open, cometd, clock, client } = await start(t)
  const one = await open()
  const { session } = one
  await one.subscribe('/a')
  const channel = cometd.createServerChannel('/a')
  const ended: unknown[] = []
  session.addListener('removed', (session, timeout, reason) => { ended.push(timeout, reason) })
  await Promise.all([cometd.close(), cometd.close()])
  t.strictSame(ended, [false, 'close'])
  t.equal(clock.countTimers(), 0)
  t.equal(cometd.getServerSession(one.clientId), undefined)
  t.equal(channel.publish(null, 1), false)
  t.equal(session.deliver(null, '/a', 1), false)
  t.match(await client().handshake(), { successful: false, error: '503::server_closed', supportedConnectionTypes: ['websocket', 'long-polling'], advice: { reconnect: 'handshake' } })
  t.match(await one.connect(), [{ successful: false, error: '503::server_closed', advice: { reconnect: 'retry' } }])
  t.match(await one.publish('/a', 1), { successful: false, error: '503::server_closed' })
  cometd.createServerChannel('/b')
  t.equal(clock.countTimers(), 0)
})

t.test('close() waits for an answer that an extension holds up, but not for ever', async t => {
  const { open, cometd, clock } = await start(t, { closeTimeout: 1_000 })
  const one = await open()
  const { answer } = await one.hold()
  let letGo = (): void => {}
  cometd.addExtension({ outgoing: async () => { await new Promise<void>(resolve => { letGo = resolve }) } })
  let closed = false
  const closing = cometd.close().then(() => { closed = true })
  cometd.close().then(() => { closed = true }, t.threw)
  await turn()
  t.notOk(closed)
  clock.tick(1_000)
  await closing
  letGo()
  t.equal((await answer).length, 1)
})
