import t from 'tap'
import { once, start, turn, type Wire } from '../helpers/harness.js'
import { listen, post } from '../helpers/http.js'
import { drop, remember, SocketClient } from '../helpers/socket.js'

const whole = { reconnect: 'retry', interval: 0, timeout: 30_000 }

t.test('B2, B9, B17: arrays and single messages go in, arrays with the ids of the requests come out', async t => {
  const { app } = await start(t)
  const one = await SocketClient.open(app)
  one.raw({ id: 'a', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] })
  const { clientId, ...reply } = await one.reply('a')
  t.match(clientId, /^[0-9a-f]{40}$/)
  t.strictSame(reply, {
    id: 'a',
    channel: '/meta/handshake',
    version: '1.0',
    minimumVersion: '1.0',
    supportedConnectionTypes: ['websocket', 'long-polling'],
    successful: true,
    advice: whole
  })
  one.raw([{ id: 'b', channel: '/meta/subscribe', clientId, subscription: '/a' }, { id: 'c', channel: '/meta/connect', clientId, connectionType: 'websocket' }])
  t.strictSame([await one.reply('b'), await one.reply('c')], [
    { id: 'b', channel: '/meta/subscribe', subscription: '/a', successful: true },
    { id: 'c', channel: '/meta/connect', successful: true, advice: whole }
  ])
  t.equal(one.frames.length, 2, 'what was answered in one turn comes in one frame')
})

t.test('B45: a handshake is processed alone, whatever comes beside it', async t => {
  const { app } = await start(t)
  const one = await SocketClient.open(app)
  one.raw([{ id: '1', channel: '/a', data: 1 }, { id: '2', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] }])
  await one.reply('2')
  await one.caughtUp()
  t.equal(one.messages.length, 1)
})

t.test('B7: what comes before a handshake is answered with an error', async t => {
  const { app } = await start(t)
  const one = await SocketClient.open(app)
  one.raw([{ id: '1', channel: '/a', data: 1 }, { id: '2', channel: '/meta/connect', connectionType: 'websocket' }])
  t.match(await one.reply('1'), { successful: false, error: '402::session_unknown' })
  t.match(await one.reply('2'), { successful: false, error: '402::session_unknown', advice: { reconnect: 'handshake', interval: 0 } })
})

t.test('B28: a message without a clientId belongs to the session of its socket', async t => {
  const { app } = await start(t)
  const one = await SocketClient.join(app)
  one.raw([{ id: 'x', channel: '/a', data: 1 }])
  t.match(await one.reply('x'), { successful: true })
})

t.test('events are pushed from the first message after the handshake on, while the connect stays held', async t => {
  const { app, cometd } = await start(t)
  const one = await SocketClient.join(app)
  one.session.deliver(null, '/early', 1)
  await turn()
  await one.caughtUp()
  t.strictSame(one.events('/early'), [], 'nothing before the first message: the client may not have read its clientId')
  t.match(await one.subscribe('/a'), { successful: true })
  t.strictSame(one.events('/early'), [1])

  cometd.createServerChannel('/a').publish(null, 'before any connect')
  await one.until(() => one.events('/a').length === 1)
  t.match(await one.connect(), { successful: true, advice: whole }, 'the first connect is answered at once')
  const { answer } = await one.hold()
  cometd.createServerChannel('/a').publish(null, 'held')
  await one.until(() => one.events('/a').length === 2)
  t.ok(one.session.held)
  const left = one.frames.at(-1) as Wire[]
  t.strictSame(left, [{ channel: '/a', data: 'held' }])
  one.session.disconnect()
  await answer
})

t.test('a publisher hears itself, and its events come before the reply', async t => {
  const { app } = await start(t)
  const one = await SocketClient.join(app)
  await one.subscribe('/a')
  const { id } = await one.publish('/a', 1)
  t.strictSame(one.frames.at(-1), [{ channel: '/a', data: 1 }, { id, channel: '/a', successful: true }])
})

