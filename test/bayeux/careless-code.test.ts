import t from 'tap'
import type { ServerChannel, ServerSession } from '../../plugin/index.js'
import { filterData, filterStrings } from '../../plugin/index.js'
import { SafeLog } from '../../plugin/bayeux/safe-log.js'
import { Turns } from '../../plugin/bayeux/turns.js'
import { type LogLine, memoryLog, start, turn, type Wire } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { SocketClient } from '../helpers/socket.js'

const failures = (lines: LogLine[]): string[] => lines.filter(({ level }) => level === 50).map(({ msg }) => msg)

t.test('a listener that publishes while a broadcast to 6,000 goes out is heard after it, and broadcasts go on', async t => {
  const { cometd } = await start(t, { maxQueue: 10_000 })
  const audited: unknown[] = []
  const audit = cometd.createServerChannel('/audit')
  audit.addListener('message', (session, channel, { data }) => { audited.push(data) })
  const auditor = cometd.newLocalSession()
  await auditor.handshake()
  const got: unknown[] = []
  await auditor.subscribe('/audit', ({ data }) => { got.push(data) })
  const news = cometd.createServerChannel('/news')
  for (let i = 0; i < 6_000; i++) {
    const local = cometd.newLocalSession()
    await local.handshake()
    await local.subscribe('/news', () => {})
    local.serverSession?.addListener('queueOffer', () => audit.publish(null, i))
  }
  t.equal(news.publish(null, 1), true)
  t.equal(audited.length, 6_000)
  await turn()
  await turn()
  t.strictSame(got, audited)
  t.equal(news.publish(null, 2), true)
  await turn()
  await turn()
  t.equal(got.length, 12_000, 'and once more')
})

t.test('listeners that end one session after the other, each within the last, come to all of them', async t => {
  const { cometd } = await start(t)
  const sessions: ServerSession[] = []
  for (let i = 0; i < 5_000; i++) {
    const local = cometd.newLocalSession()
    await local.handshake()
    sessions.push(local.serverSession as ServerSession)
  }
  let removed = 0
  cometd.addListener('sessionRemoved', () => { sessions[++removed]?.disconnect() })
  sessions[0]?.disconnect()
  while (removed < sessions.length) await turn()
  t.equal(cometd.statistics.sessions, 0)
})

t.test('a listener that publishes what it listens to is stopped with a line in the log', async t => {
  const { lines, logger } = memoryLog()
  const { cometd, open } = await start(t, {}, { logger })
  const loop = cometd.createServerChannel('/loop')
  let calls = 0
  loop.addListener('message', () => { calls++; loop.publish(null, calls) })
  const one = await open()
  t.match(await one.publish('/loop', 0), { successful: true })
  t.ok(calls > 10 && calls < 1_000, `${calls} calls`)
  t.match(lines.find(({ level }) => level === 50), { err: { code: 'COMETD_ERR_CALLS_NESTED' } })
  const { session } = one
  session.addListener('message', () => { session.deliver(null, '/x', 1); return true })
  session.deliver(null, '/x', 1)
  t.ok(session.queueLength < 1_000)
  t.match(await one.publish('/a', 1), { successful: true }, 'the server is as it was')
})

