import t from 'tap'
import { once, start, turn } from '../helpers/harness.js'

t.test('B61, B63: a disconnect is confirmed, removes the session, and lets its held connect go first', async t => {
  const { app, open, cometd } = await start(t)
  const order: string[] = []
  app.addHook('onSend', async (request, reply, payload) => { order.push(JSON.parse(payload as string).at(-1).channel) })
  const one = await open()
  await one.subscribe('/a')
  const { session } = one
  const removed = once(session, 'removed')
  const { answer } = await one.hold({ id: 'held' })
  const reply = await one.send({ id: 'bye', channel: '/meta/disconnect' })
  t.strictSame(reply, [{ id: 'bye', channel: '/meta/disconnect', successful: true }])
  t.strictSame(await answer, [{ id: 'held', channel: '/meta/connect', successful: true, advice: { reconnect: 'none', interval: 0, timeout: 30_000 } }])
  t.strictSame(order.slice(-2), ['/meta/connect', '/meta/disconnect'])
  t.strictSame((await removed).slice(1), [false, 'disconnect'])
  t.notOk(cometd.getServerSession(one.clientId))
  t.strictSame(session.subscriptions, [])
  t.match(await one.publish('/a', 1), { error: '402::session_unknown' })
  t.equal(session.disconnect(), false)
  t.equal(session.deliver(null, '/a', 1), false)
})

t.test('messages after a disconnect in the same request have no session any more', async t => {
  const { open } = await start(t)
  const one = await open()
  t.strictSame((await one.send({ channel: '/a', data: 1 }, { channel: '/meta/disconnect' }, { channel: '/a', data: 2 })).map(({ successful }) => successful), [true, true, false])
})

t.test('a session that the server disconnects is told by its held connect', async t => {
  const { open } = await start(t)
  const one = await open()
  const { answer } = await one.hold({ id: 'held' })
  one.session.deliver(null, '/last', 'words')
  let told: unknown
  t.equal(one.session.disconnect((err, removed) => { told = [err, removed] }), true)
  t.strictSame(told, [undefined, true])
  t.match(await answer, [
    { channel: '/last', data: 'words' },
    { channel: '/meta/disconnect', successful: true },
    { id: 'held', channel: '/meta/connect', successful: true, advice: { reconnect: 'none' } }
  ])
})

t.test('a session that the server disconnects between two connects is told by the next one, once', async t => {
  const { client, open, clock, cometd } = await start(t)
  const [one, two] = [await open(), await open()]
  one.session.disconnect()
  t.notOk(cometd.getServerSession(one.clientId))
  t.match(await one.connect(), [{ channel: '/meta/disconnect', successful: true }, { channel: '/meta/connect', successful: true, advice: { reconnect: 'none', interval: 0, timeout: 30_000 } }])
  t.match(await one.connect(), [{ successful: false, error: '402::session_unknown', advice: { reconnect: 'handshake' } }])

  const early = client()
  await early.handshake()
  early.session.disconnect()
  t.match((await early.connect()).at(-1), { successful: true, advice: { reconnect: 'none' } }, 'also if it was never connected')

  two.session.disconnect()
  clock.tick(10_100)
  await turn()
  t.match(await two.connect(), [{ successful: false, error: '402::session_unknown', advice: { reconnect: 'handshake' } }], 'it is not kept for ever')
})

t.test('a session that was disconnected may not publish any more', async t => {
  const { open } = await start(t)
  const one = await open()
  one.session.disconnect()
  t.match((await one.send({ channel: '/a', data: 1 })).at(-1), { successful: false, error: '402::session_unknown' })
})
