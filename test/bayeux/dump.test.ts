import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import { drop, remember, SocketClient } from '../helpers/socket.js'
import { start, type Wire } from '../helpers/harness.js'

t.test('dump shows sessions, channels, transports and queues as plain JSON', async t => {
  const { app, cometd, open } = await start(t)
  const client = await open()
  await client.subscribe(['/a', '/b/*'])
  client.session.deliver(null, '/a', 1)
  client.session.maxInterval = 5_000
  const socket = await SocketClient.join(app, { headers: { 'user-agent': 'socket' } })
  await socket.connect()
  await socket.hold()
  const local = cometd.newLocalSession('bot')
  await local.handshake()
  cometd.createServerChannel('/a').lazy = true

  const dump = cometd.dump()
  t.strictSame(JSON.parse(JSON.stringify(dump)), { ...dump, options: JSON.parse(JSON.stringify(dump.options)) })
  t.equal(dump.options.timeout, 30_000)
  t.strictSame(dump.transports, [{ name: 'websocket', heldConnects: 1 }, { name: 'long-polling', heldConnects: 0 }])
  t.strictSame(dump.channels.filter(({ name }) => !name.startsWith('/meta/')), [
    { name: '/a', subscribers: 1, listeners: 0, authorizers: 0, persistent: false, lazy: true, broadcastToPublisher: true },
    { name: '/b/*', subscribers: 1, listeners: 0, authorizers: 0, persistent: false, lazy: false, broadcastToPublisher: true }
  ])
  t.strictSame(dump.sessions, [
    { id: client.clientId, local: false, userAgent: 'lightMyRequest', connectionType: 'long-polling', held: false, timeout: 30_000, interval: 0, maxInterval: 5_000, subscriptions: ['/a', '/b/*'], queue: { messages: 1, bytes: 25 } },
    { id: socket.clientId, local: false, userAgent: 'socket', connectionType: 'websocket', held: true, timeout: 30_000, interval: 0, maxInterval: 10_000, subscriptions: [], queue: { messages: 0, bytes: 0 } },
    { id: local.id, local: true, userAgent: null, connectionType: null, held: false, timeout: 30_000, interval: 0, maxInterval: 10_000, subscriptions: [], queue: { messages: 0, bytes: 0 } }
  ])
  t.match(dump.statistics, { sessions: 3, localSessions: 1, channels: 7, handshakes: 3 })
})

t.test('statistics count what passes, over each transport', async t => {
  await t.test('long-polling', async t => {
    const { cometd, open, clock } = await start(t)
    const client = await open()
    await client.subscribe('/a')
    await client.publish('/a', 1)
    await client.publish('/a', 1)
    await client.subscribe('/**')
    await client.publish('/a', undefined)
    t.match(cometd.statistics, { messages: { in: 7, out: 2, dropped: 0 }, refusals: { 400: 1, 403: 1 }, heldConnects: { 'long-polling': 0, websocket: 0 } })
    t.ok(cometd.statistics.bytes.in > 300)
    t.ok(cometd.statistics.bytes.out > 300)
    await client.hold()
    t.equal(cometd.statistics.heldConnects['long-polling'], 1)
    await clock.tickAsync(30_100)
    t.equal(cometd.statistics.heldConnects['long-polling'], 0)
    client.session.deliver(null, '/a', 'lost')
    await clock.tickAsync(10_100)
    t.match(cometd.statistics, { sessions: 0, expiries: 1, messages: { dropped: 1 } })
    await clock.tickAsync(5_000)
    t.equal(cometd.getServerChannel('/a'), undefined)
    t.match(cometd.statistics.sweeps, { count: 2, lastTime: 0, longestTime: 0 })
  })

  await t.test('WebSocket', async t => {
    const { app, cometd } = await start(t)
    remember(app)
    const client = await SocketClient.join(app)
    await client.subscribe('/a')
    await client.publish('/a', 1)
    await client.publish('bad', 1)
    await client.connect()
    await client.hold()
    await client.caughtUp()
    const { bytes, messages, refusals, heldConnects } = cometd.statistics
    t.match({ messages, refusals, heldConnects }, { messages: { in: 6, out: 1, dropped: 0 }, refusals: { 405: 1 }, heldConnects: { websocket: 1 } })
    t.equal(bytes.out, client.frames.reduce((sum, frame) => sum + Buffer.byteLength(JSON.stringify(frame)), 0))
    t.ok(bytes.in > 200)
    await drop(app, client)
    t.equal(cometd.statistics.heldConnects['websocket'], 0)
  })
})

