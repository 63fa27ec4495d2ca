import t from 'tap'
import { memoryLog, once, start, turn } from '../helpers/harness.js'

t.test('body bytes: the application\'s bodyLimit, or the option', async t => {
  const message = { channel: '/a', data: 'x'.repeat(2_000) }
  const host = await start(t, {}, { bodyLimit: 1_000 })
  t.match((await host.client().post([message])).json(), { statusCode: 413, code: 'FST_ERR_CTP_BODY_TOO_LARGE' })
  const own = await start(t, { bodyLimit: 3_000 }, { bodyLimit: 1_000 })
  t.equal((await own.client().post([message])).statusCode, 200)
  t.equal((await own.client().post([message, message])).statusCode, 413)
})

t.test('messages in a request: 413 COMETD_ERR_TOO_MANY_MESSAGES', async t => {
  const { client, cometd } = await start(t, { maxMessages: 2 })
  const message = { channel: '/a', data: 1 }
  t.equal((await client().post([message, message])).statusCode, 200)
  t.match((await client().post([message, message, message])).json(), { statusCode: 413, code: 'COMETD_ERR_TOO_MANY_MESSAGES', message: 'a request may carry 2 messages at most' })
  cometd.options.maxMessages = 3
  t.equal((await client().post([message, message, message])).statusCode, 200)
})

t.test('nesting of data and ext: 400:max_depth:message_invalid for that message', async t => {
  const { open } = await start(t, { maxDepth: 3 })
  const one = await open()
  const refused = { successful: false, error: '400:max_depth:message_invalid' }
  t.match(await one.publish('/a', { a: [{ b: 1 }] }), { successful: true })
  t.match(await one.publish('/a', { a: [{ b: [] }] }), refused)
  t.match(await one.publish('/a', 1, { ext: { a: { b: { c: {} } } } }), refused)
  const text = `[{"channel":"/a","clientId":"${one.clientId}","data":${'['.repeat(20_000)}${']'.repeat(20_000)}},{"channel":"/a","clientId":"${one.clientId}","data":1}]`
  t.match((await one.post(text, { 'content-type': 'application/json' })).json(), [refused, { successful: true }])
})

t.test('length and segments of names: 405:<name>:channel_invalid', async t => {
  const { open, cometd } = await start(t, { maxChannelLength: 20, maxChannelSegments: 3 })
  const one = await open()
  const long = '/' + 'x'.repeat(19)
  t.match(await one.subscribe([long, '/a/b/c']), { successful: true })
  for (const name of [long + 'x', '/a/b/c/d']) t.match(await one.subscribe(name), { successful: false, error: `405:${name}:channel_invalid` })
  const huge = '/' + 'x'.repeat(100_000)
  t.match(await one.publish(huge, 1), { channel: huge, error: `405:${huge.slice(0, 255)}:channel_invalid` })
  t.throws(() => cometd.createServerChannel('/a/b/c/d'), { code: 'COMETD_ERR_CHANNEL_INVALID' })
})

t.test('a name of many slashes is refused as fast as any other', async t => {
  const { open } = await start(t, { bodyLimit: 30_000_000 })
  const one = await open()
  const name = '/a'.repeat(5_000_000) + '*'
  const before = process.cpuUsage()
  await one.publish(name, 1)
  t.ok(process.cpuUsage(before).user < 2_000_000)
})

t.test('subscriptions of a session: 403:max_subscriptions:subscribe_denied', async t => {
  const { open } = await start(t, { maxSubscriptions: 3 })
  const one = await open()
  t.match(await one.subscribe(['/a', '/b']), { successful: true })
  t.match(await one.subscribe(['/c', '/d']), { successful: false, error: '403:max_subscriptions:subscribe_denied' })
  t.match(await one.subscribe(['/a', '/c', '/service/x']), { successful: true })
  t.match(await one.subscribe('/d'), { successful: false })
  await one.send({ channel: '/meta/unsubscribe', subscription: '/a' })
  t.match(await one.subscribe('/d'), { successful: true })
})

t.test('a subscription to more channels than a session may have is refused before anyone is asked', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  let asked = 0
  cometd.policy = { canCreate: async () => { asked++ }, canSubscribe: async () => { asked++ } }
  const names = Array.from({ length: 50_000 }, (_, i) => `/a/${i}`)
  t.match(await one.subscribe(names), { successful: false, error: '403:max_subscriptions:subscribe_denied' })
  t.equal(asked, 0)
})

t.test('sessions: 403:max_sessions:handshake_denied, and the client tries again later', async t => {
  const { client, open, clock } = await start(t, { maxSessions: 2, maxInterval: 4_000 })
  await open()
  await open()
  t.match(await client().handshake(), { successful: false, error: '403:max_sessions:handshake_denied', advice: { reconnect: 'handshake', interval: 4_000, timeout: 30_000 } })
  clock.tick(4_100)
  t.match(await client().handshake(), { successful: true })
})

t.test('sessions of one cookie: 403:max_sessions_per_cookie:handshake_denied', async t => {
  const { client, open } = await start(t, { maxSessionsPerCookie: 2 })
  const one = await open()
  const tab = client()
  tab.cookie = one.cookie
  t.match(await tab.handshake(), { successful: true })
  t.match(await tab.handshake(), { successful: false, error: '403:max_sessions_per_cookie:handshake_denied' })
  t.match(await client().handshake(), { successful: true }, 'another browser is not concerned')
  await tab.send({ channel: '/meta/disconnect' })
  t.match(await tab.handshake(), { successful: true })
})