t.test('what falls due in one turn leaves in one frame, in order; messagesPerFrame makes smaller ones', async t => {
  const { app, cometd } = await start(t)
  const one = await SocketClient.join(app)
  await one.subscribe('/a')
  const publish = (n: number): void => { for (let i = 0; i < n; i++) cometd.createServerChannel('/a').publish(null, i) }
  publish(5)
  await one.until(() => one.events('/a').length === 5)
  t.strictSame(one.frames.at(-1)?.map(({ data }) => data), [0, 1, 2, 3, 4])

  cometd.options.messagesPerFrame = 2
  one.frames.length = 0
  publish(5)
  one.raw([{ id: 'x', channel: '/b', data: 1 }, { id: 'y', channel: '/b', data: 1 }, { id: 'z', channel: '/a', data: 5 }])
  await one.reply('z')
  t.strictSame(one.events('/a'), [0, 1, 2, 3, 4, 5])
  t.ok(one.frames.every(({ length }) => length <= 2), 'and never more than 2 in one')
})

t.test('equal frames are one for many sockets, and what differs stays apart', async t => {
  const { app, cometd } = await start(t, { bytesPerFrame: 100_000 })
  await listen(app)
  const clients = await Promise.all(Array.from({ length: 4 }, async () => await SocketClient.join(app)))
  const loner = await SocketClient.join(app)
  await loner.subscribe('/news')
  const [news, ...rooms] = ['/news', '/rooms/0', '/rooms/1'].map(name => cometd.createServerChannel(name))
  for (const [i, client] of clients.entries()) await client.subscribe(['/news', `/rooms/${i % 2}`])
  news?.publish(null, '€ 1')
  for (const [i, room] of rooms.entries()) room.publish(null, i)
  news?.publish(null, 'x'.repeat(70_000))
  for (const [i, client] of clients.entries()) {
    await client.until(() => client.events('/news').length === 2)
    t.strictSame(client.frames.at(-1)?.map(({ data }) => String(data).length), [3, 1, 70_000])
    t.strictSame(client.events(`/rooms/${i % 2}`), [i % 2])
  }
  await loner.until(() => loner.events('/news').length === 2)
  t.equal(loner.frames.at(-1)?.length, 2)
})

t.test('B57: a newer connect displaces the older one, which is not answered', async t => {
  const { app, clock } = await start(t, { timeout: 1_000 })
  const one = await SocketClient.join(app)
  await one.connect()
  const first = await one.hold()
  first.answer.then(() => t.fail('the displaced connect was answered'), t.threw)
  const { answer } = await one.hold()
  clock.tick(1_050)
  t.match(await answer, { channel: '/meta/connect', successful: true })
  await one.caughtUp()
})

t.test('a held connect is the heartbeat: it is answered after timeout, and a client that does not come back is swept and its socket closed', async t => {
  const { app, clock } = await start(t, { timeout: 3_000, maxInterval: 2_000 })
  const one = await SocketClient.join(app)
  await one.connect()
  const { session } = one
  const { answer } = await one.hold()
  clock.tick(3_050)
  await answer
  clock.tick(1_900)
  t.notOk(session.removed)
  const removed = once(session, 'removed')
  clock.tick(200)
  t.strictSame((await removed).slice(1), [true, 'timeout'])
  t.strictSame(await one.closed, { code: 1000, reason: 'session ended' })
})

t.test('B61: on a disconnect of the client the connect is answered first, then the disconnect, then the socket closes', async t => {
  const { app } = await start(t)
  const one = await SocketClient.join(app)
  await one.connect()
  const { answer } = await one.hold()
  const { id } = await one.send({ channel: '/meta/disconnect' })
  t.strictSame(one.frames.at(-1), [
    { ...await answer, advice: { ...whole, reconnect: 'none' } },
    { id, channel: '/meta/disconnect', successful: true }
  ])
  t.strictSame(await one.closed, { code: 1000, reason: 'session ended' })
})

t.test('on a disconnect by the server: what is queued, the connect, the disconnect, then the socket closes', async t => {
  const { app } = await start(t)
  const one = await SocketClient.join(app)
  await one.connect()
  await one.hold()
  const { session } = one
  session.deliver(null, '/a', 'last')
  session.disconnect()
  t.strictSame(await one.closed, { code: 1000, reason: 'session ended' })
  t.match(one.frames.at(-1), [
    { channel: '/a', data: 'last' },
    { channel: '/meta/connect', successful: true, advice: { reconnect: 'none' } },
    { channel: '/meta/disconnect', successful: true }
  ])
})

