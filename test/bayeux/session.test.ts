import t from 'tap'
import type { ServerSession } from '../../plugin/index.js'
import { once, start, turn } from '../helpers/harness.js'

t.test('B58: a session that falls silent expires after interval and maxInterval, and its end is told', async t => {
  const { open, cometd, clock } = await start(t, { interval: 500, maxInterval: 2_000 })
  const one = await open()
  await one.subscribe('/a')
  const events: unknown[] = []
  const channel = cometd.getServerChannel('/a')
  one.session.addListener('removed', (session, timeout, reason) => { events.push(['removed', timeout, reason]) })
  cometd.addListener('sessionRemoved', (session, timeout) => { events.push(['sessionRemoved', timeout]) })
  channel?.addListener('unsubscribed', (channel, session, message) => { events.push(['unsubscribed', message]) })
  clock.tick(2_450)
  t.ok(one.session)
  clock.tick(100)
  t.notOk(one.session)
  t.strictSame(events, [['sessionRemoved', true], ['unsubscribed', null], ['removed', true, 'timeout']])
  t.strictSame(channel?.subscribers, [])
})

t.test('a held session does not expire, and each message puts the expiry off', async t => {
  const { open, clock } = await start(t, { timeout: 60_000 })
  const one = await open()
  const { answer } = await one.hold()
  clock.tick(59_000)
  t.ok(one.session)
  clock.tick(1_050)
  await answer
  clock.tick(9_000)
  await one.publish('/a', 1)
  clock.tick(9_000)
  t.ok(one.session)
  clock.tick(1_100)
  t.notOk(one.session)
})

t.test('a session whose timed out connect waits for an extension can still expire', async t => {
  const { open, cometd, clock } = await start(t, { maxInterval: 2_000, maxProcessing: 60_000 })
  const one = await open()
  const { answer } = await one.hold()
  cometd.addExtension({ outgoing: async () => await new Promise(() => {}) })
  const removed = once(cometd, 'sessionRemoved')
  clock.tick(30_050)
  await turn()
  clock.tick(2_050)
  t.equal((await removed)[1], true)
  clock.tick(60_000)
  t.match(await answer, [{ channel: '/meta/connect', successful: false, error: '503::processing_timeout' }])
})

t.test('a handshake that nothing follows leaves nothing behind', async t => {
  const { client, cometd, clock } = await start(t)
  const one = client()
  await one.handshake()
  t.ok(one.session)
  clock.tick(10_050)
  t.notOk(one.session)
  t.equal(clock.countTimers(), 0, 'not even a timer')
  t.notOk(cometd.closed)
})

t.test('no message keeps a session alive for ever that says nothing more', async t => {
  const { open, clock } = await start(t)
  const one = await open()
  await one.send({ channel: '/meta/connect', connectionType: 'long-polling', advice: { interval: 1e15, timeout: 0 } })
  await one.subscribe('/a')
  clock.tick(60_000 + 10_100)
  t.notOk(one.session)
})

t.test('deliver works without subscription and without a held connect, and tells whether it worked', async t => {
  const { open } = await start(t)
  const one = await open()
  t.equal(one.session.deliver(null, '/service/chat', { text: 'hi' }), true)
  let answer: unknown
  one.session.deliver(one.session, '/anything', undefined, (err, result) => { answer = [err, result] })
  t.strictSame(answer, [undefined, true])
  t.strictSame((await one.connect()).slice(0, 2), [{ channel: '/service/chat', data: { text: 'hi' } }, { channel: '/anything', data: null }])
})

t.test('deliver tells its caller of names and data that cannot be', async t => {
  const { open } = await start(t)
  const { session } = await open()
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const cases = [['nonsense', 1, 'COMETD_ERR_CHANNEL_INVALID'], [7, 1, 'COMETD_ERR_CHANNEL_INVALID'], ['/meta/connect', 1, 'COMETD_ERR_CHANNEL_UNFIT'], ['/a/*', 1, 'COMETD_ERR_CHANNEL_UNFIT'], ['/a', cycle, 'COMETD_ERR_DATA_INVALID'], ['/a', 1n, 'COMETD_ERR_DATA_INVALID']] as const
  for (const [name, data, code] of cases) {
    t.throws(() => session.deliver(null, name as string, data), { code })
    let given: { code?: string } = {}
    t.equal(session.deliver(null, name as string, data, err => { given = err as { code: string } }), false)
    t.equal(given.code, code)
  }
  t.equal(session.queueLength, 0)
})