t.test('a promise where none is waited for is logged, also if it rejects, and decides nothing', async t => {
  const { lines, logger } = memoryLog()
  const { cometd, open } = await start(t, { maxQueue: 2 }, { logger })
  const one = await open()
  const { session } = one
  const reject = async (): Promise<never> => { throw new Error('late') }
  session.addListener('message', reject as never)
  session.addListener('queueMaxed', reject as never)
  for (const event of ['queueOffer', 'queueDrain', 'suspended', 'resumed', 'removed'] as const) session.addListener(event, reject)
  session.deliver(null, '/a', 1, reject as never)
  session.deliver(null, '/b', 1)
  t.equal(session.deliver(null, '/c', 1), false)
  t.equal(session.removed, true, 'as if nobody had decided')
  session.deliver(null, 'nonsense', 1, reject as never)
  session.disconnect(reject as never)
  cometd.createServerChannel('/a').publish(null, 1, reject as never)
  cometd.createServerChannel('/a').publish(null, 1, () => { throw new Error('at once') })
  t.throws(() => cometd.createServerChannel('/new', reject as never), { code: 'COMETD_ERR_HANDLER_INVALID' })
  t.notOk(cometd.getServerChannel('/new'))
  await one.handshake()
  t.throws(() => cometd.revoke(reject as never), { code: 'COMETD_ERR_HANDLER_INVALID' })
  const filtered = cometd.createServerChannel('/filtered')
  filtered.addListener('message', filterData(filterStrings(reject as never)))
  t.match(await one.publish('/filtered', 'text'), { successful: false, error: '500::internal_error' })
  await turn()
  await turn()
  t.equal(failures(lines).filter(msg => msg === "listener of 'message' failed").length, 4)
  t.ok(failures(lines).includes("listener of 'queueMaxed' failed"))
  t.equal(failures(lines).filter(msg => msg === 'callback failed').length, 5)
})

t.test('a format of timestamps that gives a promise is logged, and the message goes on', async t => {
  const { lines, logger } = memoryLog()
  const { open } = await start(t, { extensions: { timestamp: { format: (async () => { throw new Error('late') }) as never } } }, { logger })
  t.match(await (await open()).publish('/a', 1), { successful: true, timestamp: undefined })
  await turn()
  t.ok(failures(lines).includes('outgoing server extension failed'))
})

t.test('a thenable that breaks its promise of never throwing hurts its message only', async t => {
  const { cometd, open } = await start(t)
  const then = (): never => { throw new Error('broken') }
  cometd.createServerChannel('/a').addListener('message', () => ({ then }) as never)
  const one = await open()
  t.match(await one.publish('/a', 1), { successful: false, error: '500::internal_error' })
  const { session } = one
  const { answer } = await one.hold()
  const thenable = { then: (resolve: (value: number) => void) => { session.deliver(null, '/b', 1); setImmediate(() => { session.deliver(null, '/b', 2); resolve(3) }) } }
  t.equal(await session.batch(() => thenable), 3)
  t.strictSame((await answer).map(({ data }) => data), [1, 2, undefined], 'batch holds back until it is done')
})

t.test('a log that fails stops neither expiries nor messages', async t => {
  let broken = false
  // Lines of the plugin, and those about messages of a request.
  const stream = { write (line: string) { if (broken && /"plugin"|refused/.test(line)) throw new Error('disk full') } }
  const { cometd, open, clock, app } = await start(t, { maxInterval: 2_000 }, { logger: { level: 'trace', stream } as never })
  cometd.addListener('sessionRemoved', () => { throw new Error('oops') })
  const sessions = [await open(), await open(), await open()]
  await listen(app)
  broken = true
  clock.tick(3_000)
  t.strictSame(sessions.map(({ session }) => session), [undefined, undefined, undefined])
  const socket = await SocketClient.join(app)
  t.match(await socket.send({ channel: '/a/*', data: 1 }), { successful: false })
  broken = false
  t.ok(await open())
})

t.test('a log hears of everything, until it fails', async t => {
  const heard: unknown[] = []
  const write = (level: string) => (details: object, text: string): void => {
    if (text === 'fail') throw new Error('disk full')
    heard.push([level, details, text])
  }
  const levels = ['error', 'warn', 'info', 'debug'] as const
  const log = new SafeLog(Object.fromEntries(levels.map(level => [level, write(level)])) as never)
  for (const level of levels) {
    log[level]({ a: 1 }, 'text')
    t.doesNotThrow(() => log[level]({}, 'fail'))
  }
  t.strictSame(heard, levels.map(level => [level, { a: 1 }, 'text']))
})

