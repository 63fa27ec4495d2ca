import t from 'tap'
import type { ServerSession } from '../../plugin/index.js'
import { memoryLog, start, turn } from '../helpers/harness.js'

t.test('incoming messages pass the extensions in order, the server\'s before the session\'s; replies pass them in reverse', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  const order: string[] = []
  const see = (name: string) => ({
    incoming: () => { order.push(`${name} in`) },
    outgoing: () => { order.push(`${name} out`) }
  })
  cometd.addExtension(see('server 1'))
  one.session.addExtension(see('session 1'))
  cometd.addExtension(see('server 2'))
  one.session.addExtension(see('session 2'))
  cometd.addExtension({})
  await one.publish('/service/a', 1)
  t.strictSame(order, ['server 1 in', 'server 2 in', 'session 1 in', 'session 2 in', 'server 2 out', 'server 1 out', 'session 2 out', 'session 1 out'])
})

t.test('extensions may be synchronous, give a promise or call back, and delete with false or null', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  let heard = 0
  cometd.createServerChannel('/a').addListener('message', () => { heard++ })
  const deleting = [
    () => false, () => null, async () => false, async () => null,
    (server: unknown, session: unknown, message: unknown, callback: (err?: unknown, goesOn?: boolean | null) => void) => { callback(null, false) },
    (server: unknown, session: unknown, message: unknown, callback: (err?: unknown, goesOn?: boolean | null) => void) => { setImmediate(callback, undefined, null) }
  ]
  for (const incoming of deleting) {
    const extension = { incoming: incoming as () => boolean }
    cometd.addExtension(extension)
    t.match(await one.publish('/a', 1), { successful: false, error: '404::message_deleted' })
    t.equal(cometd.removeExtension(extension), true)
    t.equal(cometd.removeExtension(extension), false)
  }
  t.equal(heard, 0)
  const passing = [() => true, () => undefined, async () => {}, (server: unknown, session: unknown, message: unknown, callback: () => void) => { callback() }]
  for (const incoming of passing) cometd.addExtension({ incoming: incoming as () => boolean })
  t.match(await one.publish('/a', 1), { successful: true })
  t.equal(cometd.extensions.length, passing.length)

  const extension = { incoming: () => false }
  one.session.addExtension(extension)
  t.strictSame(one.session.extensions, [extension])
  t.match(await one.publish('/a', 1), { successful: false, error: '404::message_deleted' })
  t.equal(one.session.removeExtension(extension), true)
  t.equal(one.session.removeExtension(extension), false)
  t.match(await one.publish('/a', 1), { successful: true })
})

t.test('an extension that throws is logged, and the message goes on', async t => {
  const { lines, logger } = memoryLog()
  const { open, cometd } = await start(t, {}, { logger })
  const one = await open()
  await one.subscribe('/a')
  const failing = [() => { throw new Error('e1') }, async () => { throw new Error('e2') }]
  for (const fail of failing) cometd.addExtension({ incoming: fail, outgoing: fail })
  cometd.addExtension({ incoming: (server, session, message, callback) => { callback(new Error('e3')) } })
  one.session.addExtension({ outgoing: () => { throw new Error('e4') } })
  t.match(await one.send({ channel: '/a', data: 1 }), [{ channel: '/a', data: 1 }, { successful: true }])
  const logged = lines.filter(({ level }) => level === 50).map(({ err }) => (err as { message: string }).message)
  for (const message of ['e1', 'e2', 'e3', 'e4']) t.ok(logged.includes(message), message)
})

t.test('outgoing extensions are told who sent a message and to whom: a broadcast once for all', async t => {
  const { open, cometd } = await start(t)
  const [one, two, three] = [await open(), await open(), await open()]
  for (const each of [two, three]) await each.subscribe('/a')
  const seen: unknown[] = []
  cometd.addExtension({
    outgoing (server, sender, session, message) {
      t.equal(server, cometd)
      if (!message.channel?.startsWith('/meta/')) seen.push([message.channel, sender?.id, session?.id])
    }
  })
  await one.publish('/a', 1)
  two.session.deliver(one.session, '/private', 2)
  cometd.createServerChannel('/b').publish(null, 3)
  t.strictSame(seen, [['/a', one.clientId, undefined], ['/a', one.clientId, one.clientId], ['/private', one.clientId, two.clientId], ['/b', undefined, undefined]])
})

