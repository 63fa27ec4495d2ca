import t from 'tap'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { freeze } from '../../plugin/bayeux/frame.js'
import { ServerMessage } from '../../plugin/bayeux/message.js'
import { type Client, memoryLog, once, start, turn, type Wire } from '../helpers/harness.js'
import { listen, post } from '../helpers/http.js'
import { SocketClient } from '../helpers/socket.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes of heap in use after everything that can be was let go. */
async function heap (): Promise<number> {
  // What weak references were asked for is kept until the end of the turn.
  for (let i = 0; i < 3; i++) {
    await turn()
    collect()
  }
  return process.memoryUsage().heapUsed
}

/** The names of all members of an object, its own and inherited ones. */
function namesOf (object: object | null): string[] {
  return object === null ? [] : [...Object.getOwnPropertyNames(object), ...namesOf(Object.getPrototypeOf(object))]
}

// What a message becomes on its way: itself, its reply, what goes out, and what holds its data and its text.
const NAMES = [...new Set([
  new ServerMessage({ channel: '/a' }), freeze({ channel: '/a' }), {}, [], Buffer.alloc(0), '', Promise.resolve(), () => {}
].flatMap(namesOf))].filter(name => name !== '__proto__' && name !== 'constructor')
// Of these JSON of any other value is refused by Fastify's parser.
const ALL = [...NAMES, 'constructor']
// Those that have a type of their own in Bayeux.
const BAYEUX = new Set(['channel', 'id', 'clientId', 'data', 'ext', 'advice', 'subscription', 'connectionType'])

t.test('what a client calls its fields shadows no member and ends nothing, over both transports, with or without a session', async t => {
  const { app, cometd, open, client } = await start(t, { maxSessionsPerCookie: 10_000, maxPublishRate: 1e6, maxPublishBurst: 1e6, extensions: { acknowledgement: true, binary: true, timesync: true, timestamp: true, activity: { activity: 'client-server', maxInactivity: 1e6 } } })
  const heard: unknown[] = []
  cometd.createServerChannel('/foo').addListener('message', (session, channel, message) => {
    // All that a listener may do with a message.
    heard.push(String(message), message.hasOwnProperty('channel'), message.reply.channel, message.lazy, message.parameters, message.veto, message.refuse) // eslint-disable-line no-prototype-builtins
  })
  const one = await open()
  const sockets = [await SocketClient.open(app), await SocketClient.join(app)]
  const known = { successful: true }
  const lacking = { successful: false, error: '402::session_unknown' }
  const names = ALL.filter(name => !BAYEUX.has(name))
  const messages = (fields: (name: string) => Wire): Wire[] => names.map(name => ({ id: name, channel: '/foo', data: 1, ...fields(name) }))
  const allAre = (replies: Wire[], expected: Wire): void => {
    const others = replies.filter(({ successful, error }) => successful !== expected['successful'] || error !== expected['error'])
    t.strictSame(others, [])
    t.equal(replies.length, names.length)
  }
  for (const value of [1, {}, [], 'x', null]) {
    const fields = (name: string): Wire => ({ [name]: value })
    allAre(await one.send(...messages(fields)), known)
    allAre(await one.raw(...messages(fields)), lacking)
    for (const [i, socket] of sockets.entries()) {
      socket.frames.length = 0
      socket.raw(messages(name => ({ ...fields(name), clientId: socket.clientId })))
      await socket.until(() => socket.messages.length === names.length)
      allAre(socket.messages, i === 0 ? lacking : known)
    }
  }
  // And wherever else a client chooses names.
  const inner = (name: string): Wire => ({ ext: { [name]: 1, ack: { [name]: 1 }, timesync: { [name]: 1 }, authentication: { [name]: 1 } }, data: { [name]: { [name]: 1 } } })
  allAre(await one.send(...messages(inner)), known)
  allAre(await one.send(...names.map(name => ({ channel: '/meta/connect', connectionType: 'long-polling', advice: { timeout: 0, [name]: 1 }, ...inner(name) }))), known)
  for (const name of names) t.match(await client().handshake({ [name]: 1, ext: inner(name)['ext'] }), { successful: true }, name)
  const normal = String(new ServerMessage({ channel: '/foo' }))
  for (let i = 0; i < heard.length; i += 7) t.strictSame(heard.slice(i, i + 5), [normal, true, '/foo', false, {}])
  t.ok(heard.every((value, i) => i % 7 < 5 || typeof value === 'function'))
})

t.test('fields that no message has are there under their own names', async t => {
  const { cometd, open } = await start(t)
  let seen: unknown[] = []
  cometd.createServerChannel('/a').addListener('message', (session, channel, message) => { seen = [message['credentials'], message['mine'], message['undefined']] })
  await (await open()).send({ channel: '/a', data: 1, credentials: 'secret', mine: { x: 1 }, undefined: 0 })
  t.strictSame(seen, ['secret', { x: 1 }, 0])
})

