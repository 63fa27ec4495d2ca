// @ts-check
/** @import { TestContext } from 'node:test' */
/** @import { Messages } from 'fastify-cometd/testing' */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestClient, createTestClock } from 'fastify-cometd/testing'
import { buildChat } from './app.js'

/** @param {TestContext} t */
async function start (t) {
  const clock = createTestClock()
  const app = await buildChat({ cometd: { clock } })
  t.after(() => app.close())

  /** @param {unknown} chat what a page says of itself */
  async function knock (chat) {
    const client = createTestClient(app)
    return { client, reply: await client.handshake({ ext: { chat } }) }
  }

  /** Somebody who was let in. */
  async function enter (name = 'Ada', key = `the key of ${name}`.padEnd(16)) {
    const { client, reply } = await knock({ name, key })
    assert.equal(reply.successful, true)
    const me = /** @type {{ id: string, name: string }} */ (reply.ext?.chat)
    return { client, me, whispers: client.messages('/service/chat/whisper'), join: (room = 'lobby') => client.subscribe(`/chat/rooms/${room}`) }
  }

  /**
   * What has come since the last time.
   *
   * @template Data
   * @param {Messages<Data>} messages
   */
  async function heard (messages) {
    await clock.advance(0)
    return messages.take().map(({ data }) => data)
  }

  return { app, clock, knock, enter, heard }
}

test('who comes in needs a name and a key', async t => {
  const { knock } = await start(t)
  const key = 'k'.repeat(16)
  const strangers = [
    undefined, null, 'Ada', {}, { name: 'Ada' }, { key }, { name: '', key }, { name: ' \u200b\n', key }, { name: 5, key }, { name: 'a'.repeat(25), key },
    { name: 'Ada', key: 'short' }, { name: 'Ada', key: 'k'.repeat(65) }, { name: 'Ada', key: 16 }
  ]
  for (const stranger of strangers) {
    const { reply } = await knock(stranger)
    assert.equal(reply.error, '403::handshake_denied', JSON.stringify(stranger))
    assert.equal(reply.advice?.reconnect, 'none')
  }
})

test('everybody has a name of one line, and nobody else has it', async t => {
  const { enter } = await start(t)
  const chosen = ['  Grace\n\u0000 Hopper ', 'Grace Hopper', 'grace hopper', 'Linus']
  const people = await Promise.all(chosen.map((name, i) => enter(name, `the key of page ${i}`)))
  assert.deepEqual(people.map(({ me }) => me.name), ['Grace Hopper', 'Grace Hopper 2', 'grace hopper 3', 'Linus'])
})

test('a page that comes again with its key is the same person', async t => {
  const { enter, heard } = await start(t)
  const [before, grace] = [await enter('Ada', 'made up by the page'), await enter('Grace')]
  const lobby = await grace.join()
  await before.join()
  const after = await enter('Ada', 'made up by the page')
  assert.deepEqual(after.me, before.me)
  assert.equal((await before.client.ended).advice?.reconnect, 'none')
  assert.deepEqual((await heard(lobby)).at(-1), { type: 'left', member: before.me, version: 3 })

  assert.notEqual((await enter('Ada', 'made up by another')).me.id, before.me.id)
})

test('who joins a room hears who is there, and the others hear who comes and goes', async t => {
  const { clock, enter, heard } = await start(t)
  const [ada, grace, linus] = [await enter('Ada'), await enter('Grace'), await enter('Linus')]
  const lobby = await ada.join()
  assert.deepEqual(await heard(lobby), [
    { type: 'joined', member: ada.me, version: 1 },
    { type: 'members', members: [ada.me], version: 1 }
  ])

  const lobbyOfGrace = await grace.join()
  assert.deepEqual((await heard(lobbyOfGrace)).at(-1), { type: 'members', members: [ada.me, grace.me], version: 2 })
  await linus.join()
  await lobbyOfGrace.unsubscribe()
  await linus.client.drop()
  assert.deepEqual(await heard(lobby), [
    { type: 'joined', member: grace.me, version: 2 },
    { type: 'joined', member: linus.me, version: 3 },
    { type: 'left', member: grace.me, version: 4 }
  ])
  await clock.advance(10_050)
  assert.deepEqual(await heard(lobby), [{ type: 'left', member: linus.me, version: 5 }], 'one whose network has gone')
})

test('nobody learns a key, or the id of a session', async t => {
  const { enter, heard } = await start(t)
  const [ada, grace] = [await enter('Ada'), await enter('Grace')]
  const lobby = await grace.join()
  await ada.join()
  const everything = JSON.stringify(await heard(lobby))
  assert.match(everything, new RegExp(ada.me.id))
  assert.doesNotMatch(everything, /the key of/)
  assert.doesNotMatch(everything, new RegExp(String(ada.client.clientId)))
})

test('everybody hears which rooms there are, and how many people are in them', async t => {
  const { enter, heard } = await start(t)
  const [ada, grace] = [await enter('Ada'), await enter('Grace')]
  const list = await ada.client.subscribe('/chat/rooms')
  const permanent = [{ name: 'lobby', people: 0 }, { name: 'coffee', people: 0 }, { name: 'help', people: 0 }]
  assert.deepEqual(await heard(list), [{ rooms: permanent, version: 0 }])

  const cafe = await grace.join('cafe')
  assert.deepEqual(await heard(list), [{ rooms: [...permanent, { name: 'cafe', people: 1 }], version: 1 }])
  await cafe.unsubscribe()
  assert.deepEqual(await heard(list), [{ rooms: permanent, version: 2 }], 'an empty room is closed')
  const lobby = await grace.join()
  await lobby.unsubscribe()
  assert.deepEqual((await heard(list)).at(-1), { rooms: permanent, version: 4 }, 'but not a permanent one')
})