t.test('the order holds when an extension takes its time with the connect only', async t => {
  const { app, cometd } = await start(t)
  cometd.addExtension({
    outgoing: (cometd, sender, session, message, callback) => {
      if (message.channel === '/meta/connect') setImmediate(callback, null, message)
      else callback(null, message)
    }
  })
  const one = await SocketClient.join(app)
  await one.connect()
  await one.hold()
  one.raw([{ id: 'bye', channel: '/meta/disconnect', clientId: one.clientId }])
  await one.closed
  t.strictSame(one.messages.slice(-2).map(({ channel }) => channel), ['/meta/connect', '/meta/disconnect'])
})

t.test('a session that the server ends between two connects is told at once, and again if it asks', async t => {
  const { app } = await start(t)
  const one = await SocketClient.join(app)
  await one.connect()
  const { clientId, session } = one
  session.disconnect()
  await one.closed
  t.strictSame(one.messages.at(-1), { channel: '/meta/disconnect', successful: true })
  const again = await SocketClient.open(app)
  again.clientId = clientId
  t.match(await again.connect(), { successful: true, advice: { reconnect: 'none' } })
  t.match(await again.connect(), { successful: false, error: '402::session_unknown' })
})

t.test('one session to a socket: the id of another one is refused and changes nothing', async t => {
  const { app } = await start(t)
  const one = await SocketClient.join(app)
  const two = await SocketClient.join(app)
  await two.connect()
  const { answer } = await two.hold()
  one.raw([{ id: 'x', channel: '/meta/connect', clientId: two.clientId, connectionType: 'websocket' }, { id: 'y', channel: '/meta/disconnect', clientId: two.clientId }])
  t.match(await one.reply('x'), { successful: false, error: '402::session_unknown' })
  t.match(await one.reply('y'), { successful: false, error: '402::session_unknown' })
  t.ok(two.session.held)
  t.match(await one.publish('/a', 1), { successful: true })
  two.session.disconnect()
  await answer
})

t.test('a second handshake gives the socket another session, and ends the one it had', async t => {
  const { app, cometd } = await start(t)
  const one = await SocketClient.join(app)
  await one.connect()
  const { answer } = await one.hold()
  answer.then(() => t.fail('a connect of a session that was given up is answered'), t.threw)
  const { session: first } = one
  const removed = once(first, 'removed')
  await one.handshake()
  t.strictSame((await removed).slice(1), [false, 'disconnect'])
  t.not(one.session, first)
  await one.subscribe('/a')
  await one.publish('/a', 1)
  t.strictSame(one.events('/a'), [1])
  for (let i = 0; i < 20; i++) await one.handshake()
  t.equal(cometd.getServerSession(one.clientId), one.session)
  t.match(await one.publish('/a', 1), { successful: true })
})

t.test('a session that ends before its client has used it closes its socket', async t => {
  const { app, clock } = await start(t, { maxInterval: 2_000 })
  const one = await SocketClient.join(app)
  one.session.deliver(null, '/a', 1)
  clock.tick(2_050)
  t.strictSame(await one.closed, { code: 1000, reason: 'session ended' })
  const two = await SocketClient.join(app)
  two.session.disconnect()
  await two.closed
  t.strictSame(two.messages.slice(1), [{ channel: '/meta/disconnect', successful: true }])
})

t.test('a known clientId on a new socket resumes the session, and what was queued meanwhile arrives in order', async t => {
  const { app, cometd, clock } = await start(t, { maxInterval: 5_000 })
  const one = await SocketClient.join(app)
  await one.subscribe('/a')
  await one.connect()
  await one.hold()
  const { session } = one
  const resumed = once(session, 'resumed')
  one.ws.terminate()
  await resumed
  for (let i = 0; i < 3; i++) cometd.createServerChannel('/a').publish(null, i)
  clock.tick(4_000)

  const again = await SocketClient.open(app)
  again.clientId = one.clientId
  t.match(await again.connect({ advice: { timeout: 0 } }), { successful: true, advice: whole })
  t.strictSame(again.events('/a'), [0, 1, 2])
  cometd.createServerChannel('/a').publish(null, 3)
  await again.until(() => again.events('/a').length === 4)
  t.equal(again.session, session)
})

