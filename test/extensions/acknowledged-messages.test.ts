import { randomInt } from 'node:crypto'
import t from 'tap'
import { AcknowledgedMessagesExtension } from '../../plugin/index.js'
import { type Client, memoryLog, once, start, turn, type Wire } from '../helpers/harness.js'
import { SocketClient } from '../helpers/socket.js'

const options = { extensions: { acknowledgement: true } }

async function connect (client: Client | SocketClient, ack: number): Promise<Wire[]> {
  const reply = await client.connect({ ext: { ack } })
  return Array.isArray(reply) ? reply : client instanceof SocketClient ? client.frames.at(-1) as Wire[] : []
}

t.test('a handshake with ext.ack is answered with ext.ack, one without or with false is not', async t => {
  const { cometd, client, open } = await start(t)
  t.notOk('ext' in await client().handshake({ ext: { ack: true } }), 'without the extension')
  const extension = new AcknowledgedMessagesExtension()
  cometd.addExtension(extension)
  for (const ext of [undefined, {}, { ack: false }, { ack: 'yes' }]) {
    const one = client()
    t.notOk('ext' in await one.handshake({ ext }))
    t.notOk(one.session.metaConnectDeliveryOnly)
  }
  const one = await open({ ext: { ack: true } })
  t.ok(one.session.metaConnectDeliveryOnly)
  t.match(await client().handshake({ ext: { ack: true } }), { ext: { ack: true } })
})

t.test('each connect reply closes a batch; batches are numbered from 1', async t => {
  const { cometd, client } = await start(t, options)
  const one = client()
  await one.handshake({ ext: { ack: true } })
  t.match(await connect(one, 0), [{ ext: { ack: 1 }, successful: true }])
  await one.subscribe('/a')
  cometd.createServerChannel('/a').publish(null, 1)
  t.match(await connect(one, 1), [{ data: 1 }, { ext: { ack: 2 } }])
  const held = await one.hold({ ext: { ack: 2 } })
  cometd.createServerChannel('/a').publish(null, 2)
  t.match(await held.answer, [{ data: 2 }, { ext: { ack: 3 } }])
})

t.test('what was not acknowledged is sent again at once, before what is new', async t => {
  for (const socket of [false, true]) {
    const { app, cometd, client } = await start(t, options)
    const one = socket ? await SocketClient.open(app) : client()
    await one.handshake({ ext: { ack: true } })
    await connect(one, 0)
    await one.subscribe('/a')
    const news = cometd.createServerChannel('/a')
    news.publish(null, 1)
    news.publish(null, 2)
    t.match((await connect(one, 1)).map(({ data, ext }) => data ?? ext.ack), [1, 2, 2])
    t.match((await connect(one, 1)).map(({ data, ext }) => data ?? ext.ack), [1, 2, 3], 'the reply was lost')
    news.publish(null, 3)
    t.match((await connect(one, 2)).map(({ data, ext }) => data ?? ext.ack), [3, 4], 'it was not lost, but came late')
    const { session } = one
    const suspended = once(session, 'suspended')
    const last = one.connect({ ext: { ack: 4 } })
    await suspended
    session.disconnect()
    await last
    t.ok(session.removed)
  }
})

t.test('events ride only in connect replies, and what was queued before counts', async t => {
  const { app } = await start(t, options)
  const one = await SocketClient.open(app)
  await one.handshake({ ext: { ack: true } })
  one.session.deliver(null, '/early', 1)
  await one.subscribe('/a')
  await one.publish('/a', 2)
  t.strictSame(one.messages.filter(({ data }) => data !== undefined), [])
  t.match((await connect(one, 0)).map(({ data, ext }) => data ?? ext.ack), [1, 2, 1])
})

t.test('an answer that fails on its way is repaired, whether or not the client had got it', async t => {
  for (const got of [true, false]) {
    let fail = false
    const { app, client, cometd } = await start(t, options)
    app.addHook('onSend', async () => { if (fail) throw new Error('the network is down') })
    const one = client()
    await one.handshake({ ext: { ack: true } })
    await one.connect({ ext: { ack: 0 } })
    await one.subscribe('/a')
    cometd.createServerChannel('/a').publish(null, 1)
    fail = true
    t.equal((await one.post([{ channel: '/meta/connect', clientId: one.clientId, connectionType: 'long-polling', ext: { ack: 1 } }])).statusCode, 500)
    fail = false
    cometd.createServerChannel('/a').publish(null, 2)
    t.match((await connect(one, got ? 2 : 1)).map(({ data, ext }) => data ?? ext.ack), got ? [2, 3] : [1, 2, 3])
  }
})