t.test('what cannot be sent keeps nothing from being sent to others', async t => {
  const { lines, logger } = memoryLog()
  const { app, cometd } = await start(t, {}, { logger })
  const [one, two] = [await SocketClient.join(app), await SocketClient.join(app)]
  for (const each of [one, two]) await each.subscribe('/a')
  const outlet = one.session.outlet as object
  Object.assign(outlet, { flush: () => { throw new Error('no') } })
  cometd.createServerChannel('/a').publish(null, 1)
  await two.until(() => two.events('/a').length === 1)
  Reflect.deleteProperty(outlet, 'flush')
  t.ok(failures(lines).includes('messages could not be sent'))
})

t.test('a broadcast that fails in the middle keeps none from being sent afterwards', async t => {
  const { lines, logger } = memoryLog()
  const { cometd, open } = await start(t, {}, { logger })
  const [one, two] = [await open(), await open()]
  for (const each of [one, two]) await each.subscribe(['/a', '/b'])
  const { receive } = one.session
  const a = cometd.createServerChannel('/a')
  Object.assign(one.session, { receive: () => { throw new Error('no') } })
  t.throws(() => a.publish(null, 1), { message: 'no' })
  Object.assign(one.session, { receive })
  two.session.addListener('queueOffer', (session, { channel }) => {
    if (channel !== '/a') return
    Object.assign(one.session, { receive: () => { throw new Error('no') } })
    cometd.createServerChannel('/b').publish(null, 2)
  })
  a.publish(null, 3)
  Object.assign(one.session, { receive })
  t.ok(failures(lines).includes('broadcast failed'))
  a.publish(null, 4)
  t.ok((await one.connect()).some(({ data }) => data === 4))
})

t.test('what a listener publishes while a broadcast goes out is refused there and then if it is no JSON, or has to wait for an extension', async t => {
  const { lines, logger } = memoryLog()
  const { cometd, open } = await start(t, {}, { logger })
  const one = await open()
  await one.subscribe(['/a', '/bad', '/late'])
  const [a, bad, late] = ['/a', '/bad', '/late'].map(name => cometd.createServerChannel(name)) as [ServerChannel, ServerChannel, ServerChannel]
  bad.addListener('message', (session, channel, message) => { message.data = 1n })
  const outcomes: unknown[] = []
  one.session.addListener('queueOffer', (session, { channel }) => { if (channel === '/a') outcomes.push(bad.publish(null, 1), late.publish(null, 'late')) })
  a.publish(null, 1)
  t.strictSame(outcomes, [false, true])
  t.ok(failures(lines).some(msg => msg.startsWith('message deleted')))
  outcomes.length = 0
  cometd.addExtension({ outgoing: (...[, , , message]) => message.channel === '/late' ? Promise.resolve() : undefined })
  a.publish(null, 2)
  t.strictSame(await Promise.all(outcomes), [false, true])
  t.strictSame((await one.connect()).map(({ data }) => data), [1, 'late', 2, 'late', undefined])
})

t.test('what is done for each of many is done in slices, in order', async t => {
  let now = 0
  const deferred: Array<() => void> = []
  const turns = new Turns(code => { deferred.push(code) }, () => now, new SafeLog({} as never))
  const done: number[] = []
  const all = turns.each([1, 2, 3, 4, 5], item => { done.push(item); now += 6 })
  t.strictSame(done, [1, 2])
  deferred.shift()?.()
  await turn()
  t.strictSame(done, [1, 2, 3, 4])
  deferred.shift()?.()
  await all
  t.strictSame(done, [1, 2, 3, 4, 5])
})

t.test('what is to be flushed is flushed in slices, and what comes meanwhile after it', async t => {
  let now = 0
  const deferred: Array<() => void> = []
  const turns = new Turns(code => { deferred.push(code) }, () => now, new SafeLog({} as never))
  const done: number[] = []
  const flushable = (i: number): { flushing: boolean, flush: () => void } => ({
    flushing: false,
    flush () {
      done.push(i)
      now++
      if (i === 3) turns.flushLater(flushable(100))
    }
  })
  for (let i = 0; i < 20; i++) turns.flushLater(flushable(i))
  const counts: number[] = []
  while (deferred.length > 0) {
    deferred.shift()?.()
    counts.push(done.length)
  }
  t.strictSame(counts, [16, 21])
  t.strictSame(done, [...Array.from({ length: 20 }, (_, i) => i), 100])
})

