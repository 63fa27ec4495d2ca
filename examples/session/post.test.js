// @ts-check
/** @import { TestContext } from 'node:test' */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestClient, createTestClock } from 'fastify-cometd/testing'
import { buildPost } from './app.js'

/** @param {TestContext} t */
async function start (t) {
  const clock = createTestClock()
  const app = await buildPost({ secret: 'a secret of the tests, long enough', cometd: { clock } })
  t.after(() => app.close())

  /** A browser with its cookies. */
  function openBrowser () {
    const cookies = new Map()

    /**
     * @param {string} url
     * @param {object} [payload]
     */
    async function post (url, payload) {
      const response = await app.inject({ method: 'POST', url, cookies: Object.fromEntries(cookies), ...(payload && { payload }) })
      for (const { name, value } of response.cookies) cookies.set(name, value)
      return response
    }

    /** A tab of the browser. */
    async function openTab () {
      const client = createTestClient(app, { cookies })
      return { client, reply: await client.handshake() }
    }

    return {
      cookies,
      openTab,
      /** @param {string} user @param {string} password */
      login: (user, password) => post('/login', { user, password }),
      logout: () => post('/logout')
    }
  }

  /** A browser in which somebody has logged in, and a tab of it. */
  async function enter (user = 'ada', password = 'lovelace') {
    const browser = openBrowser()
    assert.equal((await browser.login(user, password)).statusCode, 200)
    const { client, reply } = await browser.openTab()
    assert.equal(reply.successful, true)
    return { ...browser, client }
  }

  return { app, clock, openBrowser, enter }
}

test('there is no session without a login', async t => {
  const { openBrowser } = await start(t)
  const { cookies, login, openTab } = openBrowser()
  assert.equal((await openTab()).reply.error, '403::handshake_denied')
  assert.equal((await login('ada', 'builder')).statusCode, 401)
  assert.equal((await openTab()).reply.error, '403::handshake_denied')
  assert.equal(cookies.size, 0)

  await login('ada', 'lovelace')
  const { client, reply } = await openTab()
  assert.equal(reply.successful, true)
  assert.equal(client.session?.identity?.sub, 'ada')

  cookies.set('sessionId', 'made.up')
  assert.equal((await openTab()).reply.error, '403::handshake_denied')
})

test('a letter arrives at its addressee', async t => {
  const { enter } = await start(t)
  const [ada, bob] = [await enter(), await enter('bob', 'builder')]
  const letter = { to: 'bob', text: 'Can we fix it?' }
  assert.deepEqual(await ada.client.remoteCall('send', letter), { arrived: false })
  const inbox = await bob.client.subscribe('/inbox/bob')
  assert.deepEqual(await ada.client.remoteCall('send', letter), { arrived: true })
  assert.deepEqual((await inbox.message()).data, { from: 'ada', text: 'Can we fix it?' })
})

test('a letter has an addressee and a text', async t => {
  const { app, enter } = await start(t)
  const { client } = await enter()
  for (const to of ['nobody', '*', '{x}', 'a b', '']) {
    await assert.rejects(client.remoteCall('send', { to, text: 'Hello' }), { data: { error: 'nobody has that name' } }, to)
    assert.equal(app.cometd.getServerChannel(`/inbox/${to}`), undefined)
  }
  for (const [letter, error] of [
    [null, '400::Expected object'],
    [{ to: 'bob', text: '' }, '400:/text:Expected string length greater or equal to 1'],
    [{ to: 'bob', text: 'x'.repeat(1_001) }, '400:/text:Expected string length less or equal to 1000'],
    [{ text: 'Hello' }, '400:/to:Expected required property']
  ]) {
    await assert.rejects(client.remoteCall('send', letter), { data: error })
  }
})

test('everybody reads the own inbox only, and nobody writes into one', async t => {
  const { enter } = await start(t)
  const { client } = await enter()
  await client.subscribe('/inbox/ada')
  for (const channel of ['/inbox/bob', '/inbox/{name}', '/inbox/*', '/inbox/**', '/*', '/**', '/elsewhere']) {
    await assert.rejects(client.subscribe(channel), { message: /403:denied_by/ }, channel)
  }
  for (const channel of ['/inbox/ada', '/inbox/bob', '/service/other']) {
    assert.match(String((await client.publish(channel, { from: 'bob', text: 'Hello' })).error), /^403:denied_by_security_policy:/, channel)
  }
})

test('who logs out has left all tabs of the browser, and comes in no more', async t => {
  const { clock, enter } = await start(t)
  const { client, openTab, logout } = await enter()
  const second = (await openTab()).client
  const [elsewhere, bob] = [await enter(), await enter('bob', 'builder')]

  assert.deepEqual((await logout()).json(), { ended: 2 })
  // Of all tabs of a browser, one has a connect that is held. The others ask from time to time.
  await clock.advance(2_050)
  for (const tab of [client, second]) {
    const { error, advice } = await tab.ended
    assert.deepEqual([error, advice?.reconnect], ['401::session_revoked', 'none'])
  }
  assert.equal((await openTab()).reply.error, '403::handshake_denied')
  assert.ok(elsewhere.client.session, 'of another browser')
  assert.ok(bob.client.session)
})

test('who logs in again, perhaps as somebody else, begins anew', async t => {
  const { enter } = await start(t)
  const { client, cookies, login, openTab } = await enter()
  const { sessionId } = Object.fromEntries(cookies)
  await login('bob', 'builder')
  assert.equal((await client.ended).error, '401::session_revoked')
  assert.notEqual(cookies.get('sessionId'), sessionId)
  assert.equal((await openTab()).client.session?.identity?.sub, 'bob')
})

test('a WebSocket that was opened before a logout is of no use after it', async t => {
  const { app, enter } = await start(t)
  const { cookies, logout } = await enter()
  const socket = await app.injectWS('/cometd', { headers: { cookie: `sessionId=${cookies.get('sessionId')}` } })
  await logout()

  const reply = new Promise(resolve => socket.once('message', data => resolve(JSON.parse(String(data))[0])))
  socket.send(JSON.stringify([{ id: '1', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] }]))
  const { error } = await reply
  socket.terminate()
  assert.equal(error, '403::handshake_denied')
})