t.test('what an extension adds to a broadcast or a reply goes out; what it replaces, too', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  await one.subscribe(['/a', '/b', '/c'])
  cometd.addExtension({
    async outgoing (server, sender, session, message) {
      if (message.channel === '/b') return false
      if (message.channel === '/c') return { channel: '/c', data: 'replaced' }
      message['timestamp'] = 'now'
    }
  })
  t.strictSame(await one.send({ id: '1', channel: '/a', data: 1 }), [{ channel: '/a', data: 1, timestamp: 'now' }, { id: '1', channel: '/a', successful: true, timestamp: 'now' }])
  t.strictSame(await one.send({ channel: '/b', data: 1 }), [], 'reply and message are deleted')
  t.strictSame((await one.send({ channel: '/c', data: 1 })).map(({ data }) => data), ['replaced', 'replaced'])
})

t.test('a broadcast that a server extension deletes is refused to its publisher', async t => {
  const { open, cometd } = await start(t)
  const [one, two] = [await open(), await open()]
  await two.subscribe('/a')
  cometd.addExtension({ outgoing: (server, sender, session, message) => !('data' in message) })
  t.match(await one.publish('/a', 1), { successful: false, error: '404::message_deleted' })
  t.equal(cometd.createServerChannel('/a').publish(null, 1), false)
  t.equal(two.session.deliver(null, '/a', 1), false)
  t.equal(two.session.queueLength, 0)
})

t.test('a session extension that changes a broadcast changes it for its own session only', async t => {
  const { open, cometd } = await start(t)
  const [one, two, three] = [await open(), await open(), await open()]
  for (const each of [one, two, three]) await each.subscribe('/a')
  one.session.addExtension({
    outgoing (sender, session, message) {
      (message['data'] as { list: string[] }).list.push('mine')
    }
  })
  two.session.addExtension({ outgoing: async (sender, session, message) => 'data' in message ? null : undefined })
  const data = { list: ['all'] }
  cometd.createServerChannel('/a').publish(null, data)
  await turn()
  t.strictSame((await one.connect())[0]?.data, { list: ['all', 'mine'] })
  t.strictSame((await two.connect({ advice: { timeout: 0 } })).length, 1)
  t.strictSame((await three.connect())[0]?.data, { list: ['all'] })
  t.strictSame(data, { list: ['all'] })
})

t.test('asynchronous outgoing extensions keep the order of messages', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  await one.subscribe('/a')
  const slowThenFast = async (): Promise<void> => { for (let i = 0; i < waits; i++) await turn() }
  let waits = 5
  const server = { outgoing: async () => { await slowThenFast() } }
  const session = { outgoing: async () => { await slowThenFast() } }
  for (const [owner, extension] of [[cometd, server], [one.session, session]] as const) {
    (owner as ServerSession).addExtension(extension)
    const sent: unknown[] = []
    waits = 5
    sent.push(cometd.createServerChannel('/a').publish(null, 1))
    waits = 0
    sent.push(cometd.createServerChannel('/a').publish(null, 2), one.session.deliver(null, '/a', 3))
    ;(owner as ServerSession).removeExtension(extension)
    sent.push(cometd.createServerChannel('/a').publish(null, 4))
    await Promise.all(sent)
    t.strictSame((await one.connect()).map(({ data }) => data), [1, 2, 3, 4, undefined])
  }
})

