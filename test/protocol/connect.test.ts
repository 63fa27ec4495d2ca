import t from 'tap'
import { once, start, turn } from '../helpers/harness.js'

const WHOLE = { reconnect: 'retry', interval: 0, timeout: 30_000 }

t.test('the first connect after a handshake is answered at once, with whole advice', async t => {
  const { client } = await start(t)
  const one = client()
  await one.handshake()
  t.strictSame(await one.connect({ id: 'c1' }), [{ id: 'c1', channel: '/meta/connect', successful: true, advice: WHOLE }])
})

t.test('B55: a connect is held until there is an event, which precedes the reply', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  await one.subscribe('/news')
  const { answer } = await one.hold({ id: 'c2' })
  cometd.createServerChannel('/news').publish(null, 'extra')
  t.strictSame(await answer, [{ channel: '/news', data: 'extra' }, { id: 'c2', channel: '/meta/connect', successful: true }])
})

t.test('what is published together leaves together', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  await one.subscribe('/news')
  const { answer } = await one.hold()
  for (const n of [1, 2, 3]) cometd.createServerChannel('/news').publish(null, n)
  t.strictSame((await answer).map(({ data }) => data), [1, 2, 3, undefined])
})

t.test('B32: a connect is answered when the timeout is over, not before', async t => {
  const { open, clock } = await start(t, { timeout: 5_000 })
  const one = await open()
  const resumed = once(one.session, 'resumed')
  const { answer } = await one.hold({ id: 'x' })
  clock.tick(4_999)
  await turn()
  t.ok(one.session.held)
  clock.tick(51)
  t.strictSame(await answer, [{ id: 'x', channel: '/meta/connect', successful: true }])
  t.equal((await resumed)[2], true, 'resumed by timeout')
})

t.test('B32, B33: the advice that a client sends rules its connect, is clamped, and is answered with whole advice', async t => {
  const { open, clock } = await start(t, { maxClientTimeout: 2_000, maxClientInterval: 700 })
  const one = await open()
  t.strictSame(await one.connect({ id: 'a', advice: { timeout: 0 } }), [{ id: 'a', channel: '/meta/connect', successful: true, advice: WHOLE }], 'timeout 0 is not held')

  const { answer } = await one.hold({ advice: { timeout: 1e12, interval: 1e15 } })
  clock.tick(2_050)
  t.strictSame((await answer)[0]?.advice, { ...WHOLE, interval: 700 })
  clock.tick(10_600)
  t.ok(one.session, 'the interval counts for the expiry')
  clock.tick(150)
  t.notOk(one.session, 'and no more than the clamped one')
})

t.test('advice that makes no sense is ignored', async t => {
  const { open, clock } = await start(t)
  const one = await open()
  for (const value of ['5', 1.5, null, {}, [], true]) {
    const { answer } = await one.hold({ advice: { timeout: value, interval: value } })
    clock.tick(29_000)
    await turn()
    t.ok(one.session.held, JSON.stringify(value))
    clock.tick(1_050)
    t.strictSame((await answer)[0]?.advice, WHOLE)
  }
  t.strictSame((await one.connect({ advice: { timeout: -1, interval: -5 } }))[0]?.advice, WHOLE, 'negative: clamped to 0, so not held')
})

t.test('advice is sent again when the timing changes, and only then', async t => {
  const { open, cometd, clock } = await start(t)
  const one = await open()
  cometd.options.timeout = 1_000
  const first = await one.hold()
  clock.tick(1_050)
  t.strictSame((await first.answer)[0]?.advice, { ...WHOLE, timeout: 1_000 })
  const second = await one.hold()
  clock.tick(1_050)
  t.notOk('advice' in ((await second.answer)[0] as object))
})

t.test('B37, B52: a connect names an enabled transport', async t => {
  const { open } = await start(t)
  const one = await open()
  for (const connectionType of [undefined, 'iframe', 'callback-polling', '__proto__']) {
    t.match(await one.connect({ connectionType }), [{ successful: false, error: '400::connection_type_invalid' }])
  }
})

