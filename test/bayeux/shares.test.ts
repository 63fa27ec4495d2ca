import t from 'tap'
import { partyAddress } from '../../plugin/bayeux/parties.js'
import { memoryLog, start, turn, type Wire } from '../helpers/harness.js'
import { SocketClient } from '../helpers/socket.js'

t.test('a message that no queue can hold is refused to its sender, and expels nobody', async t => {
  const { app, cometd, open, client } = await start(t)
  const [idle, publisher] = [await open(), await open()]
  const socket = await SocketClient.join(app)
  await idle.subscribe('/a')
  await socket.subscribe('/a')
  // 300 KB of numbers that are written as four times as much.
  const text = `[{"channel":"/a","clientId":"${publisher.clientId}","data":[${'1e20,'.repeat(100_000)}1]}]`
  t.ok(text.length < 600_000)
  const headers = { 'content-type': 'application/json' }
  t.match((await publisher.post(text, headers)).json(), [{ successful: false, error: '413:max_queue_bytes:publish_denied' }])
  t.match(await publisher.publish('/nobody', 1), { successful: true })
  t.ok(idle.session && socket.session)

  const large = 'x'.repeat(2_200_000)
  const channel = cometd.createServerChannel('/a')
  const tooLarge = { code: 'COMETD_ERR_DATA_TOO_LARGE', message: /2200\d\d\d bytes, maxQueueBytes is 2097152/ }
  t.throws(() => channel.publish(null, large), tooLarge)
  t.throws(() => idle.session.deliver(null, '/a', large), tooLarge)
  let given: unknown
  t.equal(channel.publish(null, large, err => { given = err }), false)
  t.match(given, tooLarge)
  t.ok(idle.session && socket.session)
  t.ok(await client().open())
})

t.test('a message that an extension, a listener or a service makes too large is logged, and goes to nobody', async t => {
  const { lines, logger } = memoryLog()
  const { cometd, open } = await start(t, { maxQueueBytes: 1_000 }, { logger })
  const one = await open()
  await one.subscribe('/a')
  const { session } = one
  const large = 'x'.repeat(1_001)
  const extension = { outgoing: (server: unknown, sender: unknown, session: unknown, message: Wire) => { if (message['data'] === 'small') message['data'] = large } }
  const lateExtension = { outgoing: async (...args: [unknown, unknown, unknown, Wire]) => { extension.outgoing(...args) } }
  for (const each of [extension, lateExtension]) {
    cometd.addExtension(each)
    t.equal(await cometd.createServerChannel('/a').publish(null, 'small'), false)
    t.equal(await session.deliver(null, '/b', 'small'), false)
    t.match(await one.publish('/a', 'small'), { successful: false, error: '413:max_queue_bytes:publish_denied' })
    cometd.removeExtension(each)
  }
  cometd.createServerChannel('/listened').addListener('message', (session, channel, message) => { message.data = large })
  t.equal(cometd.createServerChannel('/listened').publish(null, 'small'), true, 'nobody is subscribed')
  await one.subscribe('/listened')
  t.equal(cometd.createServerChannel('/listened').publish(null, 'small'), false)
  cometd.service('/service/large', () => large)
  t.match(await one.publish('/service/large', 1), { successful: false, error: '500::internal_error' })
  cometd.remoteCall('large', () => large)
  t.match((await one.send({ channel: '/service/large2', data: 1 }, { channel: '/service/large', data: 1 })).at(-1), { successful: false })
  t.equal(session.queueLength, 0)
  t.ok(lines.filter(({ msg }) => msg === 'message deleted: an extension or listener made it larger than maxQueueBytes').length >= 5)
})

t.test('within its limits no client fills the queue of a reader who polls at once', async t => {
  const { open, cometd, clock } = await start(t)
  const [reader, publisher] = [await open(), await open()]
  await reader.subscribe('/a')
  const { session } = reader
  const { maxMessages } = cometd.options
  let accepted = 0
  // A second passes between two polls, in which as much is sent as can be.
  for (let i = 0; i < 20; i++) {
    const replies = await publisher.send(...new Array(maxMessages).fill({ channel: '/a', data: 1 }))
    accepted += replies.filter(({ successful }) => successful).length
    clock.tick(50)
  }
  t.ok(accepted >= 2_000 && accepted < cometd.options.maxQueue, `${accepted} messages in a second`)
  while (session.queueLength > 0) await reader.connect()
  const large = 'x'.repeat(250_000)
  for (let i = 0; i < 20; i++) {
    await publisher.publish('/a', large)
    clock.tick(50)
  }
  t.notOk(session.removed, 'nor is it bytes that expel it')
})

