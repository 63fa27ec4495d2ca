import Fastify from 'fastify'
import { once as nodeOnce } from 'node:events'
import t from 'tap'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { Client, memoryLog, start, turn, type Wire } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { SocketClient } from '../helpers/socket.js'

const FORM = 'application/x-www-form-urlencoded'
const message = '{"channel":"/a","data":1}'
const handshake = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }

t.test('what any page can have a browser send without asking is held to the origins that are allowed; JSON has CORS for that', async t => {
  const status = async (allowedOrigins: CometDPluginOptions['allowedOrigins'], headers: Record<string, string>): Promise<number> => {
    const { client } = await start(t, allowedOrigins === undefined ? {} : { allowedOrigins })
    const form = await client().post(`message=${encodeURIComponent(message)}`, { 'content-type': FORM, host: 'chat.example', ...headers })
    const app = client().app
    const bare = await app.inject({ method: 'POST', url: '/cometd', payload: Buffer.from(message), headers: { host: 'chat.example', ...headers } })
    t.equal(bare.statusCode, form.statusCode)
    const json = await client().post(message, { 'content-type': 'application/json', host: 'chat.example', ...headers })
    t.equal(json.statusCode, 200, 'JSON is let through')
    if (form.statusCode === 403) t.match(form.json(), { code: 'COMETD_ERR_ORIGIN_FORBIDDEN' })
    return form.statusCode
  }
  t.equal(await status(undefined, {}), 200, 'what is no page')
  t.equal(await status(undefined, { origin: 'https://chat.example' }), 200)
  t.equal(await status(undefined, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await status(undefined, { origin: 'https://evil.example' }), 403)
  t.equal(await status(undefined, { origin: 'null', 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await status(undefined, { 'sec-fetch-site': 'cross-site' }), 403, 'also without an origin')
  t.equal(await status(undefined, { 'sec-fetch-site': 'same-origin' }), 200)
  t.equal(await status(['https://page.example'], { origin: 'https://page.example', 'sec-fetch-site': 'cross-site' }), 200)
  t.equal(await status(['https://page.example'], { 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await status('*', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), 200)
  t.equal(await status('*', { 'sec-fetch-site': 'cross-site' }), 200)
  t.equal(await status(() => true, { 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await status(async origin => await Promise.resolve(origin === 'https://page.example'), { origin: 'https://page.example' }), 200)
  t.equal(await status(async () => await Promise.resolve(false), {}), 403)
})

t.test('so is an upgrade request', async t => {
  const { app } = await start(t)
  await listen(app)
  const { ws } = new SocketClient(app, app.listeningOrigin + '/cometd', { headers: { 'sec-fetch-site': 'cross-site' } })
  const status = await new Promise(resolve => ws.on('unexpected-response', (request, response) => { resolve(response.statusCode); response.resume() }))
  t.equal(status, 403)
})

/** A socket of a page, and the cookie that came with the answer to its upgrade. */
async function page (app: Client['app'], headers: Record<string, string> = {}): Promise<{ socket: SocketClient, setCookie: string[] | undefined }> {
  const url = app.server.listening ? app.listeningOrigin : await listen(app)
  const socket = new SocketClient(app, url + '/cometd', { headers: { origin: url, ...headers } })
  const [[response]] = await Promise.all([nodeOnce(socket.ws, 'upgrade'), nodeOnce(socket.ws, 'open')])
  return { socket, setCookie: response.headers['set-cookie'] }
}

t.test('a page that opens a socket gets the cookie with the answer, and its session is bound to it', async t => {
  const { app, client } = await start(t)
  const { socket, setCookie } = await page(app)
  t.match(setCookie?.[0], /^BAYEUX_BROWSER=[0-9a-f]{40}; Path=\/; HttpOnly; SameSite=Lax$/)
  await socket.handshake()
  const { clientId } = socket
  const cookie = setCookie?.[0]?.split(';')[0] as string
  const publish = async (cookie: string | undefined): Promise<Wire> => {
    const one = Object.assign(client(), { cookie, clientId })
    return await one.publish('/a', 1)
  }
  t.match(await publish(undefined), { error: '402::session_unknown' })
  t.match(await publish(cookie), { successful: true })
  for (const [headers, error] of [[{}, '402::session_unknown'], [{ cookie }, undefined]] as const) {
    const other = await SocketClient.open(app, { headers })
    other.clientId = clientId
    t.equal((await other.publish('/a', 1))['error'], error)
  }
  const again = await page(app, { cookie })
  t.equal(again.setCookie, undefined, 'who has it is given no other')
  const odd = await page(app, { cookie: 'BAYEUX_BROWSER=odd' })
  t.match(odd.setCookie?.[0], /^BAYEUX_BROWSER=[0-9a-f]{40};/)
})

t.test('what is no page gets no cookie: the id of its session is good on sockets, and over HTTP with trustClientSession only', async t => {
  for (const trustClientSession of [false, true]) {
    const { app, client } = await start(t, { trustClientSession })
    const url = await listen(app)
    const socket = new SocketClient(app, url + '/cometd')
    const [[upgraded]] = await Promise.all([nodeOnce(socket.ws, 'upgrade'), nodeOnce(socket.ws, 'open')])
    t.equal(upgraded.headers['set-cookie'], undefined)
    const { clientId } = await socket.handshake()
    const other = await SocketClient.open(app)
    other.clientId = clientId
    t.match(await other.publish('/a', 1), { successful: true })
    const polling = Object.assign(client(), { clientId })
    t.match(await polling.publish('/a', 1), trustClientSession ? { successful: true } : { error: '402::session_unknown' })
    t.match((await polling.raw(handshake))[0], { successful: true })
  }
})

t.test('the cookie of a socket is Secure over HTTPS, as trustProxy sees it', async t => {
  const app = Fastify({ trustProxy: true })
  t.teardown(async () => await app.close())
  await app.register(cometd)
  const { setCookie } = await page(app, { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'chat.example', origin: 'https://chat.example' })
  t.match(setCookie?.[0], /; Secure/)
})

t.test('of several cookies of that name any may be the one that the session is bound to', async t => {
  const { app, client, open } = await start(t)
  const one = await open()
  const own = one.cookie as string
  for (const others of [['BAYEUX_BROWSER=planted'], [`BAYEUX_BROWSER=${'f'.repeat(40)}`], ['BAYEUX_BROWSER=', 'x=y', 'BAYEUX_BROWSER=a%ZZ']]) {
    for (const cookie of [[...others, own], [own, ...others]]) {
      one.cookie = cookie.join('; ')
      t.match(await one.publish('/a', 1), { successful: true }, one.cookie)
      const tab = Object.assign(client(), { cookie: one.cookie })
      const response = await tab.post([handshake])
      t.equal(response.headers['set-cookie'], undefined, 'no other is given')
      tab.clientId = response.json()[0].clientId
      t.match(await tab.publish('/a', 1), { successful: true })
      const socket = await SocketClient.open(app, { headers: { cookie: one.cookie } })
      socket.clientId = one.clientId
      t.match(await socket.publish('/a', 1), { successful: true })
    }
  }
})

t.test('a planted cookie does not shut a browser out, however many sessions whoever planted it has', async t => {
  const { app } = await start(t, { maxSessionsPerCookie: 2 }, { trustProxy: true })
  const planted = `BAYEUX_BROWSER=${'a'.repeat(40)}`
  const shake = async (address: string, cookie: string): Promise<{ reply: Wire, cookie: string }> => {
    const one = Object.assign(new Client(app), { cookie })
    const response = await one.post([handshake], { 'x-forwarded-for': address })
    return { reply: response.json()[0], cookie: one.cookie }
  }
  for (let i = 0; i < 2; i++) t.match((await shake('10.0.0.66', planted)).reply, { successful: true })
  t.match((await shake('10.0.0.66', planted)).reply, { error: '403:max_sessions_per_cookie:handshake_denied' })
  t.match((await shake('10.0.0.1', planted)).reply, { successful: true })

  const own = `BAYEUX_BROWSER=${'b'.repeat(40)}`
  for (let i = 0; i < 2; i++) t.match((await shake('10.0.0.66', `${planted}; ${own}`)).reply, { successful: true }, 'one that is full does not count')
  t.match((await shake('10.0.0.66', `${planted}; ${own}`)).reply, { successful: false })
})

t.test('browserCookieSameSite: false leaves the attribute out', async t => {
  const { client } = await start(t, { browserCookieSameSite: false })
  const response = await client().post([handshake])
  t.match(response.headers['set-cookie'], /^BAYEUX_BROWSER=[0-9a-f]{40}; Path=\/; HttpOnly$/)
})

t.test('a client that keeps no cookies is answered after a moment, and the log names the option that helps', async t => {
  const { lines, logger } = memoryLog()
  const { app, client, clock } = await start(t, {}, { logger })
  const one = client()
  await one.handshake()
  one.cookie = undefined
  const timers = clock.countTimers()
  let answered = false
  const answer = one.connect().finally(() => { answered = true })
  while (lines.filter(({ level }) => level === 40).length === 0) await turn()
  clock.tick(900)
  await turn()
  t.equal(answered, false)
  t.equal(clock.countTimers(), timers, 'no timer more')
  clock.tick(150)
  t.match(await answer, [{ successful: false, error: '402::session_unknown', advice: { reconnect: 'handshake' } }])
  t.match(lines.find(({ level }) => level === 40), { option: 'trustClientSession' })
  t.match(lines.find(({ msg }) => msg === 'messages refused'), { refused: 1, codes: ['402'] })

  t.match(await client().raw({ channel: '/meta/connect', connectionType: 'long-polling' }), [{ error: '402::session_unknown' }], 'who names none at all, too')
  for (const [what, cookie, clientId] of [['who names no session', undefined, 'nobody'], ['a message that is no connect', undefined, one.clientId]] as const) {
    const other = Object.assign(client(), { cookie, clientId })
    t.match(what === 'who names no session' ? await other.connect() : [await other.publish('/a', 1)], [{ error: '402::session_unknown' }], `${what} is answered at once`)
  }
  // There are never too many that wait.
  const waiting = Array.from({ length: 1_000 }, async () => await one.connect())
  await turn()
  await new Promise(resolve => setImmediate(resolve))
  while (lines.filter(({ msg }) => msg === 'incoming request').length < 1_005) await turn()
  const [reply] = await one.connect()
  t.match(reply, { error: '402::session_unknown' }, 'one more is answered at once')
  t.equal(lines.filter(({ level }) => level === 40).length, 1, 'said once a minute')
  const closed = app.close()
  for (const answer of await Promise.all(waiting)) t.match(answer, [{ successful: false }])
  await closed
})

t.test('a client that is not who the hooks say began its session is not told to keep cookies', async t => {
  const { lines, logger } = memoryLog()
  const { app, open } = await start(t, {}, { logger })
  app.decorateRequest('user', null)
  app.addHook('onRequest', async request => { if (request.headers['x-user'] !== undefined) Object.assign(request, { user: { sub: request.headers['x-user'] } }) })
  const one = await open()
  const response = await one.post([{ channel: '/meta/connect', connectionType: 'long-polling', clientId: one.clientId }], { 'x-user': 'bob' })
  t.match(response.json(), [{ error: '402::session_unknown' }])
  t.notOk(lines.some(({ level }) => level === 40))
})

t.test('a status that a hook sets does not have messages sent again', async t => {
  const { app, open } = await start(t)
  let status = 200
  app.addHook('preHandler', async (request, reply) => { reply.code(201) })
  app.addHook('onSend', async (request, reply) => { if (status !== 200) reply.code(status) })
  const one = await open()
  const session = one.session
  t.equal((await one.post([{ channel: '/a', clientId: one.clientId, data: 1 }])).statusCode, 200, 'clients take no other for an answer')
  status = 203
  session.deliver(null, '/a', 1)
  const response = await one.post([{ channel: '/meta/connect', connectionType: 'long-polling', clientId: one.clientId }])
  t.equal(response.statusCode, 203)
  t.equal(response.json().length, 2)
  t.equal(session.queueLength, 0)
  await turn()
  t.equal(session.queueLength, 0)
})