t.test('B57: a newer connect settles the older one at once and takes over its events', async t => {
  const { open, cometd } = await start(t, { duplicateMetaConnectHttpResponseCode: 409 })
  const one = await open()
  await one.subscribe('/news')
  const suspended = once(one.session, 'suspended')
  const older = one.post([{ channel: '/meta/connect', clientId: one.clientId, connectionType: 'long-polling', id: 'old' }])
  await suspended
  const { answer } = await one.hold({ id: 'new' })
  const response = await older
  t.equal(response.statusCode, 409)
  t.equal(response.body, '')
  cometd.createServerChannel('/news').publish(null, 1)
  t.match(await answer, [{ data: 1 }, { id: 'new', successful: true }])
})

t.test('a displaced connect is answered with 500 by default', async t => {
  const { open } = await start(t)
  const one = await open()
  const suspended = once(one.session, 'suspended')
  const older = one.post([{ channel: '/meta/connect', clientId: one.clientId, connectionType: 'long-polling' }])
  await suspended
  await one.connect({ advice: { timeout: 0 } })
  t.equal((await older).statusCode, 500)
})

t.test('B53: a connect beside other messages is answered at once, the others are handled', async t => {
  const { open } = await start(t)
  const one = await open()
  const replies = await one.send(
    { channel: '/meta/connect', connectionType: 'long-polling' },
    { channel: '/meta/subscribe', subscription: '/a' },
    { channel: '/a', data: 1 })
  t.match(replies, [{ channel: '/a', data: 1 }, { channel: '/meta/connect', successful: true }, { channel: '/meta/subscribe', successful: true }, { channel: '/a', successful: true }])
})

t.test('a connect with events waiting is answered at once with all of them, in order', async t => {
  const { open } = await start(t)
  const one = await open()
  for (let i = 0; i < 5; i++) one.session.deliver(null, '/private', i)
  t.strictSame((await one.connect()).map(({ data }) => data), [0, 1, 2, 3, 4, undefined])
})

t.test('B88: connects beyond maxSessionsPerBrowser are told to poll, and are held when there is room', async t => {
  const { client, cometd, open, clock } = await start(t, { multiSessionInterval: 1_500 })
  const first = await open()
  const second = client()
  second.cookie = first.cookie
  await second.open()
  const { answer } = await first.hold()
  t.strictSame(await second.connect({ id: 'p' }), [{
    id: 'p', channel: '/meta/connect', successful: true, advice: { reconnect: 'retry', interval: 1_500, timeout: 30_000, 'multiple-clients': true }
  }])
  clock.tick(11_400)
  t.ok(second.session, 'B59: a polling session lives for its interval longer')
  first.session.deliver(null, '/x', 1)
  await answer
  const held = await second.hold()
  second.session.deliver(null, '/x', 2)
  t.strictSame((await held.answer).at(-1)?.advice, { reconnect: 'retry', interval: 0, timeout: 30_000 }, 'the poll is over')

  cometd.options.maxSessionsPerBrowser = -1
  const both = [await first.hold(), await second.hold()]
  for (const { session } of [first, second]) session.deliver(null, '/x', 3)
  await Promise.all(both.map(async ({ answer }) => await answer))

  cometd.options.maxSessionsPerBrowser = 0
  t.match(await first.connect(), [{ advice: { 'multiple-clients': true } }], 'none is held')

  cometd.options.multiSessionInterval = 0
  t.match(await first.connect(), [{ successful: false, error: '403:max_sessions_per_browser:connect_denied', advice: { reconnect: 'none', 'multiple-clients': true } }])
})

t.test('B6, B58: a connect of an unknown or expired session is sent back to the handshake', async t => {
  const { open, clock } = await start(t)
  const one = await open()
  clock.tick(10_100)
  t.strictSame(await one.connect({ id: 'late' }), [{
    id: 'late', channel: '/meta/connect', successful: false, error: '402::session_unknown', advice: { reconnect: 'handshake', interval: 0, timeout: 30_000 }
  }])
})

t.test('a listener may veto a connect', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  cometd.createServerChannel('/meta/connect').addListener('message', () => false)
  t.match(await one.connect(), [{ successful: false, error: '404::message_deleted' }])
})