t.test('a service that publishes 1,000 messages a second over one session gets all of them through', async t => {
  const { app, open, clock, cometd } = await start(t, { timeout: 60_000 })
  const service = await open()
  const socket = await SocketClient.join(app)
  const reader = await SocketClient.join(app)
  await reader.subscribe('/a')
  await reader.connect()
  const message = { channel: '/a', data: 'x'.repeat(200) }
  for (let second = 0; second < 5; second++) {
    // In bursts, since nobody sends evenly.
    for (let i = 0; i < 4; i++) t.ok((await service.send(...new Array(250).fill(message))).every(({ successful }) => successful))
    clock.tick(1_000)
    for (let i = 0; i < 4; i++) socket.raw(new Array(250).fill({ ...message, clientId: socket.clientId, id: `${second} ${i}` }))
    await socket.reply(`${second} 3`)
    clock.tick(500)
    await service.connect({ advice: { timeout: 0 } })
    clock.tick(500)
  }
  t.ok(socket.messages.every(({ successful }) => successful))
  await reader.until(() => reader.events('/a').length === 10_000)
  t.notOk(cometd.statistics.refusals['429'])
})

t.test('who publishes more than it may gets 429 with the advice to wait, nobody is asked about it, and it may again later', async t => {
  for (const [options, data, limit] of [
    [{ maxPublishRate: 10, maxPublishBurst: 3 }, 1, 'max_publish_rate'],
    [{ maxPublishByteRate: 1_000, maxPublishByteBurst: 1_000 }, 'x'.repeat(300), 'max_publish_byte_rate']
  ] as const) {
    const { open, clock, cometd } = await start(t, { ...options, timeout: 20_000 })
    const one = await open()
    let heard = 0
    for (const name of ['/a', '/service/a']) cometd.createServerChannel(name).addListener('message', () => { heard++ })
    for (let i = 0; i < 2; i++) t.match(await one.publish('/a', data), { successful: true })
    while ((await one.publish('/service/a', data))['successful'] === true);
    const before = heard
    const reply = await one.publish('/a', data)
    t.match(reply, { successful: false, error: `429:${limit}:publish_denied`, advice: { reconnect: 'retry', timeout: 20_000 } })
    const { interval } = reply['advice']
    t.ok(interval > 0 && interval <= 1_000, `${interval} ms`)
    t.equal(heard, before, 'nobody was asked')
    t.match(await one.publish('/meta/subscribe', 1), { error: /^403/ }, 'all else is as it was')
    clock.tick(1_000)
    t.match(await one.publish('/a', data), { successful: true })
    t.match(await one.connect({ advice: { timeout: 0 } }), [{ advice: { interval: 0 } }], 'the advice is taken back')
  }
})

t.test('before its first connect, too, a client is refused what is too much', async t => {
  const { client } = await start(t, { maxPublishBurst: 1 })
  const one = client()
  await one.handshake()
  t.match((await one.send({ channel: '/a', data: 1 }, { channel: '/a', data: 1 })).map(({ error }) => error), [undefined, '429:max_publish_rate:publish_denied'])
})

t.test('a message larger than all that may be sent at once takes all of it', async t => {
  const { open, clock } = await start(t, { maxPublishByteRate: 1_000, maxPublishByteBurst: 1_000 })
  const one = await open()
  t.match(await one.publish('/a', 'x'.repeat(5_000)), { successful: true })
  clock.tick(3_900)
  t.match(await one.publish('/a', 1), { successful: false })
  clock.tick(1_000)
  t.match(await one.publish('/a', 1), { successful: true })
})