t.test('whatever fails while a message is processed ends its socket with 1011, or its request with 500, and no more', async t => {
  const { lines, logger } = memoryLog()
  const { app, cometd, open, client } = await start(t, {}, { logger })
  const one = await open()
  const [socket, other] = [await SocketClient.join(app), await SocketClient.join(app)]
  const { sessions } = cometd
  const find = sessions.find.bind(sessions)
  const newSession = cometd.newSession.bind(cometd)
  Object.assign(sessions, { find: () => { throw new Error('no') } })
  t.equal((await one.post([{ channel: '/a', data: 1, clientId: one.clientId }])).statusCode, 500)
  Object.assign(cometd, { newSession: () => { throw new Error('no') } })
  socket.raw([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] }])
  t.strictSame(await socket.closed, { code: 1011, reason: 'internal error' })
  Object.assign(sessions, { find })
  Object.assign(cometd, { newSession })

  const sending = other.session
  Object.assign(sending, { take: () => { throw new Error('no') } })
  other.raw([{ channel: '/a', data: 1, clientId: other.clientId }])
  t.equal((await other.closed).code, 1006, 'what cannot even be closed is broken off')
  t.ok(lines.some(({ msg }) => msg === 'WebSocket closed: an internal error'))
  t.ok(await client().open(), 'the server is as it was')
})

t.test('a promise of the server that rejects while a message is processed ends its socket, too', async t => {
  const { app, cometd, client } = await start(t)
  const socket = await SocketClient.join(app)
  Object.assign(cometd, { extendReply: async () => { throw new Error('no') } })
  socket.raw([{ channel: '/a', data: 1, clientId: socket.clientId }])
  t.equal((await socket.closed).code, 1011)
  Object.assign(cometd, { extendReply: Object.getPrototypeOf(cometd).extendReply })
  t.ok(await client().open())
})

t.test('a held connect keeps nothing of what its request was filled with', async t => {
  const { app, open } = await start(t, { maxSessionsPerBrowser: -1, maxValues: 1e6, maxDepth: 1e3 })
  const url = await listen(app) + '/cometd'
  const many = Array.from({ length: 100_000 }, () => ({}))
  const connectOf = (clientId: string, field: string): Wire => ({ id: 'x', channel: '/meta/connect', connectionType: 'long-polling', clientId, [field]: { many } })
  const fields = ['data', 'ext', 'advice', 'other']
  const clients: Client[] = []
  for (let i = 0; i < 2 * fields.length; i++) clients.push(await open())
  // So that all code is there before it is measured.
  await clients[0]?.hold()
  const before = await heap()
  const sockets: SocketClient[] = []
  let received = 0
  for (const [i, client] of clients.entries()) {
    const message = connectOf(client.clientId, fields[i % fields.length] as string)
    const text = JSON.stringify([message])
    received += text.length
    const suspended = once(client.session, 'suspended')
    post(url, text, { cookie: client.cookie as string })
    await suspended
  }
  for (const field of fields) {
    const socket = await SocketClient.join(app)
    await socket.connect()
    await socket.hold({ [field]: { many } })
    sockets.push(socket)
  }
  const kept = await heap() - before
  t.ok(kept < received / 2, `${kept} bytes kept of ${received}`)
  t.ok(clients.every(({ session }) => session.held) && sockets.every(({ session }) => session.held))
})

t.test('what waits for sessions takes no more memory than maxQueueBytes for each, within one half', async t => {
  const maxQueueBytes = 200_000
  const values = {
    objects: Array.from({ length: 600 }, () => ({})),
    numbers: Array.from({ length: 800 }, (_, i) => i),
    latin: 'é'.repeat(1_000),
    wide: `€${'x'.repeat(2_000)}`,
    small: 1
  }
  for (const [what, value] of Object.entries(values)) {
    const { open } = await start(t, { maxQueueBytes, maxQueue: 1_000 })
    const sessions = []
    for (let i = 0; i < 10; i++) sessions.push((await open()).session)
    for (const session of sessions) session.addListener('queueMaxed', () => 'dropNewest')
    const before = await heap()
    // To each alone, as the application or other clients may; a broadcast is shared by all.
    for (const session of sessions) for (let i = 0; i < 1_000; i++) session.deliver(null, '/a', structuredClone(value))
    const kept = (await heap() - before) / sessions.length
    t.ok(kept < 1.5 * maxQueueBytes, `${what}: ${Math.round(kept)} bytes for a session`)
  }
})