t.test('batch holds back until its function, which may be asynchronous or fail, is over', async t => {
  const { open } = await start(t)
  const one = await open()
  const { session } = one
  const { answer } = await one.hold()
  const result = session.batch(async () => {
    session.deliver(null, '/a', 1)
    await turn()
    await turn()
    t.ok(session.held, 'still held')
    session.deliver(null, '/a', 2)
    return 'done'
  })
  t.equal(await result, 'done')
  t.strictSame((await answer).map(({ data }) => data), [1, 2, undefined])

  t.throws(() => session.batch(() => { throw new Error('mine') }), { message: 'mine' })
  await t.rejects(session.batch(async () => { throw new Error('mine') }), { message: 'mine' })
  t.equal(session.batch(() => 5), 5)
  const second = await one.hold()
  session.deliver(null, '/a', 3)
  t.equal((await second.answer)[0]?.data, 3, 'the batches are over')
})

t.test('suspended and resumed tell of every hold and of its end', async t => {
  const { open, clock } = await start(t)
  const one = await open()
  const events: unknown[] = []
  one.session.addListener('suspended', (session, message, timeout) => { events.push([message.id, timeout]) })
  one.session.addListener('resumed', (session, message, timeout) => { events.push([message.id, timeout]) })
  const timedOut = await one.hold({ id: 'a' })
  clock.tick(30_050)
  await timedOut.answer
  const woken = await one.hold({ id: 'b' })
  one.session.deliver(null, '/x', 1)
  await woken.answer
  t.strictSame(events, [['a', 30_000], ['a', true], ['b', 30_000], ['b', false]])
})

t.test('queueOffer and queueDrain see the messages; a drain may edit the queue and the replies', async t => {
  const { open } = await start(t)
  const one = await open()
  const { session } = one
  const offered: unknown[] = []
  session.addListener('queueOffer', (session, message) => {
    offered.push(message)
    t.throws(() => { (message as { data: unknown }).data = 'changed' }, TypeError)
  })
  session.addListener('queueDrain', (session, queue, replies) => {
    queue.reverse()
    queue.push({ channel: '/last', data: 'added' }, { channel: '/impossible', data: 1n })
    for (const reply of replies) reply.ext = { queued: queue.length }
  })
  session.deliver(null, '/a', 1)
  session.deliver(null, '/a', 2)
  t.strictSame(await one.connect({ id: 'c' }), [
    { channel: '/a', data: 2 }, { channel: '/a', data: 1 }, { channel: '/last', data: 'added' },
    { id: 'c', channel: '/meta/connect', successful: true, ext: { queued: 4 } }
  ])
  t.strictSame(offered, [{ channel: '/a', data: 1 }, { channel: '/a', data: 2 }])
})

t.test('sessions that come and go leave nothing behind', async t => {
  const { open, cometd, clock } = await start(t)
  let open1: ServerSession[] = []
  cometd.addListener('sessionAdded', session => { open1.push(session) })
  cometd.addListener('sessionRemoved', session => { open1 = open1.filter(other => other !== session) })
  const removed = once(cometd, 'channelRemoved')
  for (let i = 0; i < 20; i++) {
    const one = await open()
    await one.subscribe('/a')
    if (i % 2 === 0) await one.send({ channel: '/meta/disconnect' })
  }
  clock.tick(20_000)
  t.strictSame(open1, [])
  t.equal((await removed as [{ name: string }])[0].name, '/a')
  t.equal(clock.countTimers(), 0)
})

t.test('a session that is ended while it is being added gets no successful reply', async t => {
  const { cometd, client } = await start(t)
  cometd.addListener('sessionAdded', session => { session.disconnect() })
  const reply = await client().handshake()
  t.match(reply, { successful: false, error: '403::handshake_denied', advice: { reconnect: 'none' } })
  t.equal(reply['clientId'], undefined)
  t.equal(cometd.statistics.sessions, 0)
})