t.test('what a message grows to when it is written counts', async t => {
  const { open } = await start(t, { maxPublishByteRate: 1_000, maxPublishByteBurst: 6_000 })
  const [one, reader] = [await open(), await open()]
  await reader.subscribe('/a')
  const text = `[{"channel":"/a","clientId":"${one.clientId}","data":[${'1e20,'.repeat(200)}1]}]`
  const publish = async (): Promise<Wire> => (await one.post(text, { 'content-type': 'application/json' })).json()[0]
  t.match(await publish(), { successful: true })
  t.match(await publish(), { successful: false, error: '429:max_publish_byte_rate:publish_denied', advice: { interval: /\d/ } })
  t.equal(reader.session.queueLength, 1)
})

t.test('a socket that goes on regardless is closed', async t => {
  const { app, clock } = await start(t, { maxPublishRate: 10, maxPublishBurst: 5 })
  const socket = await SocketClient.join(app)
  for (let i = 0; i < 10; i++) await socket.publish('/a', i)
  t.equal(socket.ws.readyState, socket.ws.OPEN, 'as many again are only refused')
  clock.tick(1_000)
  t.match(await socket.publish('/a', 1), { successful: true })
  for (let i = 0; i < 12; i++) socket.raw([{ channel: '/a', data: i, clientId: socket.clientId }])
  t.strictSame(await socket.closed, { code: 1008, reason: 'publishing too fast' })
})

t.test('subscribing has a budget, too: names at once, and names a second', async t => {
  const { open, clock } = await start(t)
  const one = await open()
  const names = Array.from({ length: 400 }, (_, i) => `/a/${i}`)
  const change = async (what: string): Promise<Wire> => (await one.send({ channel: `/meta/${what}`, subscription: names })).at(-1) as Wire
  t.match(await change('subscribe'), { successful: true })
  t.match(await change('unsubscribe'), { successful: true })
  t.match(await change('subscribe'), { successful: false, error: '429:max_subscriptions:subscribe_denied' })
  t.match(await change('unsubscribe'), { successful: false, error: '429:max_subscriptions:unsubscribe_denied' })
  clock.tick(1_000)
  t.match(await change('subscribe'), { successful: true })
})

t.test('no session takes all channels, nor do all of one address', async t => {
  const { open, cometd, app } = await start(t, { maxChannelsPerSession: 3, maxChannelsPerAddress: 5, maxChannels: 7 }, { trustProxy: true })
  const from = async (address: string): Promise<SocketClient> => await SocketClient.join(app, { headers: { 'x-forwarded-for': address } })
  const create = async (client: SocketClient, ...names: string[]): Promise<string | undefined> => {
    const subscribed = await client.subscribe(names)
    return subscribed['error']
  }
  const one = await from('10.0.0.1')
  t.equal(await create(one, '/a/1', '/a/2', '/a/3', '/a/4'), '403:max_channels_per_session:create_denied')
  t.equal(await create(one, '/a/1', '/a/2', '/a/3'), undefined)
  t.match(await one.publish('/a/4', 1), { error: '403:max_channels_per_session:channel_create_denied' })
  t.match(await one.publish('/a/3', 1), { successful: true }, 'those that there are may be used')
  const two = await from('10.0.0.1')
  t.equal(await create(two, '/b/1', '/b/2', '/b/3'), '403:max_channels_per_address:create_denied')
  t.equal(await create(two, '/b/1', '/b/2'), undefined)
  t.match(await two.publish('/b/3', 1), { error: '403:max_channels_per_address:channel_create_denied' })
  const other = await from('10.0.0.2')
  t.equal(await create(other, '/c/1', '/c/2', '/c/3'), '403:max_channels:create_denied')
  t.equal(await create(other, '/c/1', '/c/2'), undefined)

  t.comment('what the application takes over is nobody\'s share any more')
  cometd.createServerChannel('/b/1')
  t.equal(await create(two, '/b/3'), undefined)
  const local = cometd.newLocalSession()
  await local.handshake()
  t.match(await local.subscribe('/local', () => {}), { successful: false, error: '403:max_channels:create_denied' })
  t.ok(await open())
})