t.test('sessions of one cookie are counted together, also if they shake hands at the same time', async t => {
  const { client, cometd } = await start(t, { maxSessionsPerCookie: 2 })
  const first = client()
  await first.handshake()
  await first.send({ channel: '/meta/disconnect' })
  cometd.policy = { canHandshake: async () => { await turn() } }
  const tabs = [1, 2, 3, 4].map(() => Object.assign(client(), { cookie: first.cookie }))
  const replies = await Promise.all(tabs.map(async tab => await tab.handshake()))
  t.strictSame(replies.map(({ successful }) => successful), [true, true, false, false])
  t.equal(tabs[0]?.session.binding, tabs[1]?.session.binding)
})

t.test('channels that clients created: 403:max_channels:…, those of the application do not count', async t => {
  const { open, cometd, clock } = await start(t, { maxChannels: 2 })
  for (const name of ['/own/1', '/own/2', '/own/3']) cometd.createServerChannel(name).addListener('message', () => {})
  const one = await open()
  t.match(await one.subscribe(['/a', '/b', '/c']), { successful: false, error: '403:max_channels:create_denied' })
  t.match(await one.subscribe(['/a', '/own/1']), { successful: true })
  t.match(await one.publish('/b', 1), { successful: true })
  t.match(await one.publish('/c', 1), { successful: false, error: '403:max_channels:channel_create_denied' })
  t.match(await one.publish('/own/2', 1), { successful: true })
  clock.tick(4_000)
  t.notOk(cometd.getServerChannel('/b'), 'unused channels are swept')
  t.match(await one.publish('/c', 1), { successful: true })
})

for (const [what, options, data] of [['messages', { maxQueue: 3 }, 'x'], ['bytes', { maxQueueBytes: 140 }, 'x'.repeat(20)]] as const) {
  t.test(`a queue full of ${what} removes its session with a line in the log and an event, and the client starts again`, async t => {
    const { lines, logger } = memoryLog()
    const { open, cometd } = await start(t, options, { logger })
    const one = await open()
    const { session } = one
    const removed = once(session, 'removed')
    for (let i = 0; i < 3; i++) t.equal(session.deliver(null, '/a', data), true)
    t.equal(session.deliver(null, '/a', data), false)
    t.strictSame((await removed).slice(1), [false, 'queueMaxed'])
    t.notOk(cometd.getServerSession(one.clientId))
    t.match(lines.find(({ msg }) => msg === 'session removed: its queue is full'), { level: 40, session: one.clientId, messages: 3 })
    t.match(await one.connect(), [{ successful: false, error: '402::session_unknown', advice: { reconnect: 'handshake' } }])
  })

  t.test(`a queueMaxed listener decides what happens to a queue full of ${what}`, async t => {
    const { lines, logger } = memoryLog()
    const { open } = await start(t, options, { logger })
    const fill = async (decision: 'dropOldest' | 'dropNewest' | 'keep'): Promise<unknown[]> => {
      const one = await open()
      one.session.addListener('queueMaxed', () => { throw new Error('first') })
      one.session.addListener('queueMaxed', () => {})
      one.session.addListener('queueMaxed', () => decision)
      for (let i = 0; i < 5; i++) one.session.deliver(null, '/a', `${i}${data.slice(1)}`)
      return (await one.connect()).slice(0, -1).map(({ data }) => Number(data[0]))
    }
    t.strictSame(await fill('dropOldest'), [2, 3, 4])
    t.strictSame(await fill('dropNewest'), [0, 1, 2])
    t.strictSame(await fill('keep'), [0, 1, 2, 3, 4])
    t.ok(lines.some(({ msg }) => msg === "listener of 'queueMaxed' failed"))
  })
}

t.test('a held session takes a burst of any size: it is sent before the queue is full', async t => {
  const { open, cometd } = await start(t, { maxQueue: 3 })
  const one = await open()
  await one.subscribe('/a')
  const { answer } = await one.hold()
  for (let i = 0; i < 5; i++) cometd.createServerChannel('/a').publish(null, i)
  t.strictSame((await answer).slice(0, -1).map(({ data }) => data), [0, 1, 2])
  t.strictSame((await one.connect()).slice(0, -1).map(({ data }) => data), [3, 4])
})

t.test('a session that is removed while its connect is held is sent back to the handshake', async t => {
  const { open } = await start(t, { maxQueue: 1 })
  const one = await open()
  const { answer } = await one.hold({ id: 'h' })
  const { session } = one
  session.batch(() => {
    session.deliver(null, '/a', 1)
    session.deliver(null, '/a', 2)
  })
  t.match((await answer).at(-1), { id: 'h', successful: false, error: '402::session_unknown', advice: { reconnect: 'handshake', interval: 0 } })
})

t.test('one client that does not read costs the others nothing', async t => {
  const { open, cometd } = await start(t, { maxQueue: 10 })
  const [slow, quick] = [await open(), await open()]
  for (const each of [slow, quick]) await each.subscribe('/a')
  const channel = cometd.createServerChannel('/a')
  for (let i = 0; i < 50; i++) {
    const { answer } = await quick.hold()
    channel.publish(null, i)
    t.equal((await answer)[0]?.data, i)
  }
  await turn()
  t.notOk(slow.session)
})