t.test('a session that is continued on another socket leaves the old one, which is closed', async t => {
  const { app, cometd } = await start(t)
  const one = await SocketClient.join(app)
  await one.subscribe('/a')
  await one.connect()
  await one.hold()
  const again = await SocketClient.open(app)
  again.clientId = one.clientId
  const displaced = once(one.session, 'resumed')
  t.match(await again.publish('/b', 1), { successful: true })
  await displaced
  t.strictSame(await one.closed, { code: 1000, reason: 'session continued elsewhere' })
  cometd.createServerChannel('/a').publish(null, 1)
  await again.until(() => again.events('/a').length === 1)
  t.strictSame(one.events('/a'), [])
  await again.hold()
})

t.test('requireHandshakePerConnection: a new socket begins with a handshake', async t => {
  const { app } = await start(t, { requireHandshakePerConnection: true })
  const one = await SocketClient.join(app)
  const again = await SocketClient.open(app)
  again.clientId = one.clientId
  t.match(await again.connect(), { successful: false, error: '402::session_unknown' })
  t.match(await one.connect(), { successful: true })
})

t.test('a bound session is resumed only by an upgrade request with its cookie', async t => {
  const { app, open } = await start(t)
  const polling = await open()
  const socket = async (headers: Record<string, string>): Promise<SocketClient> => {
    const client = await SocketClient.open(app, { headers })
    client.clientId = polling.clientId
    return client
  }
  for (const headers of [{}, { cookie: 'BAYEUX_BROWSER=' + '0'.repeat(40) }] as Array<Record<string, string>>) {
    t.match(await (await socket(headers)).connect(), { successful: false, error: '402::session_unknown' })
  }
  t.match(await (await socket({ cookie: polling.cookie as string })).publish('/a', 1), { successful: true })

  // Born on a socket with a cookie, a session is bound to it.
  const cookie = 'BAYEUX_BROWSER=' + 'a'.repeat(40)
  const born = await SocketClient.join(app, { headers: { cookie } })
  const thief = await SocketClient.open(app)
  thief.clientId = born.clientId
  t.match(await thief.publish('/a', 1), { successful: false, error: '402::session_unknown' })
  // Without one, its id is all it has; so has a cookie that is none of ours.
  const free = await SocketClient.join(app, { headers: { cookie: 'BAYEUX_BROWSER=fixed' } })
  const friend = await SocketClient.open(app)
  friend.clientId = free.clientId
  t.match(await friend.publish('/a', 1), { successful: true })
})

t.test('a client falls back to long-polling with its session, and comes back', async t => {
  const { app, cometd, client, clock } = await start(t)
  const cookie = `BAYEUX_BROWSER=${'a'.repeat(40)}`
  const one = await SocketClient.join(app, { headers: { cookie } })
  await one.subscribe('/a')
  await one.connect()
  await one.hold()
  const displaced = once(one.session, 'resumed')
  const polling = Object.assign(client(), { cookie, clientId: one.clientId })
  t.match(await polling.connect({ advice: { timeout: 0 } }), [{ successful: true, advice: whole }])
  await displaced
  t.strictSame(await one.closed, { code: 1000, reason: 'session continued elsewhere' })

  const { answer } = await polling.hold()
  cometd.createServerChannel('/a').publish(null, 1)
  t.match(await answer, [{ channel: '/a', data: 1 }, { channel: '/meta/connect' }])
  const held = await polling.hold()
  const again = await SocketClient.open(app, { headers: { cookie } })
  again.clientId = one.clientId
  const refused = held.answer.then(() => 'answered', () => 'displaced')
  const id = 'back'
  again.raw([{ id, channel: '/meta/connect', clientId: again.clientId, connectionType: 'websocket' }])
  t.equal(await refused, 'displaced')
  cometd.createServerChannel('/a').publish(null, 2)
  await again.until(() => again.events('/a').length === 1)
  clock.tick(30_050)
  t.match(await again.reply(id), { advice: whole }, 'advice, since the transport is another one')
})

