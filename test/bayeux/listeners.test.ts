import t from 'tap'
import { memoryLog, start, turn } from '../helpers/harness.js'

t.test('message listeners hear what is published on the channel and on wildcards, from the widest to the name itself', async t => {
  const { open, cometd } = await start(t)
  const heard: unknown[] = []
  for (const name of ['/a/b', '/a/*', '/a/**', '/**', '/*', '/a']) {
    cometd.createServerChannel(name).addListener('message', (session, channel, message) => { heard.push([channel.name, message.channel, message.data, session?.id]) })
  }
  const one = await open()
  heard.length = 0
  await one.publish('/a/b', 1)
  t.strictSame(heard, ['/**', '/a/**', '/a/*', '/a/b'].map(name => [name, '/a/b', 1, one.clientId]))
  heard.length = 0
  cometd.createServerChannel('/a/b').publish(null, 2)
  t.strictSame(heard.at(-1), ['/a/b', '/a/b', 2, undefined])
})

t.test('a message listener vetoes with false, in every style', async t => {
  const { open, cometd } = await start(t)
  const [one, two] = [await open(), await open()]
  await two.subscribe('/a')
  const channel = cometd.createServerChannel('/a')
  const vetoes = [() => false, async () => false, (session: unknown, channel: unknown, message: unknown, callback: (err?: unknown, goesOn?: boolean) => void) => { setImmediate(callback, null, false) }]
  for (const veto of vetoes) {
    channel.addListener('message', veto as () => boolean)
    t.match(await one.publish('/a', 1), { successful: false, error: '404::message_deleted' })
    t.equal(await channel.publish(null, 1), false)
    t.equal(channel.removeListener('message', veto as () => boolean), true)
    t.equal(channel.removeListener('message', veto as () => boolean), false)
  }
  t.equal(two.session.queueLength, 0)
  t.match(await one.publish('/a', 1), { successful: true })
  t.equal(two.session.queueLength, 1)
})

t.test('a listener that fails is logged and hurts its own message only; no batch stays open', async t => {
  const { lines, logger } = memoryLog()
  const { open, cometd } = await start(t, {}, { logger })
  const one = await open()
  await one.subscribe('/a')
  const fails = [() => { throw new Error('f') }, async () => { throw new Error('f') },
    (session: unknown, channel: unknown, message: unknown, callback: (err: Error) => void) => { callback(new Error('f')) },
    async (session: unknown, channel: unknown, message: unknown, callback: unknown) => { throw new Error('f') }]
  for (const fail of fails) {
    const channel = cometd.createServerChannel('/bad')
    channel.addListener('message', fail as () => void)
    const replies = await one.send({ channel: '/bad', data: 1 }, { channel: '/a', data: 2 })
    t.match(replies, [{ channel: '/a', data: 2 }, { successful: false, error: '500::internal_error' }, { successful: true }])
    t.equal(await channel.publish(null, 1), false)
    channel.removeListener('message', fail as () => void)
    t.notOk(one.session.batching)
  }
  t.ok(lines.filter(({ level, err }) => level === 50 && (err as Error).message === 'f').length >= 8)
})

t.test('listeners of events may fail without harm', async t => {
  const { lines, logger } = memoryLog()
  const { open, cometd } = await start(t, {}, { logger })
  cometd.addListener('sessionAdded', () => { throw new Error('sync') })
  cometd.addListener('sessionAdded', async () => { throw new Error('async') })
  const one = await open()
  await turn()
  t.ok(one.session)
  t.strictSame(lines.filter(({ level }) => level === 50).map(({ err, msg }) => [(err as Error).message, msg]), [['sync', "listener of 'sessionAdded' failed"], ['async', "listener of 'sessionAdded' failed"]])
})

t.test('what never answers is cut off after maxProcessing; its message is refused and its request answered', async t => {
  const { lines, logger } = memoryLog()
  const { client, open, cometd, clock } = await start(t, { maxProcessing: 3_000 }, { logger })
  const one = await open()
  await one.subscribe('/c')
  const never = async (): Promise<never> => await new Promise(() => {})
  const asked = async (answer: Promise<unknown>): Promise<unknown> => {
    await turn()
    await turn()
    clock.tick(2_900)
    await turn()
    clock.tick(200)
    return await answer
  }
  const late = { successful: false, error: '503::processing_timeout' }

  cometd.createServerChannel('/a').addListener('message', never)
  t.match(await asked(one.publish('/a', 1)), late)
  t.notOk(one.session.batching)
  cometd.createServerChannel('/b').addListener('message', (session, channel, message, callback) => {})
  t.match(await asked(one.publish('/b', 1)), late)

  cometd.policy = { canPublish: never, canHandshake: never }
  t.match(await asked(one.publish('/c', 1)), late)
  t.match(await asked(client().handshake()), { ...late, advice: { reconnect: 'handshake' } })
  cometd.policy = null

  const extension = { incoming: never }
  cometd.addExtension(extension)
  t.match(await asked(one.publish('/c', 1)), late)
  cometd.removeExtension(extension)
  const outgoing = { outgoing: (server: unknown, sender: unknown, session: unknown, message: object) => 'data' in message ? never() : true }
  cometd.addExtension(outgoing as never)
  t.match(await asked(one.publish('/c', 1)), { successful: false })
  cometd.removeExtension(outgoing as never)

  t.match(await one.send({ channel: '/c', data: 2 }), [{ data: 2 }, { successful: true }], 'the server is as it was')
  t.ok(lines.filter(({ err }) => (err as { code?: string } | undefined)?.code === 'COMETD_ERR_PROCESSING_TIMEOUT').length >= 6)
})

