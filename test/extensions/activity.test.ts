import t from 'tap'
import { ActivityExtension, type ActivityOptions } from '../../plugin/index.js'
import { once, start, turn } from '../helpers/harness.js'
import { SocketClient } from '../helpers/socket.js'

for (const activity of ['client', 'client-server'] as const) {
  t.test(`a session without activity of ${activity} is told to go away by the reply to its connect`, async t => {
    const { open, clock } = await start(t, { extensions: { activity: { activity, maxInactivity: 10_000 } }, timeout: 4_000 })
    const client = await open()
    const connect = async (): Promise<unknown> => {
      const { answer } = await client.hold()
      await clock.tickAsync(4_100)
      return (await answer).at(-1)
    }
    await connect()
    await connect()
    await client.publish('/a', 1)
    await connect()
    await connect()
    client.session.deliver(null, '/a', 1)
    await client.connect()
    t.match(await connect(), { successful: true, advice: undefined })
    if (activity === 'client-server') {
      await connect()
      t.notOk(client.session.removed, 'what it was sent counts')
      await connect()
    }
    t.match((await client.connect()).at(-1), { channel: '/meta/connect', successful: true, advice: { reconnect: 'none' } })
  })
}

t.test('a session may be inactive for exactly maxInactivity; any message but a connect starts anew', async t => {
  const { cometd, open } = await start(t)
  let now = 0
  cometd.addExtension(new ActivityExtension({ activity: 'client', maxInactivity: 100, now: () => now }))
  const client = await open()
  const removed = once(cometd, 'sessionRemoved')
  const connect = async (): Promise<unknown> => (await client.connect({ advice: { timeout: 0 } })).at(-1)?.['advice'].reconnect
  for (const act of [async () => await client.subscribe('/a'), async () => await client.publish('/a', 1), async () => await client.publish('/service/a', 1), async () => await client.send({ channel: '/meta/unsubscribe', subscription: '/a' })]) {
    now += 100
    t.equal(await connect(), 'retry')
    await act()
  }
  now += 60
  client.session.deliver(null, '/b', 1)
  t.equal(await connect(), 'retry')
  now += 40
  t.equal(await connect(), 'retry', 'connects and deliveries count for nothing')
  now += 1
  t.equal(await connect(), 'none')
  t.strictSame((await removed).slice(1), [false, 'disconnect'])
})

t.test('the end comes over a WebSocket, too, which is then closed', async t => {
  const { app, cometd } = await start(t)
  let now = 0
  cometd.addExtension(new ActivityExtension({ activity: 'client-server', maxInactivity: 100, now: () => now }))
  const client = await SocketClient.join(app)
  await client.connect()
  now = 101
  client.session.deliver(null, '/b', 1)
  await client.caughtUp()
  now = 201
  t.match(await client.connect({ advice: { timeout: 0 } }), { advice: { reconnect: 'retry' } })
  now = 202
  t.match(await client.connect(), { successful: true, advice: { reconnect: 'none' } })
  t.match(await client.closed, { code: 1000, reason: 'session ended' })
})

t.test('messages to a session are copied for nobody, and of sessions that began before nothing is known', async t => {
  const { cometd, open } = await start(t)
  const before = await open()
  cometd.addExtension(new ActivityExtension({ activity: 'client-server', maxInactivity: 100, now: () => 0 }))
  const { session } = await open()
  t.strictSame(session.extensions.map(({ outgoing }) => outgoing), [undefined])
  t.strictSame(before.session.extensions, [])
})

t.test('by default the time is that of the process', async t => {
  const { cometd, client } = await start(t)
  cometd.addExtension(new ActivityExtension({ activity: 'client', maxInactivity: 1 }))
  const one = client()
  await one.handshake()
  const begin = performance.now()
  while (performance.now() - begin < 2) await turn()
  t.match((await one.connect()).at(-1), { advice: { reconnect: 'none' } })
})

t.test('wrong options are refused, and the error says where', async t => {
  const good: ActivityOptions = { activity: 'client', maxInactivity: 1 }
  t.ok(new ActivityExtension(good))
  const wrong: Array<[unknown, RegExp]> = [
    [undefined, /^option 'activity': Expected object$/],
    [{ ...good, activity: 'server' }, /^option 'activity.activity': Expected one of "client", "client-server"$/],
    [{ ...good, maxInactivity: 0 }, /^option 'activity.maxInactivity': Expected integer to be greater or equal to 1$/],
    [{ ...good, maxInactivity: '5' }, /'activity.maxInactivity'/], [{ ...good, maxInactivity: NaN }, /'activity.maxInactivity'/],
    [{ activity: 'client' }, /^option 'activity.maxInactivity': Expected required property$/],
    [{ ...good, now: 5 }, /'activity.now': Expected function/], [{ ...good, max: 5 }, /'activity.max': Unexpected property/]
  ]
  for (const [options, message] of wrong) {
    t.throws(() => new ActivityExtension(options as ActivityOptions), { code: 'COMETD_ERR_OPTION_INVALID', message })
    if (options !== undefined) await t.rejects(start(t, { extensions: { activity: options as ActivityOptions } }), { code: 'COMETD_ERR_OPTION_INVALID', message })
  }
  await t.rejects(start(t, { extensions: { activity: true as never } }), { message: /^option 'extensions.activity': Expected one of false, "object"$/ })
  t.strictSame((await start(t, { extensions: { activity: false } })).cometd.extensions, [])
})