t.test('a share is given back with the channel, also when its session has ended before', async t => {
  const { client, clock, cometd } = await start(t, { maxChannelsPerAddress: 2 })
  for (let i = 0; i < 3; i++) {
    const [one, two] = [client(), client()]
    await one.handshake()
    await two.handshake()
    t.match(await one.subscribe([`/${i}/a`, `/${i}/b`]), { successful: true })
    t.match(await two.subscribe([`/${i}/a`]), { successful: true })
    await one.send({ channel: '/meta/disconnect' })
    t.match(await two.subscribe([`/${i}/c`]), { successful: false })
    await two.send({ channel: '/meta/disconnect' })
    clock.tick(3_000)
    t.equal(cometd.getServerChannel(`/${i}/a`), undefined)
  }
})

t.test('sessions of one address: 403:max_sessions_per_address:handshake_denied, and the client tries again later', async t => {
  const { app, client } = await start(t, { maxSessionsPerAddress: 2, maxInterval: 4_000 }, { trustProxy: true })
  const shake = async (address: string): Promise<Wire> => {
    const response = await client().post([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }], { 'x-forwarded-for': address })
    return response.json()[0]
  }
  t.match(await shake('10.0.0.1'), { successful: true })
  const { clientId } = await shake('::ffff:10.0.0.1')
  t.match(await shake('10.0.0.1'), { successful: false, error: '403:max_sessions_per_address:handshake_denied', advice: { reconnect: 'handshake', interval: 4_000 } })
  t.match(await shake('10.0.0.2'), { successful: true })
  app.cometd.getServerSession(clientId)?.disconnect()
  t.match(await shake('10.0.0.1'), { successful: true })
  // Whoever has one address of IPv6 has very many.
  t.match(await shake('2001:db8::1'), { successful: true })
  t.match(await shake('2001:db8::2'), { successful: true })
  t.match(await shake('2001:db8::3:4:5:6'), { successful: false })
  t.match(await shake('2001:db8:0:1::1'), { successful: true })
})

t.test('addresses are grouped as networks give them out', async t => {
  for (const [ip, party] of [
    ['10.0.0.1', '10.0.0.1'], ['::ffff:10.0.0.1', '10.0.0.1'], ['::FFFF:10.0.0.1', '10.0.0.1'], ['unknown', 'unknown'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'], ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'], ['2001:db8:1::5:6', '2001:db8:1:0::/64'],
    ['::1', '0:0:0:0::/64'], ['::', '0:0:0:0::/64'], ['fe80::1%eth0', 'fe80:0:0:0::/64'], ['1:2:3:4::5', '1:2:3:4::/64']
  ] as const) t.equal(partyAddress(ip), party, ip)
})

t.test('a slow extension delays its own message, and what comes after it for the same clients', async t => {
  const { app, cometd, open } = await start(t)
  let release = (): void => {}
  const slow = { outgoing: (...[, , , message]: [unknown, unknown, unknown, Wire]) => message['data'] === 'slow' ? new Promise<void>(resolve => { release = resolve }) : undefined }
  cometd.addExtension(slow)
  const [both, fast] = [await SocketClient.join(app), await SocketClient.join(app)]
  await both.subscribe(['/slow', '/fast'])
  await fast.subscribe('/fast')
  const publisher = await open()
  const published = publisher.publish('/slow', 'slow')
  while (cometd.getServerChannel('/slow') === undefined) await turn()
  for (const each of [both, fast]) await each.connect()
  const channel = cometd.createServerChannel('/fast')
  for (let i = 0; i < 300; i++) t.equal(channel.publish(null, i), true)
  t.equal(await fast.session.deliver(null, '/own', 1), true)
  const owned = both.session.deliver(null, '/own', 1)
  await fast.until(() => fast.events('/own').length === 1)
  t.equal(fast.events('/fast').length, 300, 'who does not get the slow message waits for nothing')
  await both.caughtUp()
  t.strictSame(both.messages.filter(({ data }) => data !== undefined), [])
  release()
  t.match(await published, { successful: true })
  await owned
  await both.until(() => both.events('/own').length === 1)
  t.strictSame(both.messages.filter(({ data }) => data !== undefined).map(({ data }) => data), ['slow', ...Array.from({ length: 300 }, (_, i) => i), 1])
})