t.test('an answer that comes after the cut changes nothing', async t => {
  const { open, cometd, clock } = await start(t)
  const [one, two] = [await open(), await open()]
  await two.subscribe('/a')
  let allow: (allowed: boolean) => void = () => {}
  cometd.policy = { canPublish: async () => await new Promise<boolean>(resolve => { allow = resolve }) }
  const reply = one.publish('/a', 1)
  await turn()
  await turn()
  clock.tick(8_100)
  t.match(await reply, { error: '503::processing_timeout' })
  allow(true)
  await turn()
  t.equal(two.session.queueLength, 0)
})

t.test('a callback counts once', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  cometd.createServerChannel('/a').addListener('message', (session, channel, message, callback) => {
    setImmediate(() => { callback(null, true); callback(null, false); callback(new Error('late')) })
  })
  t.match(await one.publish('/a', 1), { successful: true })
})

t.test('server events tell of sessions, channels and subscriptions', async t => {
  const { open, cometd, clock } = await start(t)
  const events: string[] = []
  cometd.addListener('sessionAdded', (session, message) => { events.push(`sessionAdded ${message.channel}`) })
  cometd.addListener('sessionRemoved', (session, timeout) => { events.push(`sessionRemoved ${timeout}`) })
  cometd.addListener('channelAdded', channel => { events.push(`channelAdded ${channel.name}`) })
  cometd.addListener('channelRemoved', channel => { events.push(`channelRemoved ${channel.name}`) })
  cometd.addListener('subscribed', (channel, session, message) => { events.push(`subscribed ${channel.name} ${message.channel}`) })
  cometd.addListener('unsubscribed', (channel, session, message) => { events.push(`unsubscribed ${channel.name} ${message?.channel}`) })
  const one = await open()
  await one.subscribe(['/a', '/b'])
  await one.send({ channel: '/meta/unsubscribe', subscription: '/a' })
  await one.send({ channel: '/meta/disconnect' })
  clock.tick(5_000)
  t.strictSame(events, ['sessionAdded /meta/handshake', 'channelAdded /a', 'subscribed /a /meta/subscribe', 'channelAdded /b', 'subscribed /b /meta/subscribe',
    'unsubscribed /a /meta/unsubscribe', 'sessionRemoved false', 'unsubscribed /b undefined', 'channelRemoved /a', 'channelRemoved /b'])
})

t.test('listeners can be listed and removed; events that do not exist are an error', async t => {
  const { open, cometd } = await start(t)
  const { session } = await open()
  const channel = cometd.createServerChannel('/a')
  for (const [owner, event] of [[cometd, 'subscribed'], [channel, 'message'], [session, 'removed']] as const) {
    const source = owner as typeof cometd
    const [one, two] = [() => {}, () => {}]
    const name = event as 'subscribed'
    source.addListener(name, one)
    source.addListener(name, two)
    t.strictSame(source.listeners(name), [one, two])
    t.equal(source.removeListener(name, one), true)
    t.equal(source.removeListener(name, one), false)
    t.strictSame(source.listeners(name), [two])
    t.throws(() => (source as { addListener: (event: string, listener: () => void) => void }).addListener('nonsense', one), { code: 'COMETD_ERR_EVENT_UNKNOWN' })
    t.throws(() => source.addListener(name, 'x' as never), { code: 'COMETD_ERR_HANDLER_INVALID' })
  }
})

t.test('what a listener of a session publishes comes after the message that it was told of, once, for everybody', async t => {
  const { cometd, open } = await start(t)
  const clients = [await open(), await open(), await open()]
  const channel = cometd.createServerChannel('/a/b')
  for (const client of clients) await client.subscribe(['/a/b', '/a/*', '/a/**'])
  clients[0]?.session.addListener('queueOffer', (session, { data }) => {
    if (data === 1) for (const next of [2, 3]) channel.publish(null, next)
  })
  t.equal(channel.publish(null, 1), true)
  channel.publish(null, 4)
  for (const client of clients) t.strictSame((await client.connect()).map(({ data }) => data), [1, 2, 3, 4, undefined])
})