t.test('a client that never acknowledges keeps no more alive than a queue may', async t => {
  for (const limit of [{ maxQueue: 3 }, { maxQueueBytes: 150 }]) {
    const { cometd, client } = await start(t, { ...options, ...limit })
    const one = client()
    await one.handshake({ ext: { ack: true } })
    await one.connect({ ext: { ack: 0 } })
    const { session } = one
    for (let i = 0; i < 3; i++) {
      t.equal(session.deliver(null, '/a', 'x'.repeat(20)), true)
      await one.connect()
    }
    t.equal(session.deliver(null, '/a', 'x'.repeat(20)), false)
    t.ok(session.removed)
    t.equal(cometd.getServerSession(one.clientId), undefined)

    // There is nothing in the queue that could be dropped.
    const other = client()
    await other.handshake({ ext: { ack: true } })
    await other.connect({ ext: { ack: 0 } })
    other.session.addListener('queueMaxed', () => 'dropOldest')
    for (let i = 0; i < 4; i++) other.session.deliver(null, '/a', String(i).repeat(20))
    t.strictSame((await other.connect({ ext: { ack: 1 } })).map(({ data }) => data?.[0]), ['1', '2', '3', undefined])
    t.equal(other.session.deliver(null, '/a', 'x'.repeat(20)), false)
    t.notOk(other.session)
  }
})

t.test('a client that acknowledges nothing is sent it again less and less often, and no more than fits into an answer', async t => {
  const { client, clock } = await start(t, { ...options, highWaterMark: 2_000 })
  const one = client()
  await one.handshake({ ext: { ack: true } })
  await one.connect({ ext: { ack: 0 } })
  for (let i = 0; i < 100; i++) one.session.deliver(null, '/a', String(i).padEnd(500))
  for (let i = 0; i < 4; i++) {
    const messages = await one.connect({ ext: { ack: 1 } })
    t.strictSame(messages.map(({ data, ext }) => data?.trim() ?? ext.ack), ['0', '1', '2', i + 2])
  }
  let bytes = 0
  for (const pause of [100, 200, 400, 800]) {
    const { answer } = await one.hold({ ext: { ack: 1 } })
    one.session.deliver(null, '/a', 'what is new waits, too')
    await turn()
    clock.tick(pause - 50)
    t.ok(one.session.held)
    clock.tick(100)
    bytes += JSON.stringify(await answer).length
  }
  t.ok(bytes < 4 * 2_500)
  t.match(await one.connect({ ext: { ack: 9 } }), [{ data: /^3/ }, { data: /^4/ }, { data: /^5/ }, {}], 'once it acknowledges, it is served as ever')
})

t.test('what is new does not overtake what is sent again, where it goes on over a way that takes less at once', async t => {
  const { app, client } = await start(t, { ...options, bytesPerFrame: 2_000 })
  const one = client()
  await one.handshake({ ext: { ack: true } })
  await one.connect({ ext: { ack: 0 } })
  for (const bytes of [900, 900]) one.session.deliver(null, '/a', 'x'.repeat(bytes))
  t.equal((await one.connect({ ext: { ack: 1 } })).length, 3)
  one.session.deliver(null, '/a', 'new')
  const socket = await SocketClient.open(app, { headers: { cookie: one.cookie as string } })
  socket.clientId = one.clientId
  await connect(socket, 1)
  t.strictSame(socket.events('/a').map(data => (data as string).length), [900])
  await connect(socket, 3)
  t.strictSame(socket.events('/a').map(data => (data as string).length), [900, 900, 3])
})

t.test('whichever answers are lost, and over which way its client goes on, every message comes, and in order', async t => {
  const { app, client, clock } = await start(t, { ...options, bytesPerFrame: 1_000, highWaterMark: 3_000 })
  const one = client()
  await one.handshake({ ext: { ack: true } })
  await one.connect({ ext: { ack: 0 } })
  const { session } = one
  let sent = 0
  let ack = 1
  const got: number[] = []
  const step = async (loses: boolean): Promise<void> => {
    // Not to be sent again less and less often.
    clock.tick(2_000)
    let messages: Wire[]
    if (randomInt(2) === 0) {
      messages = await one.connect({ ext: { ack }, advice: { timeout: 0 } })
    } else {
      const socket = await SocketClient.open(app, { headers: { cookie: one.cookie as string } })
      socket.clientId = one.clientId
      await socket.connect({ ext: { ack }, advice: { timeout: 0 } })
      messages = socket.messages
      socket.ws.terminate()
      await turn()
    }
    if (loses) return
    for (const { channel, data, ext } of messages) {
      if (channel === '/meta/connect') ack = ext.ack
      else got.push(data.number)
    }
  }
  for (let i = 0; i < 200; i++) {
    for (let j = randomInt(3); j > 0; j--) session.deliver(null, '/a', { number: sent++, text: 'x'.repeat(randomInt(900)) })
    await step(randomInt(3) > 0)
  }
  while (session.queueLength > 0 || session.owes) await step(false)
  const first = [...new Set(got)]
  t.strictSame(first, Array.from({ length: sent }, (_, number) => number))
})