t.test('a session that a listener ends in the middle of an array of subscriptions is subscribed to nothing', async t => {
  const { cometd, open } = await start(t)
  for (const event of ['subscribed', 'channelAdded', 'channelCreating'] as const) {
    const one = await open()
    const { session } = one
    const end = (): void => { session.disconnect() }
    cometd.addListener(event, end)
    t.match(await one.subscribe([1, 2, 3].map(i => `/${event}/${i}`)), { successful: false, error: '402::session_unknown' }, event)
    cometd.removeListener(event, end)
    t.strictSame(session.subscriptions, [])
    for (const i of [1, 2, 3]) t.strictSame(cometd.getServerChannel(`/${event}/${i}`)?.subscribers ?? [], [])
  }
})

t.test('a session that a listener ends while it unsubscribes is told so', async t => {
  const { cometd, open } = await start(t)
  const one = await open()
  await one.subscribe(['/a', '/b'])
  cometd.addListener('unsubscribed', (channel, session) => { session.disconnect() })
  t.match(await one.send({ channel: '/meta/unsubscribe', subscription: ['/a', '/b'] }), [{ channel: '/meta/disconnect' }, { successful: false, error: '402::session_unknown' }])
})

t.test('a session that its listener ends while a message is for it is given nothing any more', async t => {
  const { open } = await start(t, { maxQueue: 1 })
  for (const event of ['message', 'queueMaxed'] as const) {
    const { session } = await open()
    if (event === 'queueMaxed') session.deliver(null, '/a', 0)
    session.addListener(event, () => { session.disconnect(); return (event === 'message' ? true : 'keep') as never })
    t.equal(session.deliver(null, '/a', 1), false, event)
    t.ok(session.removed)
  }
})

t.test('who subscribes while a broadcast goes out does not get it, and does not make it endless', async t => {
  const { cometd } = await start(t)
  const got: Wire[] = []
  const join = async (): Promise<void> => {
    const local = cometd.newLocalSession()
    await local.handshake()
    await local.subscribe('/a', message => { got.push(message) })
  }
  const first = cometd.newLocalSession()
  await first.handshake()
  await first.subscribe('/a', () => {})
  const channel = cometd.createServerChannel('/a')
  const latecomer = cometd.newLocalSession()
  await latecomer.handshake()
  let joined = 0
  first.serverSession?.addListener('queueOffer', () => {
    joined++
    cometd.subscribe(latecomer.serverSession as ServerSession, channel, null as never, undefined)
  })
  channel.publish(null, 1)
  await join()
  await turn()
  t.strictSame(got, [])
  t.equal(latecomer.serverSession?.queueLength, 0)
  t.equal(joined, 1)
})

t.test('what takes long ends in the middle: a server that is closed meanwhile adds no session and sends nothing', async t => {
  const { app, cometd, client, open } = await start(t)
  const goOn: Array<() => void> = []
  const wait = async (): Promise<void> => { await new Promise<void>(resolve => { goOn.push(resolve) }) }
  const one = await open()
  cometd.createServerChannel('/slow').addListener('message', wait)
  cometd.policy = { identify: wait as never, canSubscribe: wait }
  const answers = [client().handshake(), one.publish('/slow', 1), one.subscribe('/b'), one.connect({ ext: { authentication: 1 } }).then(([reply]) => reply)]
  while (goOn.length < answers.length) await turn()
  const closed = app.close()
  while (!cometd.closed) await turn()
  for (const each of goOn) each()
  for (const answer of await Promise.all(answers)) t.match(answer, { successful: false, error: '503::server_closed' })
  await closed
  t.equal(cometd.statistics.sessions, 0)
})
