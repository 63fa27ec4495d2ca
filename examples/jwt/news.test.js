// @ts-check
/** @import { TestContext } from 'node:test' */
/** @import { TestClient } from 'fastify-cometd/testing' */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestClient, createTestClock } from 'fastify-cometd/testing'
import { buildNews } from './app.js'

const LIFETIME = 60 // seconds

/** @param {TestContext} t */
async function start (t) {
  // @fastify/jwt looks at the time of day: what it signs begins now, whatever the clock of the test says.
  const clock = createTestClock({ date: Date.now() })
  const app = await buildNews({ secret: 'of the tests', lifetime: LIFETIME, cometd: { clock } })
  t.after(() => app.close())

  /**
   * @param {string} user
   * @param {string} password
   */
  async function login (user, password) {
    return await app.inject({ method: 'POST', url: '/login', payload: { user, password } })
  }

  /** @param {unknown} authentication */
  async function knock (authentication) {
    const client = createTestClient(app)
    return { client, reply: await client.handshake({ ext: { authentication } }) }
  }

  /**
   * A client with a session.
   *
   * @param {string} user
   */
  async function open (user, expiresIn = LIFETIME) {
    const { client, reply } = await knock(app.jwt.sign({ sub: user }, { expiresIn }))
    assert.equal(reply.successful, true)
    return client
  }

  return { app, clock, login, knock, open }
}

/**
 * Has a client send a token with its next connect. Gives what the server says of authentication.
 *
 * @param {TestClient} client
 */
function authentication (client) {
  /** @type {{ said: any[], token: string | undefined }} */
  const authentication = { said: [], token: undefined }
  client.addExtension({
    outgoing (message) {
      if (message.channel !== '/meta/connect' || authentication.token === undefined) return
      message.ext = { authentication: authentication.token }
      authentication.token = undefined
    },
    incoming ({ ext }) {
      if (ext?.authentication !== undefined) authentication.said.push(ext.authentication)
    }
  })
  return authentication
}

test('who logs in gets a token, and a session with it', async t => {
  const { login, knock } = await start(t)
  const { token } = (await login('ada', 'lovelace')).json()
  const { client, reply } = await knock(token)
  assert.equal(reply.successful, true)
  assert.equal(client.session?.identity?.sub, 'ada')
})

test('who does not know the password gets none', async t => {
  const { app, login } = await start(t)
  for (const user of ['bob', 'nobody']) {
    const { statusCode, body } = await login(user, 'lovelace')
    assert.deepEqual([statusCode, body], [401, '{"error":"wrong name or password"}'])
  }
  assert.equal((await app.inject({ method: 'POST', url: '/login', payload: { user: 'nobody' } })).statusCode, 400)
})

test('there is no session without a good token', async t => {
  const { app, knock } = await start(t)
  const token = app.jwt.sign({ sub: 'ada' }, { expiresIn: LIFETIME })
  const others = await buildNews({ secret: 'of others' })
  const bad = [
    undefined, null, 5, {}, '', 'ada', token.slice(0, -1), `${token.split('.').slice(0, 2).join('.')}.`,
    others.jwt.sign({ sub: 'ada' }), app.jwt.sign({ sub: 'nobody' }), app.jwt.sign({ sub: 'ada', exp: Math.floor(Date.now() / 1_000) - 1 })
  ]
  for (const authentication of bad) {
    const { reply } = await knock(authentication)
    assert.equal(reply.error, '403::handshake_denied', JSON.stringify(authentication))
    assert.equal(reply.advice?.reconnect, 'none')
  }
  assert.equal(app.cometd.statistics.sessions, 0)
})

test('editors write news, and everybody reads them', async t => {
  const { open } = await start(t)
  const [ada, bob] = [await open('ada'), await open('bob')]
  const news = await bob.subscribe('/news')
  const story = { title: 'Rain', text: 'It is raining.' }
  assert.equal((await bob.publish('/news', story)).error, '403:denied_by_role:publish_denied')
  assert.equal((await ada.publish('/news', story)).successful, true)
  assert.deepEqual((await news.message()).data, story)
})

test('news have a title and a text', async t => {
  const { open } = await start(t)
  const ada = await open('ada')
  for (const [story, error] of [
    ['Rain', '400::Expected object'],
    [{ title: 'Rain' }, '400:/text:Expected required property'],
    [{ title: '', text: '' }, '400:/title:Expected string length greater or equal to 1'],
    [{ title: 'Rain', text: 'x'.repeat(10_001) }, '400:/text:Expected string length less or equal to 10000']
  ]) {
    assert.equal((await ada.publish('/news', story)).error, error)
  }
})

test('there is nothing else', async t => {
  const { open } = await start(t)
  const ada = await open('ada')
  for (const channel of ['/news/more', '/*', '/**']) await assert.rejects(ada.subscribe(channel), { message: /403:denied_by/ }, channel)
  for (const channel of ['/news/more', '/service/news']) assert.match(String((await ada.publish(channel, {})).error), /^403:denied_by/, channel)
})

test('a client that is asked for a new token and sends one keeps its session', async t => {
  const { app, clock, open } = await start(t)
  const bob = await open('bob')
  const { clientId } = bob
  const news = await bob.subscribe('/news')
  const answer = authentication(bob)
  await clock.advance(48_000)
  assert.equal(answer.said.length, 0)
  await clock.advance(7_000)
  assert.equal(answer.said[0]?.required, true)

  answer.token = app.jwt.sign({ sub: 'bob' }, { expiresIn: 2 * LIFETIME })
  await clock.advance(2_000)
  assert.deepEqual(answer.said.at(-1), { successful: true })
  await clock.advance(50_000)
  assert.equal(bob.clientId, clientId)
  app.cometd.createServerChannel('/news').publish(null, { title: 'Rain', text: 'It is still raining.' })
  assert.ok(await news.message())
})

test('a client that sends none, or that of somebody else, has to log in again', async t => {
  const { app, clock, open } = await start(t)
  const [ada, bob] = [await open('ada'), await open('bob')]
  const answer = authentication(bob)
  await clock.advance(55_000)
  answer.token = app.jwt.sign({ sub: 'ada' }, { expiresIn: 2 * LIFETIME })
  await clock.advance(20_000)
  assert.deepEqual(answer.said.flatMap(({ error }) => error ?? []), ['401::authentication_failed'])
  for (const { ended } of [ada, bob]) {
    const { error, advice } = await ended
    assert.deepEqual([error, advice?.reconnect], ['401::identity_expired', 'none'])
  }
})

test('who gives up an account loses all sessions, and the use of the token', async t => {
  const { app, knock, open } = await start(t)
  const [one, other, ada] = [await open('bob'), await open('bob'), await open('ada')]
  const token = app.jwt.sign({ sub: 'bob' }, { expiresIn: LIFETIME })

  /** @param {string} name */
  const remove = async (name, headers = {}) => await app.inject({ method: 'DELETE', url: `/people/${name}`, headers })
  assert.equal((await remove('bob')).statusCode, 401)
  assert.equal((await remove('ada', { authorization: `Bearer ${token}` })).statusCode, 403)
  assert.deepEqual((await remove('bob', { authorization: `Bearer ${token}` })).json(), { ended: 2 })

  for (const { ended } of [one, other]) assert.equal((await ended).error, '401::session_revoked')
  assert.equal((await knock(token)).reply.error, '403::handshake_denied')
  assert.ok(ada.session)
})
