import t from 'tap'
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { start, turn } from '../helpers/harness.js'

t.test('context is empty outside a message', async t => {
  const { cometd } = await start(t)
  t.strictSame({ ...cometd.context }, {})
  t.equal(cometd.context.request, undefined)
})

t.test('context.request is the request of this message, across await, timers and overlapping requests of different users', async t => {
  const { app, open, cometd } = await start(t)
  app.decorateRequest('user', '')
  app.addHook('onRequest', async request => { (request as unknown as { user: string }).user = request.headers['x-user'] as string })
  const seen: string[] = []
  const user = (): string => (cometd.context.request as unknown as { user: string } | undefined)?.user as string
  cometd.policy = { canPublish: async () => { await turn(); seen.push(`policy ${user()}`) } }
  cometd.addExtension({ incoming: (server, session, message, callback) => { setImmediate(() => { seen.push(`extension ${user()}`); callback() }) } })
  cometd.createServerChannel('/a').addListener('message', async (session, channel, message) => {
    seen.push(`before ${message.data} ${user()}`)
    await sleep(message.data === 'alice' ? 20 : 5)
    seen.push(`after ${message.data} ${user()}`)
    await new Promise<void>(resolve => setTimeout(() => { seen.push(`timer ${message.data} ${user()}`); resolve() }, 1))
  })
  const one = await open()
  seen.length = 0
  await Promise.all(['alice', 'bob'].map(async name => await one.post([{ channel: '/a', data: name, clientId: one.clientId }], { 'x-user': name })))
  for (const name of ['alice', 'bob']) {
    for (const when of ['before', 'after', 'timer']) t.ok(seen.includes(`${when} ${name} ${name}`), `${when} ${name}`)
    t.equal(seen.filter(entry => entry === `policy ${name}`).length, 1)
    t.equal(seen.filter(entry => entry === `extension ${name}`).length, 1)
  }
  t.notOk(cometd.context.request)
})

t.test('headers set through context.response and context.reply reach the client', async t => {
  const { open, cometd } = await start(t)
  cometd.createServerChannel('/service/a').addListener('message', async (session, channel, message) => {
    await turn()
    cometd.context.response?.setHeader('X-My-Header', 'foo')
    cometd.context.reply?.header('x-other', 'bar')
    t.equal(cometd.context.request?.headers['x-in'], 'in')
  })
  const one = await open()
  const { headers } = await one.post([{ channel: '/service/a', data: 1, clientId: one.clientId }], { 'x-in': 'in' })
  t.match(headers, { 'x-my-header': 'foo', 'x-other': 'bar' })
})

t.test('a held answer belongs to its own request, not to the one whose event let it go', async t => {
  const { app, open, cometd, clock } = await start(t)
  const storage = new AsyncLocalStorage<string>()
  app.addHook('onRequest', (request, reply, done) => { storage.run(String(request.headers['x-user']), done) })
  const users: unknown[] = []
  app.addHook('onSend', async (request, reply, payload) => { users.push([request.headers['x-user'], storage.getStore()]) })
  const replies: unknown[] = []
  cometd.addExtension({ outgoing: (server, sender, session, message) => { if ('successful' in message) replies.push(cometd.context.request?.headers['x-user']) } })
  const [alice, bob] = [await open(), await open()]
  await alice.subscribe('/a')
  for (const wake of ['event', 'timeout']) {
    users.length = replies.length = 0
    const suspended = new Promise(resolve => alice.session.addListener('suspended', resolve))
    const held = alice.post([{ channel: '/meta/connect', connectionType: 'long-polling', clientId: alice.clientId }], { 'x-user': 'alice' })
    await suspended
    await bob.post([{ channel: wake === 'event' ? '/a' : '/b', data: 1, clientId: bob.clientId }], { 'x-user': 'bob' })
    if (wake === 'timeout') clock.tick(31_000)
    await held
    t.strictSame(users, [['bob', 'bob'], ['alice', 'alice']])
    t.strictSame(replies, ['bob', 'alice'])
  }
})

t.test('the expiry of a session belongs to no request', async t => {
  const { open, cometd, clock } = await start(t)
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  cometd.addListener('sessionRemoved', () => { seen.push(cometd.context.request, storage.getStore()) })
  cometd.policy = { canPublish: () => true }
  const one = await storage.run('user', async () => await open())
  await storage.run('user', async () => await one.publish('/a', 1))
  clock.tick(20_000)
  t.strictSame(seen, [undefined, undefined])
})

t.test('events that a message brings about are told in its context', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  await one.subscribe('/a')
  const seen: unknown[] = []
  const see = (): void => { seen.push(cometd.context.request?.headers['x-user']) }
  for (const event of ['removed', 'queueOffer', 'queueDrain', 'queueMaxed'] as const) one.session.addListener(event, see)
  for (const event of ['sessionRemoved', 'unsubscribed'] as const) cometd.addListener(event, see)
  cometd.options.maxQueue = 1
  await one.post([{ channel: '/a', data: 1, clientId: one.clientId }, { channel: '/a', data: 2, clientId: one.clientId }], { 'x-user': 'alice' })
  t.strictSame(seen, Array.from({ length: 6 }, () => 'alice'))
})

t.test('what a listener publishes is heard in the context of its message', async t => {
  const { open, cometd } = await start(t)
  const seen: unknown[] = []
  cometd.createServerChannel('/b').addListener('message', () => { seen.push(cometd.context.request?.headers['x-user']) })
  cometd.createServerChannel('/service/a').addListener('message', async () => {
    await turn()
    cometd.createServerChannel('/b').publish(null, 1)
  })
  const one = await open()
  await one.post([{ channel: '/service/a', data: 1, clientId: one.clientId }], { 'x-user': 'alice' })
  t.strictSame(seen, ['alice'])
})