t.test('an extension that is slow with every message does not make the server wait for one after the other', async t => {
  const { app, cometd } = await start(t)
  let waiting: Array<() => void> = []
  cometd.addExtension({ outgoing: async () => { await new Promise<void>(resolve => { waiting.push(resolve) }) } })
  const one = await SocketClient.open(app)
  // Each reply waits, too.
  const goOn = setInterval(() => { for (const each of waiting.splice(0)) each() }, 1)
  await one.handshake()
  await one.subscribe('/a')
  clearInterval(goOn)
  const outcomes = Array.from({ length: 1_000 }, (_, i) => cometd.createServerChannel('/a').publish(null, i))
  t.equal(waiting.length, 1_000, 'it has all of them')
  // The last first.
  for (const each of waiting.reverse()) each()
  waiting = []
  t.ok((await Promise.all(outcomes)).every(Boolean))
  await one.until(() => one.events('/a').length === 1_000)
  t.strictSame(one.events('/a'), Array.from({ length: 1_000 }, (_, i) => i))
})

t.test('what waits for extensions is bounded: one more is refused to who sends it', async t => {
  const { lines, logger } = memoryLog()
  const { cometd, open, clock } = await start(t, { maxQueue: 5, maxInterval: 60_000 }, { logger })
  const [one, reader] = [await open(), await open()]
  await reader.subscribe('/a')
  cometd.addExtension({ outgoing: (...[, , , message]: [unknown, unknown, unknown, Wire]) => 'successful' in message ? undefined : new Promise(() => {}) })
  const channel = cometd.createServerChannel('/a')
  for (let i = 0; i < 5; i++) Promise.resolve(channel.publish(null, i)).catch(t.threw)
  t.equal(channel.publish(null, 5), false)
  t.equal(reader.session.deliver(null, '/a', 1) instanceof Promise, true, 'it keeps its place behind the others')
  t.match(await one.publish('/a', 1), { successful: false, error: '503:max_queue:publish_denied' })
  t.equal(lines.filter(({ msg }) => msg === 'message refused: too many wait for outgoing extensions').length, 1, 'said once a minute')
  clock.tick(8_100)
  await turn()
  await turn()
  const late = one.publish('/a', 1)
  await turn()
  await turn()
  clock.tick(8_100)
  t.match(await late, { successful: false, error: '404::message_deleted' }, 'there is room again')
  t.ok(reader.session)
})

t.test("a client's own slow listener keeps nothing from being pushed to it", async t => {
  const { app, cometd, open } = await start(t)
  const goOn: Array<() => void> = []
  cometd.createServerChannel('/slow').addListener('message', async () => { await new Promise<void>(resolve => { goOn.push(resolve) }) })
  const polling = await open()
  const socket = await SocketClient.join(app)
  await socket.connect()
  await polling.subscribe('/a')
  await socket.subscribe('/a')
  const { answer } = await polling.hold()
  polling.publish('/slow', 1).catch(t.threw)
  socket.raw([{ channel: '/slow', data: 1, clientId: socket.clientId }])
  while (goOn.length < 2) await turn()
  cometd.createServerChannel('/a').publish(null, 'news')
  t.match(await answer, [{ data: 'news' }, { channel: '/meta/connect' }])
  await socket.until(() => socket.events('/a').length === 1)
  for (const each of goOn) each()
})

t.test('the application\'s publications on a channel keep their order, although a listener of the first is slow', async t => {
  const { cometd, open } = await start(t)
  const one = await open()
  await one.subscribe(['/a', '/b'])
  const release: Array<() => void> = []
  const channel = cometd.createServerChannel('/a')
  channel.addListener('message', (session, heard, { data }) => data === 3 ? undefined : new Promise<boolean>(resolve => { release.push(() => resolve(data !== 2)) }))
  const outcomes = [1, 2, 3].map(i => channel.publish(null, i))
  cometd.createServerChannel('/b').publish(null, 'b')
  t.equal(release.length, 2, 'all are heard at once')
  release[1]?.()
  await turn()
  t.equal(one.session.queueLength, 1, 'another channel does not wait')
  release[0]?.()
  t.strictSame(await Promise.all(outcomes), [true, false, true])
  t.strictSame((await one.connect()).map(({ data }) => data), ['b', 1, 3, undefined])
  t.equal(channel.publish(null, 3), true, 'and afterwards they are as immediate as before')
})