t.test('those who look at a message in a queue get it parsed, all the same one', async t => {
  const { open } = await start(t)
  const { session } = await open()
  const seen: unknown[] = []
  session.addListener('message', (session, sender, message) => { seen.push(message) })
  session.addListener('queueOffer', (session, message) => { seen.push(message) })
  session.deliver(null, '/a', { date: new Date(0), left: undefined })
  t.strictSame(seen[0], { channel: '/a', data: { date: '1970-01-01T00:00:00.000Z' } })
  t.equal(seen[1], seen[0])
})

t.test('WebSocket messages that wait for their turn are kept as they came', async t => {
  const { app, cometd } = await start(t, { maxValues: 1e6 })
  const socket = await SocketClient.join(app)
  const heard: unknown[] = []
  let goOn = (): void => {}
  cometd.createServerChannel('/slow').addListener('message', async () => { await new Promise<void>(resolve => { goOn = resolve }) })
  cometd.createServerChannel('/next').addListener('message', (session, channel, { data }) => { heard.push(data) })
  socket.raw([{ channel: '/slow', data: 1, clientId: socket.clientId }])
  socket.raw([{ channel: '/next', data: 2, clientId: socket.clientId }])
  await socket.caughtUp()
  t.strictSame(heard, [])
  goOn()
  await socket.until(() => socket.messages.some(({ channel }) => channel === '/next'))
  t.strictSame(heard, [2])
})

t.test('fields of a message: 400:max_fields:message_invalid for that message', async t => {
  const { open } = await start(t)
  const one = await open()
  const fields = (count: number): Wire => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, i]))
  t.match(await one.send({ channel: '/a', data: 1, ...fields(96) }, { channel: '/a', data: 1, ...fields(97) }), [
    { successful: true }, { successful: false, error: '400:max_fields:message_invalid' }
  ])
})

t.test('messages of a request are no more than there can be in so many bytes', async t => {
  const { client } = await start(t)
  t.equal((await client().post(new Array(10).fill({}))).statusCode, 200)
  t.match((await client().post(new Array(100).fill({}))).json(), { statusCode: 413, code: 'COMETD_ERR_TOO_MANY_MESSAGES' })
  t.equal((await client().post(new Array(100).fill({ channel: '/a', data: 1 }))).statusCode, 200)
})

t.test('values of a request: 413 COMETD_ERR_TOO_MANY_VALUES, or the socket is closed with 1008', async t => {
  const { app, client, cometd } = await start(t, { maxValues: 1_000 })
  const filler = ' '.repeat(50_000)
  const post = async (text: string): Promise<Wire> => (await client().post(text + filler, { 'content-type': 'application/json' })).json()
  const refused = { statusCode: 413, code: 'COMETD_ERR_TOO_MANY_VALUES', message: 'a request may hold 1000 objects, arrays and fields at most' }
  const fieldsOf = (count: number): string => Array.from({ length: count }, (_, i) => `${JSON.stringify(`k\\${i}"`)} : 1`).join()
  const bodies = (count: number): string[] => [`[{"data":[${'[],'.repeat(count - 5)}{}]}]`, `[{"data":{${fieldsOf(count - 4)}}}]`, `[{"data":${'['.repeat(count - 3)}${']'.repeat(count - 3)}}]`]
  for (const body of bodies(1_000)) t.match(await post(body), [{ successful: false, error: '402::session_unknown' }])
  for (const body of bodies(1_001)) t.match(await post(body), refused)
  t.match(await post(`[{"data":${JSON.stringify('{[:'.repeat(2_000) + '\\')}}]`), [{ error: '402::session_unknown' }], 'what stands in texts does not count')
  for (const text of ['null', '"', '"\\"', '[}', '7']) t.equal((await client().post(text + filler, { 'content-type': 'application/json' })).statusCode, 400, text)
  const socket = await SocketClient.open(app)
  socket.raw((bodies(1_001)[0] as string) + filler)
  t.strictSame(await socket.closed, { code: 1008, reason: 'too many values' })
  cometd.options.maxValues = 2_000
  for (const body of bodies(1_001)) t.match(await post(body), [{ error: '402::session_unknown' }])
})

t.test('nesting is looked at in large requests as in small ones', async t => {
  const { open, app } = await start(t, { maxDepth: 3 })
  const one = await open()
  const socket = await SocketClient.join(app)
  const filler = 'x'.repeat(60_000)
  const deepest = { a: [{ b: filler }] }
  for (const data of [deepest, { a: [{ b: [filler] }] }]) {
    const expected = data === deepest ? { successful: true } : { successful: false, error: '400:max_depth:message_invalid' }
    t.match(await one.publish('/a', data), expected)
    t.match((await one.post({ channel: '/a', clientId: one.clientId, data })).json(), [expected])
    t.match(await socket.publish('/a', data), expected)
  }
})