t.test('what is sent again is the text that was sent first, although the object has changed', async t => {
  const { client } = await start(t, options)
  const one = client()
  await one.handshake({ ext: { ack: true } })
  await one.connect({ ext: { ack: 0 } })
  const live = { price: 1 }
  one.session.deliver(null, '/a', live)
  live.price = 2
  t.match(await one.connect({ ext: { ack: 1 } }), [{ data: { price: 1 } }, {}])
  live.price = 3
  t.match(await one.connect({ ext: { ack: 1 } }), [{ data: { price: 1 } }, {}])
})

t.test('what was acknowledged is not kept', async t => {
  const { client } = await start(t, options)
  const one = client()
  await one.handshake({ ext: { ack: true } })
  await one.connect({ ext: { ack: 0 } })
  t.equal(one.session.owes, false)
  one.session.deliver(null, '/a', 1)
  await one.connect({ ext: { ack: 1 } })
  t.equal(one.session.owes, true)
  await one.hold({ ext: { ack: 2 } })
  t.equal(one.session.owes, false)
})

t.test('nonsense in ext.ack acknowledges nothing', async t => {
  const { client, clock } = await start(t, options)
  const one = client()
  await one.handshake({ ext: { ack: true } })
  await connect(one, 0)
  one.session.deliver(null, '/a', 1)
  await connect(one, 1)
  for (const ack of ['2', null, {}, -1, NaN]) {
    const answer = one.connect({ ext: { ack } })
    const time = setInterval(() => clock.tick(100), 5)
    t.equal((await answer.finally(() => clearInterval(time)))[0]?.['data'], 1)
  }
})

t.test('the option is checked', async t => {
  await t.rejects(async () => await start(t, { extensions: { acknowledgment: true } as never }), { code: 'COMETD_ERR_OPTION_INVALID', message: /extensions/ })
})

t.test('what follows the reply to a handshake is the first batch', async t => {
  const { cometd, client } = await start(t, { extensions: { acknowledgement: true }, allowMessageDeliveryDuringHandshake: true })
  cometd.addListener('sessionAdded', session => session.deliver(null, '/welcome', 1))
  const one = client()
  const messages = await one.raw({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'], ext: { ack: true } })
  t.match(messages, [{ successful: true, ext: { ack: { enabled: true, batch: 1 } }, 'x-messages': 1 }, { channel: '/welcome', data: 1 }])
  one.clientId = messages[0]?.['clientId']
  t.match(await one.connect({ ext: { ack: 0 } }), [{ channel: '/welcome', data: 1 }, { ext: { ack: 2 } }], 'again, if it was lost')
  t.match(await one.connect({ ext: { ack: 2 }, advice: { timeout: 0 } }), [{ channel: '/meta/connect', ext: { ack: 3 } }])
})

t.test('answers to other messages carry nothing, whatever the application sets', async t => {
  const { client } = await start(t, options)
  const one = client()
  await one.handshake({ ext: { ack: true } })
  await one.connect({ ext: { ack: 0 } })
  one.session.metaConnectDeliveryOnly = false
  one.session.deliver(null, '/a', 1)
  t.equal((await one.send({ channel: '/b', data: 1 })).length, 1)
  t.match(await one.connect({ ext: { ack: 1 } }), [{ data: 1 }, { ext: { ack: 2 } }])
})

t.test('a client that closes its WebSocket twice since the same message is too large for it is logged, with the option that helps', async t => {
  const { lines, logger } = memoryLog()
  const { app } = await start(t, { ...options, bytesPerFrame: 100_000 }, { logger })
  const warnings = (): number => lines.filter(({ level, option }) => level === 40 && option === 'bytesPerFrame').length
  let one = await SocketClient.open(app)
  await one.handshake({ ext: { ack: true } })
  await one.connect({ ext: { ack: 0 } })
  const { session, clientId } = one
  session.deliver(null, '/a', 'x'.repeat(70_000))
  for (let i = 0; i < 3; i++) {
    t.equal(warnings(), i < 2 ? 0 : 1)
    await connect(one, 1)
    one.ws.close(1009, 'too large')
    await one.closed
    one = await SocketClient.open(app)
    one.clientId = clientId
  }
  t.match(lines.find(({ option }) => option === 'bytesPerFrame'), { session: clientId, bytes: Number })
  one.ws.close(1009)
  await one.closed
  t.equal(warnings(), 1, 'one to which nothing large was sent is no case of it')
})
