import t from 'tap'
import { start } from '../helpers/harness.js'

const handshake = [{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }]

t.test('a handshake without a cookie gets one; one with a cookie keeps it, so that all tabs of a browser share it, after a restart, too', async t => {
  const { open, client } = await start(t)
  const response = await client().post(handshake)
  t.match(response.headers['set-cookie'], /^BAYEUX_BROWSER=[0-9a-f]{40}; Path=\/; HttpOnly; SameSite=Lax$/)
  const one = await open()
  const again = await one.post(handshake)
  t.notOk('set-cookie' in again.headers)
  t.equal(again.json()[0].successful, true)

  const restarted = await start(t)
  const tabs = [restarted.client(), restarted.client()]
  for (const tab of tabs) tab.cookie = one.cookie
  for (const tab of tabs) t.notOk('set-cookie' in (await tab.post(handshake)).headers)
})

t.test('a cookie value that the server would not give is not taken over', async t => {
  const { client } = await start(t)
  for (const value of ['chosen-by-somebody', '__proto__', 'constructor', '%', '', 'a'.repeat(41), 'A'.repeat(40)]) {
    const response = await client().post(handshake, { cookie: `BAYEUX_BROWSER=${value}` })
    t.match(response.headers['set-cookie'], /^BAYEUX_BROWSER=[0-9a-f]{40};/)
    t.equal(response.json()[0].successful, true)
  }
})

t.test('a session is used with the cookie it is bound to; anything else is 402 and changes nothing', async t => {
  const { open, client, clock } = await start(t)
  const [one, other] = [await open(), await open()]
  const thief = client()
  thief.clientId = one.clientId
  const { answer } = await one.hold()
  for (const cookie of [undefined, other.cookie, 'BAYEUX_BROWSER=__proto__', 'BAYEUX_BROWSER=', 'x=y']) {
    thief.cookie = cookie
    for (const message of [{ channel: '/a', data: 1 }, { channel: '/meta/subscribe', subscription: '/a' }, { channel: '/meta/disconnect' }, { channel: '/meta/connect', connectionType: 'long-polling' }]) {
      const answer = thief.send(message)
      // A connect is answered after a moment only.
      const time = setInterval(() => clock.tick(200), 5)
      t.match(await answer.finally(() => clearInterval(time)), [{ successful: false, error: '402::session_unknown' }])
    }
  }
  t.ok(one.session.held, 'not even displaced')
  t.strictSame(one.session.subscriptions, [])
  one.session.deliver(null, '/a', 1)
  await answer
})

t.test('a planted cookie opens nothing: the clientId is needed, too', async t => {
  const { open, client } = await start(t)
  const victim = await open()
  const thief = client()
  thief.cookie = victim.cookie
  await thief.handshake()
  for (const clientId of [undefined, '', '__proto__', victim.clientId.slice(1)]) {
    t.match(await thief.raw({ channel: '/a', data: 1, clientId }), [{ successful: false, error: '402::session_unknown' }])
  }
})

t.test('with trustClientSession the clientId is enough', async t => {
  const { client } = await start(t, { trustClientSession: true })
  const one = await client().open()
  one.cookie = undefined
  t.match(await one.publish('/a', 1), { successful: true })
  const { answer } = await one.hold()
  one.session.deliver(null, '/a', 1)
  t.equal((await answer).length, 2)
})

t.test('the attributes of the cookie are options', async t => {
  const { client, cometd } = await start(t, {
    browserCookieName: 'MINE',
    browserCookieDomain: 'example.com',
    browserCookiePath: '/app',
    browserCookieMaxAge: 60,
    browserCookieHttpOnly: false,
    browserCookieSecure: true,
    browserCookieSameSite: 'None',
    browserCookiePartitioned: true
  })
  t.match((await client().post(handshake)).headers['set-cookie'], /^MINE=\w+; Max-Age=60; Domain=example\.com; Path=\/app; Secure; Partitioned; SameSite=None$/)
  const one = await client().open()
  t.match(await one.publish('/a', 1), { successful: true })
  cometd.options.browserCookieSecure = false
  cometd.options.browserCookieSameSite = 'Strict'
  t.match((await client().post(handshake)).headers['set-cookie'], /^MINE=\w+; Max-Age=60; Domain=example\.com; Path=\/app; Partitioned; SameSite=Strict$/)
})

t.test('the cookie is Secure when the request came over HTTPS, as trustProxy sees it', async t => {
  const { client } = await start(t, {}, { trustProxy: true })
  t.match((await client().post(handshake, { 'x-forwarded-proto': 'https' })).headers['set-cookie'], /Secure/)
  t.notMatch((await client().post(handshake)).headers['set-cookie'], /Secure/)
})

t.test('a refused handshake gives no cookie', async t => {
  const { client, cometd } = await start(t)
  cometd.policy = { canHandshake: () => false }
  t.notOk('set-cookie' in (await client().post(handshake)).headers)
})

t.test('a cookie that the application sets in a hook reaches the client beside ours', async t => {
  const { app, client } = await start(t)
  app.addHook('onRequest', async (request, reply) => { reply.header('set-cookie', 'session=1') })
  const { headers } = await client().post(handshake)
  t.match(headers['set-cookie'], ['session=1', /^BAYEUX_BROWSER=/])
})