t.test('what an extension spoils hurts one message', async t => {
  const { lines, logger } = memoryLog()
  const { open, cometd } = await start(t, {}, { logger })
  const one = await open()
  await one.subscribe('/a')
  cometd.addExtension({
    incoming (server, session, message) {
      if (message.data === 'subscription') { message.channel = '/meta/subscribe'; message.subscription = 7 as never }
      if (message.data === 'channel') message.channel = 'nonsense'
      if (message.data === 'moved') message.channel = '/moved'
    },
    outgoing (server, sender, session, message) {
      if (message['data'] === 'bigint') message['data'] = 1n
      if (message.id === 'bigint') message.ext = { big: 1n }
    }
  })
  one.session.addExtension({ outgoing: (sender, session, message) => { if (message['data'] === 'mine') message['data'] = 1n } })
  const replies = await one.send(
    { channel: '/a', data: 'subscription' }, { channel: '/a', data: 'channel' }, { channel: '/a', data: 'bigint' }, { channel: '/a', data: 'mine' }, { id: 'bigint', channel: '/b', data: 1 }, { channel: '/a', data: 'moved' }, { channel: '/a', data: 'good' })
  t.match(replies, [
    { channel: '/a', data: 'good' },
    { successful: false, error: '500::internal_error' }, { successful: false, error: '405:nonsense:channel_invalid' }, { successful: false },
    { successful: true }, { id: 'bigint', successful: false, error: '500::internal_error' }, { successful: true }, { successful: true }
  ])
  t.equal(one.session.deliver(null, '/a', 'bigint'), false)
  t.ok(cometd.getServerChannel('/moved'))
  t.ok(lines.some(({ level }) => level === 50))
})

t.test('a message whose session ends while an extension has it is not queued', async t => {
  const { open } = await start(t)
  const { session } = await open()
  session.addExtension({ outgoing: async () => { await turn() } })
  const delivered = session.deliver(null, '/a', 1)
  session.disconnect()
  t.equal(await delivered, false)
})

t.test('an extension without outgoing leaves deliveries alone; a session without extensions has none', async t => {
  const { open } = await start(t)
  const { session } = await open()
  t.strictSame(session.extensions, [])
  t.equal(session.removeExtension({}), false)
  session.addExtension({ incoming: () => true })
  t.equal(session.deliver(null, '/a', 1), true)
})

t.test('a reply to nobody\'s message passes the server\'s extensions without a session', async t => {
  const { client, cometd } = await start(t)
  cometd.addExtension({ outgoing: (server, sender, session, message) => { message['nobody'] = sender === null && session === null } })
  t.match(await client().raw({ channel: '/a', data: 1 }), [{ successful: false, nobody: true }])
})

t.test('a reply that an extension does not let go in time is a refusal', async t => {
  const { open, cometd, clock } = await start(t)
  const one = await open()
  cometd.addExtension({ outgoing: (server, sender, session, message) => 'successful' in message ? new Promise(() => {}) : undefined })
  const reply = one.send({ id: '1', channel: '/service/a', data: 1 })
  for (let i = 0; i < 4; i++) await turn()
  clock.tick(8_100)
  t.strictSame(await reply, [{ id: '1', channel: '/service/a', successful: false, error: '503::processing_timeout' }])
})

t.test('a session that an extension ends gets no further', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  cometd.addExtension({ incoming: (server, session) => { session.disconnect() } })
  t.match((await one.send({ channel: '/a', data: 1 })).at(-1), { successful: false, error: '402::session_unknown' })
})

t.test('something that is no extension is refused where it is added', async t => {
  const { cometd, open } = await start(t)
  t.throws(() => cometd.addExtension(null as never), { code: 'COMETD_ERR_HANDLER_INVALID' })
  const one = await open()
  t.throws(() => one.session.addExtension(7 as never), { code: 'COMETD_ERR_HANDLER_INVALID' })
})

t.test('an extension that deletes a message can say why', async t => {
  const { cometd, open } = await start(t)
  cometd.addExtension({
    incoming: (server, session, message) => {
      if (message.channel !== '/odd') return true
      Object.assign(message.reply, { successful: false, error: '400:odd:message_invalid' })
      return false
    }
  })
  const client = await open()
  t.match(await client.publish('/odd', 1), { successful: false, error: '400:odd:message_invalid' })
  t.match(await client.publish('/even', 2), { successful: true })
})

t.test('a client whose session an extension ends is told by the reply to its connect', async t => {
  const { cometd, open } = await start(t)
  const client = await open()
  cometd.addExtension({
    incoming: (server, session, message) => { if (message.channel === '/meta/connect') session.disconnect() }
  })
  const messages = await client.connect()
  t.match(messages.at(-1), { channel: '/meta/connect', successful: true, advice: { reconnect: 'none' } })
  t.match(messages[0], { channel: '/meta/disconnect', successful: true })
})