test('a room has a name of small letters, and there are fifty at most', async t => {
  const { enter } = await start(t)
  const { client, join } = await enter()
  for (const name of ['Lobby', '-', 'a'.repeat(25), 'a.b', 'a/b', '{room}', '*', '**']) {
    await assert.rejects(join(name), { message: /403:denied_by/ }, name)
  }

  for (let i = 4; i < 50; i++) await join(`room-${i}`)
  const two = await client.send({ channel: '/meta/subscribe', subscription: ['/chat/rooms/one', '/chat/rooms/two'] })
  assert.equal(two.error, '403:denied_by_rule:subscribe_denied')
  const last = await join('one')
  await assert.rejects(join('two'), { message: /403:denied_by_rule/ })
  await join('room-49')
  await last.unsubscribe()
  await join('two')
})

test('what somebody says is heard in the room, and nowhere else', async t => {
  const { enter, heard } = await start(t)
  const [ada, grace, linus] = [await enter('Ada'), await enter('Grace'), await enter('Linus')]
  const [lobbyOfAda, lobby, coffee] = [await ada.join(), await grace.join(), await linus.join('coffee')]
  for (const room of [lobbyOfAda, lobby, coffee]) await heard(room)

  assert.equal((await ada.client.publish('/service/chat/say', { room: 'lobby', text: ' Good morning\n' })).successful, true)
  const [said] = await heard(lobby)
  assert.deepEqual({ ...said, time: 0 }, { type: 'message', from: ada.me, text: 'Good morning', time: 0 })
  assert.deepEqual(await heard(lobbyOfAda), [said])
  assert.deepEqual(await heard(coffee), [])
})

test('what somebody whispers is heard by one', async t => {
  const { enter, heard } = await start(t)
  const [ada, grace, linus] = [await enter('Ada'), await enter('Grace'), await enter('Linus')]
  const whisper = { to: grace.me.id, text: 'For you alone' }
  assert.equal((await ada.client.publish('/service/chat/whisper', whisper)).successful, true)
  const [whispered] = await heard(grace.whispers)
  assert.deepEqual({ ...whispered, time: 0 }, { from: ada.me, to: grace.me, text: 'For you alone', time: 0 })
  assert.deepEqual(await heard(ada.whispers), [whispered])
  assert.deepEqual(await heard(linus.whispers), [])

  await grace.client.disconnect()
  for (const to of [grace.me.id, ada.me.id, 'nobody']) {
    const reply = await ada.client.publish('/service/chat/whisper', { to, text: 'Hello?' })
    assert.equal(reply.error, '404::message_deleted')
  }
})

test('what is written has some text, of 2000 characters at most', async t => {
  const { enter } = await start(t)
  const [{ client, join }, { me }] = [await enter('Ada'), await enter('Grace')]
  await join()
  for (const [text, error] of /** @type {Array<[any, string?]>} */ ([
    ['x'.repeat(2000)],
    ['x'.repeat(2001), '400:/text:Expected string length less or equal to 2000'],
    [' \n ', "400:/text:Expected string to match '\\S'"],
    [5, '400:/text:Expected string'],
    [null, '400:/text:Expected string'],
    [undefined, '400:/text:Expected required property']
  ])) {
    assert.equal((await client.publish('/service/chat/say', { room: 'lobby', text })).error, error)
    assert.equal((await client.publish('/service/chat/whisper', { to: me.id, text })).error, error)
  }
  assert.equal((await client.send({ channel: '/service/chat/say', data: 'Hello' })).error, '400::Expected object')
})

test('nobody speaks in a room without being there', async t => {
  const { enter, heard } = await start(t)
  const [ada, grace] = [await enter('Ada'), await enter('Grace')]
  const lobby = await grace.join()
  await heard(lobby)
  for (const [room, error] of /** @type {const} */ ([
    ['lobby', '404::message_deleted'], ['coffee', '404::message_deleted'], ['nowhere', '404::message_deleted'],
    ['Lobby', "400:/room:Expected string to match '^[a-z0-9][a-z0-9-]{0,23}$'"]
  ])) {
    assert.equal((await ada.client.publish('/service/chat/say', { room, text: 'Hello' })).error, error)
  }
  assert.deepEqual(await heard(lobby), [])
})

test('everything else is forbidden', async t => {
  const { app, enter } = await start(t)
  const { client, join } = await enter()
  await join()
  for (const channel of ['/chat/rooms/lobby', '/chat/rooms', '/chat', '/service/chat', '/service/chat/say/more']) {
    const { error } = await client.send({ channel, data: { type: 'left', member: { id: '', name: '' }, version: 0 } })
    assert.match(String(error), /^403:denied_by_security_policy:/, channel)
  }
  for (const channel of ['/**', '/*', '/chat/**', '/chat/*', '/chat/rooms/*', '/chat/rooms/**', '/chat', '/elsewhere', '/chat/rooms/lobby/more']) {
    await assert.rejects(client.subscribe(channel), { message: /403:denied_by/ }, channel)
  }
  assert.equal(app.cometd.getServerChannel('/elsewhere'), undefined)
})

test('the page comes with the CometD client, and runs no code but theirs', async t => {
  const { app } = await start(t)
  const page = await app.inject('/')
  assert.match(page.body, /<title>Chat<\/title>/)
  assert.match(String(page.headers['content-security-policy']), /^default-src 'self'; /)
  assert.match((await app.inject('/vendor/cometd/cometd.js')).body, /^export /m)
  assert.equal((await app.inject('/vendor/cometd/package.json')).statusCode, 404)
})