t.test('statistics count what was dropped, and how long queues were', async t => {
  const { cometd, open } = await start(t, { maxQueue: 2 })
  const client = await open()
  const fill = (count: number): void => { for (let i = 0; i < count; i++) client.session.deliver(null, '/a', i) }
  let decision: 'dropOldest' | 'dropNewest' | undefined = 'dropNewest'
  client.session.addListener('queueMaxed', () => decision)
  fill(4)
  t.match(cometd.statistics, { messages: { dropped: 2 }, longestQueue: { messages: 2, bytes: 50 } })
  decision = 'dropOldest'
  fill(1)
  t.equal(cometd.statistics.messages.dropped, 3)
  decision = undefined
  fill(1)
  t.equal(cometd.statistics.messages.dropped, 6)
  t.equal(cometd.statistics.sessions, 0)
})

t.test('a message that waits for the last connect of a disconnected session is dropped if that never comes', async t => {
  const { cometd, open, clock } = await start(t)
  const client = await open()
  client.session.disconnect()
  await clock.tickAsync(10_100)
  t.match(cometd.statistics, { expiries: 0, messages: { dropped: 1 } })
})

t.test('refusals without a code of three digits are counted together', async t => {
  const { cometd, open } = await start(t)
  cometd.addExtension({ outgoing: (server, sender, session, message) => { if (message['successful'] === false) message['error'] = message['id'] === 'n' ? 402 as never : '__proto__' } })
  const client = await open()
  await client.publish('/meta/x', 1)
  await client.publish('/meta/x', 1, { id: 'n' })
  t.strictSame(cometd.statistics.refusals, { other: 2 })
})

function listen (t: Test, name: string): Wire[] {
  const told: Wire[] = []
  const listener = (message: unknown): void => { told.push(message as Wire) }
  subscribe(`fastify-cometd.${name}`, listener)
  t.teardown(() => unsubscribe(`fastify-cometd.${name}`, listener))
  return told
}

t.test('diagnostics channels tell of sessions, subscriptions, publishes and deliveries', async t => {
  const { cometd, open } = await start(t)
  const [added, removed, subscribed, unsubscribed, publish, deliver] = ['session.added', 'session.removed', 'subscribed', 'unsubscribed', 'publish', 'deliver'].map(name => listen(t, name)) as [Wire[], Wire[], Wire[], Wire[], Wire[], Wire[]]
  const client = await open()
  const { session } = client
  await client.subscribe('/a')
  cometd.createServerChannel('/a').publish(null, 1)
  session.deliver(session, '/b', 2)
  session.disconnect()
  t.match(added, [{ server: cometd, session, message: { channel: '/meta/handshake' } }])
  t.match(subscribed, [{ server: cometd, session, channel: { name: '/a' }, message: { channel: '/meta/subscribe' } }])
  t.match(publish, [{ server: cometd, sender: null, channel: { name: '/a' }, message: { channel: '/a', data: 1 } }])
  t.match(deliver, [{ server: cometd, session, sender: null, message: { data: 1 } }, { session, sender: session, message: { channel: '/b', data: 2 } }])
  t.match(unsubscribed, [{ server: cometd, session, channel: { name: '/a' }, message: null }])
  t.match(removed, [{ server: cometd, session, reason: 'disconnect' }])
})