t.test('a socket that closes arms the expiry at once, with or without a held connect', async t => {
  const { app, clock } = await start(t, { timeout: 30_000, maxInterval: 2_000 })
  await listen(app)
  remember(app)
  for (const held of [true, false]) {
    const one = await SocketClient.join(app)
    await one.connect()
    if (held) await one.hold()
    const { session } = one
    clock.tick(1_000)
    await drop(app, one)
    clock.tick(1_500)
    t.notOk(session.removed)
    const removed = once(session, 'removed')
    clock.tick(550)
    t.strictSame((await removed).slice(1), [true, 'timeout'])
  }
})

t.test('metaConnectDeliveryOnly: events come only with the answer to a connect', async t => {
  const { app, cometd, open } = await start(t)
  const one = await SocketClient.join(app)
  await one.connect()
  one.session.metaConnectDeliveryOnly = true
  await one.subscribe('/a')
  cometd.createServerChannel('/a').publish(null, 1)
  await one.publish('/b', 1)
  t.strictSame(one.events('/a'), [])
  t.match(await one.connect(), { successful: true })
  t.strictSame(one.frames.at(-1)?.[0], { channel: '/a', data: 1 }, 'with a connect that finds them waiting')
  const { answer } = await one.hold()
  cometd.createServerChannel('/a').publish(null, 2)
  const { id } = await answer
  t.strictSame(one.frames.at(-1), [{ channel: '/a', data: 2 }, { channel: '/meta/connect', id, successful: true }], 'with a held connect')

  cometd.options.metaConnectDeliveryOnly = true
  const polling = await open()
  t.ok(polling.session.metaConnectDeliveryOnly)
  await polling.subscribe('/a')
  t.strictSame((await polling.send({ channel: '/a', data: 3 })).map(({ channel, successful }) => [channel, successful]), [['/a', true]])
  t.match(await polling.connect(), [{ channel: '/a', data: 3 }, { channel: '/meta/connect' }])
})

t.test('the context of a message is the upgrade request, without a reply', async t => {
  const { app, cometd } = await start(t)
  const seen: unknown[] = []
  cometd.createServerChannel('/a').addListener('message', async () => {
    await turn()
    const { request, reply, response } = cometd.context
    seen.push(request?.headers['x-user'], reply, response)
  })
  const one = await SocketClient.join(app, { headers: { 'x-user': 'ada' } })
  await one.publish('/a', 1)
  t.strictSame(seen, ['ada', undefined, undefined])
})

t.test('messages of one socket are processed one after the other', async t => {
  const { app, cometd } = await start(t)
  const seen: unknown[] = []
  cometd.createServerChannel('/a').addListener('message', async (session, channel, message) => {
    if (message.data === 1) await turn()
    seen.push(message.data)
  })
  const one = await SocketClient.join(app)
  await Promise.all([one.publish('/a', 1), one.publish('/a', 2), one.publish('/a', 3)])
  t.strictSame(seen, [1, 2, 3])
})

t.test('a reply that JSON cannot hold becomes an error, and the others come', async t => {
  const { app, cometd } = await start(t)
  cometd.addExtension({ outgoing: (cometd, sender, session, message) => { if (message['id'] === 'bad') message['big'] = 1n; return message } })
  const one = await SocketClient.join(app)
  one.raw([{ id: 'bad', channel: '/a', clientId: one.clientId, data: 1 }, { id: 'good', channel: '/a', clientId: one.clientId, data: 1 }])
  t.match(await one.reply('bad'), { successful: false, error: '500::internal_error' })
  t.match(await one.reply('good'), { successful: true })
})

t.test('a plain GET of the path is refused, and so are sockets elsewhere', async t => {
  const { app } = await start(t)
  const url = await listen(app)
  t.equal((await app.inject('/cometd')).statusCode, 400)
  t.equal((await app.inject({ method: 'HEAD', url: '/cometd' })).statusCode, 404)
  const elsewhere = new SocketClient(app, url + '/elsewhere')
  t.equal((await elsewhere.closed).code, 1006)
  await post(url + '/cometd', []).response
})
