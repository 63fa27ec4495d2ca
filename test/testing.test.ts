import cookie from '@fastify/cookie'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import cometd, { type CometDPluginOptions, RemoteCallFailure } from '../plugin/index.js'
import { createTestClient, createTestClock, MessageFailure, RequestFailure, type TestClient, type TestClientOptions, type TestClock, type WireMessage } from '../plugin/testing.js'
import { once, turn } from './helpers/harness.js'

interface Stage {
  app: FastifyInstance
  clock: TestClock
  client: (options?: TestClientOptions) => TestClient
  /** A client after its handshake. */
  open: (options?: TestClientOptions) => Promise<TestClient>
}

async function start (t: Test, options: CometDPluginOptions = {}): Promise<Stage> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  const clock = createTestClock()
  await app.register(cometd, { clock, ...options })
  const client = (options?: TestClientOptions): TestClient => createTestClient(app, options)
  return {
    app,
    clock,
    client,
    async open (options) {
      const one = client(options)
      await one.handshake()
      return one
    }
  }
}

/** Notes the messages that a client sends and gets. */
function spyOn (client: TestClient): WireMessage[] {
  const seen: WireMessage[] = []
  client.addExtension({ outgoing: message => { seen.push(message) }, incoming: message => { seen.push(message) } })
  return seen
}

const data = (messages: Array<{ data: unknown }>): unknown[] => messages.map(({ data }) => data)

t.test('the clock', async t => {
  t.test('stands still until it is advanced', async t => {
    const clock = createTestClock()
    t.strictSame([clock.now(), clock.date()], [0, Date.parse('2000-01-01T00:00:00Z')])
    await clock.advance(1_500)
    t.strictSame([clock.now(), clock.date()], [1_500, Date.parse('2000-01-01T00:00:01.500Z')])
  })

  t.test('begins on any date', async t => {
    t.equal(createTestClock({ date: 5 }).date(), 5)
    t.equal(createTestClock({ date: new Date('2026-02-28') }).date(), Date.parse('2026-02-28'))
  })

  t.test('calls what falls due in order, each at its time, also what is set in the meantime', async t => {
    const clock = createTestClock()
    const calls: unknown[] = []
    const note = (name: string) => () => { calls.push([name, clock.now()]) }
    clock.setTimeout(note('third'), 30)
    clock.setTimeout(() => {
      note('first')()
      clock.setTimeout(note('second'), 5)
      clock.setTimeout(note('later'), 1_000)
      clock.clearTimeout(cleared)
    }, 10)
    clock.setTimeout(note('third too'), 30)
    const cleared = clock.setTimeout(note('cleared'), 20)
    clock.clearTimeout(undefined)
    await clock.advance(9)
    t.strictSame(calls, [])
    await clock.advance(100)
    t.strictSame(calls, [['first', 10], ['second', 15], ['third', 30], ['third too', 30]])
    t.equal(clock.now(), 109)
    await clock.advance(901)
    t.strictSame(calls.at(-1), ['later', 1_010])
  })

  t.test('lets everything that a callback causes happen before time goes on', async t => {
    const clock = createTestClock()
    const times: number[] = []
    clock.setTimeout(async () => {
      for (let i = 0; i < 5; i++) await turn()
      times.push(clock.now())
    }, 10)
    clock.setTimeout(() => { times.push(clock.now()) }, 20)
    await clock.advance(20)
    t.strictSame(times, [10, 20])
    setImmediate(() => { times.push(clock.now()) })
    await clock.advance(0)
    t.equal(times.length, 3)
  })

  t.test('is advanced by one after the other', async t => {
    const clock = createTestClock()
    await Promise.all([clock.advance(100), clock.advance(50)])
    t.equal(clock.now(), 150)
  })

  t.test('does not run in circles when a timeout of 0 sets another one', async t => {
    const clock = createTestClock()
    let count = 0
    const again = (): void => {
      count++
      clock.setTimeout(again, 0)
    }
    again()
    await clock.advance(3)
    t.equal(count, 4)
  })

  t.test('tells what a callback throws, and goes on', async t => {
    const clock = createTestClock()
    clock.setTimeout(() => { throw new Error('broken') }, 10)
    await t.rejects(clock.advance(20), { message: 'broken' })
    t.equal(clock.now(), 10)
    await clock.advance(20)
    t.equal(clock.now(), 30)
  })

  t.test('refuses what is no duration', async t => {
    for (const milliseconds of [-1, NaN, Infinity]) await t.rejects(createTestClock().advance(milliseconds), RangeError)
  })
})

t.test('after its handshake a client has a session, and a connect is held', async t => {
  const { app, client } = await start(t)
  const one = client()
  t.strictSame([one.clientId, one.session, one.connected, one.failure], [undefined, undefined, false, undefined])
  const reply = await one.handshake({ ext: { user: 'ada' } })
  t.match(reply, { channel: '/meta/handshake', successful: true, clientId: one.clientId })
  t.equal(one.session, app.cometd.getServerSession(one.clientId as string))
  t.ok(one.session?.held)
  t.equal(one.connected, true)
})

t.test('what it sends is what a real client sends', async t => {
  const { client, clock } = await start(t)
  const one = client()
  const seen = spyOn(one)
  await one.handshake({ ext: { user: 'ada' } })
  const { clientId } = one
  await one.publish('/a', { n: 1 }, { ext: { trace: 1 } })
  await clock.advance(30_050)
  t.strictSame(seen.filter(({ successful }) => successful === undefined), [
    { id: '1', channel: '/meta/handshake', version: '1.0', minimumVersion: '1.0', supportedConnectionTypes: ['long-polling'], ext: { user: 'ada' } },
    { id: '2', clientId, channel: '/meta/connect', connectionType: 'long-polling', advice: { timeout: 0 } },
    { id: '3', clientId, channel: '/meta/connect', connectionType: 'long-polling' },
    { id: '4', clientId, ext: { trace: 1 }, channel: '/a', data: { n: 1 } },
    { id: '5', clientId, channel: '/meta/connect', connectionType: 'long-polling' }
  ])
})

t.test('it need not wait until the application is ready', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  app.register(cometd)
  const one = createTestClient(app)
  t.match(await one.handshake(), { successful: true })
})

t.test('it finds the plugin below a prefix, in a scope of its own', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  let scope: FastifyInstance | undefined
  app.register(async instance => {
    scope = instance
    await instance.register(cometd, { path: '/bayeux' })
  }, { prefix: '/api' })
  await app.ready()
  const one = createTestClient(scope as FastifyInstance, { path: '/api/bayeux' })
  t.match(await one.handshake(), { successful: true })
  t.ok(one.session?.held)
  await t.rejects(createTestClient(app, { path: '/api/bayeux' }).handshake(), { message: /app\.cometd is not there/ })
  await t.rejects(createTestClient(app).handshake(), { statusCode: 404 } as never)
})

t.test('a refused handshake is given, not thrown', async t => {
  const { app, client } = await start(t)
  app.cometd.policy = { canHandshake: (session, message) => message.ext?.['user'] === 'ada' }
  const one = client()
  t.match(await one.handshake(), { successful: false, error: '403::handshake_denied', advice: { reconnect: 'none' } })
  t.equal(one.connected, false)
  await t.rejects(one.held(), /there is no session/)
  t.match(await one.publish('/a', 1), { successful: false, error: '402::session_unknown' })
  t.match(await one.handshake({ ext: { user: 'ada' } }), { successful: true })
})

t.test('what a hook answers is thrown, with its status and its body', async t => {
  const { client } = await start(t, {
    routeOptions: {
      onRequest: async (request, reply) => {
        const { authorization } = request.headers
        if (authorization === undefined) return await reply.code(401).send({ error: 'a token is needed' })
        if (authorization !== 'token of ada') return await reply.send(authorization)
      }
    }
  })
  const one = client()
  await t.rejects(one.handshake(), { name: 'RequestFailure', message: /401/, statusCode: 401, body: '{"error":"a token is needed"}' })
  for (const body of ['no JSON', '{"json":1}']) {
    one.headers = { authorization: body }
    await t.rejects(one.handshake(), new RequestFailure({ statusCode: 200, body }))
  }
  const two = client({ headers: { authorization: 'token of ada' } })
  t.match(await two.handshake(), { successful: true })
  two.headers['authorization'] = '"JSON"'
  await t.rejects(two.publish('/a', 1), { statusCode: 200, body: '"JSON"' } as never)
  await t.rejects(two.remoteCall('sum'), { statusCode: 200 } as never)
  await t.rejects(two.subscribe('/a'), { statusCode: 200 } as never)
})

t.test('a client hears what others publish', async t => {
  const { open } = await start(t)
  const [ada, grace] = [await open(), await open()]
  const news = await ada.subscribe('/news')
  t.equal(news.channel, '/news')
  t.match(news.reply, { successful: true, subscription: '/news' })
  t.match(await grace.publish('/news', 'rain'), { successful: true, channel: '/news' })
  t.strictSame(await news.message(), { channel: '/news', data: 'rain' })
  await grace.publish('/news', undefined)
  t.strictSame(await news.next(), { done: false, value: { channel: '/news', data: null } })
})

t.test('messages wait until they are read, in order, however they came', async t => {
  const { app, clock, open } = await start(t)
  const one = await open()
  const news = await one.subscribe('/news')
  const channel = app.cometd.createServerChannel('/news')
  channel.publish(null, 1)
  channel.publish(null, 2)
  await clock.advance(0)
  await one.publish('/news', 3)
  t.strictSame(data(news.take()), [1, 2, 3])
  t.strictSame(news.take(), [])
  const reads = Promise.all([news.message(), news.next(), news.message()])
  for (const n of [4, 5, 6, 7]) channel.publish(null, n)
  t.match(await reads, [{ data: 4 }, { value: { data: 5 } }, { data: 6 }])
  t.match(await news.message(), { data: 7 })
})

t.test('a subscription is iterated over; break leaves it as it is', async t => {
  const { app, open } = await start(t)
  const one = await open()
  const news = await one.subscribe('/news')
  for (const n of [1, 2, 3, 4]) app.cometd.createServerChannel('/news').publish(null, n)
  const heard: unknown[] = []
  for await (const message of news) {
    heard.push(message.data)
    if (message.data === 2) break
  }
  for await (const message of news) {
    heard.push(message.data)
    if (message.data === 4) await news.unsubscribe()
  }
  t.strictSame(heard, [1, 2, 3, 4])
})

t.test('unsubscribing ends the iteration after what was not read', async t => {
  const { app, clock, open } = await start(t)
  const one = await open()
  const news = await one.subscribe('/news')
  const channel = app.cometd.createServerChannel('/news')
  channel.publish(null, 1)
  await clock.advance(0)
  t.match(await news.unsubscribe(), { channel: '/meta/unsubscribe', subscription: '/news', successful: true })
  t.strictSame(channel.subscribers, [])
  channel.publish(null, 2)
  await clock.advance(0)
  t.match(await news.message(), { data: 1 })
  t.strictSame(await news.next(), { done: true, value: undefined })
  await t.rejects(news.message(), { message: 'no more messages come on /news' })
  t.equal(await news.unsubscribe(), undefined)
})

t.test('two subscriptions of a client to a channel get a copy each, and end one after the other', async t => {
  const { app, clock, open } = await start(t)
  const one = await open()
  const subscriptions = await Promise.all([one.subscribe('/rooms/1'), one.subscribe('/rooms/1'), one.subscribe('/rooms/*'), one.subscribe('/rooms/**')])
  one.messages('/rooms/1')
  const channel = app.cometd.createServerChannel('/rooms/1')
  channel.publish(null, 'x')
  await clock.advance(0)
  t.strictSame(subscriptions.map(subscription => data(subscription.take())), [['x'], ['x'], ['x'], ['x']])
  t.equal(await subscriptions[0]?.unsubscribe(), undefined)
  t.equal(channel.subscribers.length, 1)
  t.match(await subscriptions[1]?.unsubscribe(), { successful: true })
  t.equal(channel.subscribers.length, 0)
})

t.test('a refused subscription is thrown, with its reply', async t => {
  const { app, open } = await start(t)
  app.cometd.policy = { canSubscribe: (session, message) => message.ext?.['key'] === 1 }
  const one = await open()
  await t.rejects(one.subscribe('/secret'), { name: 'MessageFailure', reply: { error: '403:denied_by_security_policy:subscribe_denied' } })
  await t.rejects(one.subscribe('no channel'), MessageFailure)
  t.match(await one.subscribe('/secret', { ext: { key: 1 } }), { channel: '/secret' })
})

t.test('a refused publication is given', async t => {
  const { app, open } = await start(t)
  app.cometd.policy = { canPublish: () => false }
  t.match(await (await open()).publish('/a', 1), { successful: false, error: '403:denied_by_security_policy:publish_denied' })
})

t.test('publications are sent one after the other, as over one connection', async t => {
  const { app, open } = await start(t)
  const one = await open()
  const seen: unknown[] = []
  app.cometd.createServerChannel('/a').addListener('message', async (session, channel, message) => {
    if (message.data === 1) await turn()
    seen.push(message.data)
  })
  const replies = await Promise.all([1, 2, 3].map(async n => await one.publish('/a', n)))
  t.strictSame(seen, [1, 2, 3])
  t.equal(new Set(replies.map(({ id }) => id)).size, 3)
})

t.test('a service answers, with the reply or later', async t => {
  const { app, open } = await start(t)
  app.cometd.service('/service/double', (session, message) => Number(message.data) * 2)
  app.cometd.service('/service/later', session => { setImmediate(() => session.deliver(null, '/service/later', 'now')) })
  const one = await open()
  const answers = one.messages('/service/double')
  const all = one.messages('/service/**')
  t.match(await one.publish('/service/double', 21), { successful: true })
  t.match(await answers.message(), { channel: '/service/double', data: 42 })
  await one.publish('/service/later', null)
  t.strictSame([(await all.message()).data, (await all.message()).data], [42, 'now'])
  const subscribed = await one.subscribe('/service/double')
  await one.publish('/service/double', 1)
  t.match(await subscribed.message(), { data: 2 })
})

t.test('what is delivered when the session is added comes with the handshake or the first connect', async t => {
  for (const allowMessageDeliveryDuringHandshake of [false, true]) {
    const { app, client } = await start(t, { allowMessageDeliveryDuringHandshake })
    app.cometd.addListener('sessionAdded', session => session.deliver(null, '/welcome', 'hello'))
    const one = client()
    const welcome = one.messages('/welcome')
    await one.handshake()
    t.strictSame(welcome.take(), [{ channel: '/welcome', data: 'hello' }])
  }
})

t.test('a remote call gives its result, whether it comes with the reply or later', async t => {
  const { app, open } = await start(t)
  app.cometd.remoteCall('sum', (session, numbers: number[]) => numbers.reduce((a, b) => a + b, 0))
  app.cometd.remoteCall('later', async (session, parameters) => {
    for (let i = 0; i < 3; i++) await turn()
    return { parameters }
  })
  const one = await open()
  t.equal(await one.remoteCall('sum', [1, 2, 3]), 6)
  t.strictSame(await Promise.all([one.remoteCall('later', 1), one.remoteCall('later')]), [{ parameters: 1 }, { parameters: null }])
})

t.test('a remote call that fails throws what the server says', async t => {
  const { app, clock, open } = await start(t)
  app.cometd.remoteCall('no', () => { throw new RemoteCallFailure({ seats: 0 }) })
  app.cometd.remoteCall('never', async () => await new Promise(() => {}))
  app.cometd.policy = { canPublish: (session, message) => message.channel !== '/service/secret' }
  const one = await open()
  const failure = (data: unknown) => ({ code: 'COMETD_ERR_REMOTE_CALL_FAILED', data }) as never
  await t.rejects(one.remoteCall('no'), failure({ seats: 0 }))
  await t.rejects(one.remoteCall('secret'), failure('403:denied_by_security_policy:publish_denied'))
  const late = t.rejects(one.remoteCall('nobody'), failure('406::timeout'))
  await clock.advance(8_100)
  await late
  const cut = t.rejects(one.remoteCall('never'), failure('402::session_unknown'))
  await clock.advance(0)
  one.session?.disconnect()
  await cut
})

t.test('any message can be sent', async t => {
  const { app, open } = await start(t)
  app.cometd.addExtension({ incoming: (server, session, message) => { if (message.ext?.['ping'] === 1) message.reply.ext = { pong: 1 } } })
  const one = await open()
  t.match(await one.send({ channel: '/a', data: 1, ext: { ping: 1 } }), { successful: true, ext: { pong: 1 } })
  t.match(await one.send({ channel: '/meta/subscribe', subscription: ['/a', '/b'] }), { subscription: ['/a', '/b'], successful: true })
  t.match(await one.send({ channel: '/a', data: 1, id: 'own', clientId: 'forged' }), { id: 'own', error: '402::session_unknown' })
})

t.test('a message whose reply was deleted fails, what came with it is there', async t => {
  const { app, open } = await start(t)
  app.cometd.addExtension({ outgoing: (server, sender, session, message) => message.channel !== '/a' || 'data' in message })
  const one = await open()
  const heard = await one.subscribe('/a')
  await t.rejects(one.publish('/a', 1), { statusCode: 200, body: '[{"channel":"/a","data":1}]' } as never)
  t.strictSame(data(heard.take()), [1])
})

t.test('extensions change messages or put others in their place', async t => {
  const { app, client } = await start(t)
  const one = client()
  const order: string[] = []
  for (const name of ['first', 'second']) {
    one.addExtension({
      outgoing (message) {
        if (message.channel === '/a') order.push(`${name} out`)
        message.ext = { ...message.ext, [name]: true }
      },
      incoming (message) {
        if (message.channel === '/a' && message.data !== undefined) order.push(`${name} in`)
      }
    })
  }
  one.addExtension({ incoming: message => message.data === 'x' ? { ...message, data: 'y' } : undefined })
  one.addExtension({ incoming (message) { if (message.data === 'z') message.channel = 'no channel' } })
  let ext: unknown
  app.cometd.createServerChannel('/a').addListener('message', (session, channel, message) => { ext = message.ext })
  await one.handshake()
  const heard = await one.subscribe('/a')
  await one.publish('/a', 'x')
  t.strictSame(ext, { first: true, second: true })
  t.strictSame(data(heard.take()), ['y'])
  const elsewhere = one.messages('no channel')
  await one.publish('/a', 'z')
  t.strictSame(data(elsewhere.take()), ['z'])
  t.strictSame(order, ['first out', 'second out', 'second in', 'first in', 'first out', 'second out'])
})

t.test('an extension that fails fails its message, and nothing else', async t => {
  const { clock, client } = await start(t)
  const one = client()
  let broken: string | undefined
  one.addExtension({ outgoing: ({ channel }) => { if (channel === broken) throw new Error('broken') } })
  await one.handshake()
  broken = '/a'
  await t.rejects(one.publish('/a', 1), { message: 'broken' })
  broken = '/meta/connect'
  await clock.advance(30_050)
  t.match(one.failure, { message: 'broken' })
  broken = undefined
  await clock.advance(1_050)
  t.ok(one.connected)
})

t.test('an extension can acknowledge messages, as that of real clients does', async t => {
  const { app, client } = await start(t, { extensions: { acknowledgement: true } })
  const one = client()
  let ack = 0
  one.addExtension({
    outgoing (message) { if (message.channel === '/meta/connect') message.ext = { ack } },
    incoming (message) { if (message.channel === '/meta/connect') ack = Number(message.ext?.['ack']) }
  })
  await one.handshake({ ext: { ack: true } })
  const news = await one.subscribe('/news')
  for (const n of [1, 2]) {
    app.cometd.createServerChannel('/news').publish(null, n)
    t.match(await news.message(), { data: n })
  }
  t.equal(ack, 3)
})

t.test('a held connect is answered when its time is over, and followed by another', async t => {
  const { clock, open } = await start(t, { timeout: 5_000 })
  const one = await open()
  const holds: number[] = []
  one.session?.addListener('suspended', () => { holds.push(clock.now()) })
  await clock.advance(15_000)
  t.strictSame(holds, [5_000, 10_000, 15_000])
  t.ok(one.session?.held)
  await clock.advance(60_000)
  t.ok(one.connected, 'and its session lives on')
})

t.test('where connects are not held it asks again and again', async t => {
  const { app, open } = await start(t, { timeout: 0 })
  const one = await open()
  const news = await one.subscribe('/news')
  app.cometd.createServerChannel('/news').publish(null, 'rain')
  t.match(await news.message(), { data: 'rain' })
})

t.test('it waits for the interval that the server advises', async t => {
  const { clock, open } = await start(t, { interval: 1_000 })
  const one = await open()
  t.notOk(one.session?.held)
  const held = one.held()
  await clock.advance(900)
  t.notOk(one.session?.held)
  await clock.advance(150)
  t.ok(one.session?.held)
  await held
})

t.test('it says when a connect is held again', async t => {
  const { open } = await start(t)
  const one = await open()
  await one.held()
  const heard = one.messages('/a')
  one.session?.deliver(null, '/a', 1)
  await heard.message()
  t.notOk(one.session?.held)
  await one.held()
  t.ok(one.session?.held)
})

t.test('lazy messages come when their time has come', async t => {
  const { app, clock, open } = await start(t, { maxLazyTimeout: 2_000 })
  app.cometd.createServerChannel('/lazy').lazy = true
  const one = await open()
  const lazy = await one.subscribe('/lazy')
  app.cometd.createServerChannel('/lazy').publish(null, 1)
  await clock.advance(1_900)
  t.strictSame(lazy.take(), [])
  await clock.advance(150)
  t.strictSame(data(lazy.take()), [1])
})

t.test('each client is a browser of its own, unless it is given the cookies of another', async t => {
  const { clock, open } = await start(t)
  const one = await open()
  const other = await open()
  t.not(one.cookies.get('BAYEUX_BROWSER'), other.cookies.get('BAYEUX_BROWSER'))
  t.ok(other.session?.held)

  const tab = await open({ cookies: one.cookies })
  t.equal(tab.cookies, one.cookies)
  t.notOk(tab.session?.held, 'a browser has one held connect')
  await one.disconnect()
  await clock.advance(2_050)
  t.ok(tab.session?.held)
  t.match(await other.send({ channel: '/a', data: 1, clientId: tab.clientId as string }), { error: '402::session_unknown' })
})

t.test('it keeps the cookies that the application sets, and forgets those that it clears', async t => {
  const { app, client } = await start(t)
  await app.register(cookie)
  const seen: unknown[] = []
  app.addHook('onRequest', async (request, reply) => {
    const { user, a } = request.cookies
    seen.push([user, a])
    if (a === undefined) reply.setCookie('a', 'b;c', { path: '/', maxAge: 60 })
    else if (user === 'ada') reply.clearCookie('user', { path: '/' }).setCookie('a', '', { path: '/', maxAge: 0 })
  })
  const one = client({ cookies: new Map([['user', 'ada']]) })
  for (let i = 0; i < 3; i++) await one.publish('/a', 1)
  t.strictSame(seen, [['ada', undefined], ['ada', 'b;c'], [undefined, undefined]])
})

t.test('messages that wait while the connection is lost come in order when it is back', async t => {
  const { app, clock, open } = await start(t)
  const one = await open()
  const { session } = one
  const news = await one.subscribe('/news')
  const channel = app.cometd.createServerChannel('/news')
  for (let round = 0; round < 3; round++) {
    const resumed = once(session as never, 'resumed')
    channel.publish(null, [round, 'before'])
    await one.drop()
    t.equal((await resumed)[2], false)
    t.notOk(session?.held, 'the server has noticed')
    t.equal(one.connected, false)
    channel.publish(null, [round, 'while'])
    await clock.advance(5_000)
    t.strictSame(news.take(), [])
    await one.resume()
    t.strictSame(data(news.take()), [[round, 'before'], [round, 'while']])
    t.ok(one.connected)
    t.ok(session?.held)
  }
  t.equal(one.session, session)
  await one.resume()
  channel.publish(null, 'to resume what goes on changes nothing')
  t.match(await news.message(), { data: 'to resume what goes on changes nothing' })
})

t.test('what the server had answered before the connection was lost still comes', async t => {
  const { open } = await start(t)
  const one = await open()
  const heard = one.messages('/a')
  const resumed = once(one.session as never, 'resumed')
  one.session?.deliver(null, '/a', 1)
  await resumed
  await one.drop()
  t.strictSame(data(heard.take()), [1])
  await one.resume()
  t.ok(one.session?.held)
})

t.test('while the connection is lost nothing is sent, and what was under way fails', async t => {
  const { app, client, open } = await start(t)
  const one = await open()
  let answer = (): void => {}
  const asked = new Promise<void>(resolve => {
    app.cometd.policy = {
      canPublish (session, message, channel, callback) {
        answer = () => callback(null, true)
        resolve()
      }
    }
  })
  const failure = { name: 'ConnectionFailure', message: 'the client has lost its connection' }
  const underWay = t.rejects(one.publish('/a', 1), failure)
  const queued = t.rejects(one.publish('/a', 2), failure)
  await asked
  await one.drop()
  await one.resume()
  await underWay
  await queued
  answer()
  await one.drop()
  await one.drop()
  await t.rejects(one.publish('/a', 3), failure)
  await t.rejects(one.subscribe('/a'), failure)
  await t.rejects(one.disconnect(), failure)
  await t.rejects(one.handshake(), failure)
  t.ok(one.session)
  await one.resume()

  const two = client()
  await two.drop()
  await t.rejects(two.handshake(), failure)
  await two.resume()
  t.match(await two.handshake(), { successful: true })
})

t.test('the connection can be lost at any moment', async t => {
  const { app, client, clock } = await start(t)
  const one = client()
  const seen = spyOn(one)
  let release = (): void => {}
  const held = new Promise<void>(resolve => {
    app.cometd.createServerChannel('/meta/connect').addListener('message', async () => {
      resolve()
      await new Promise<void>(resolve => { release = resolve })
    })
  })
  const handshake = one.handshake()
  await held
  const dropped = one.drop()
  release()
  t.match(await handshake, { successful: true })
  await dropped
  t.equal(one.connected, false)

  app.cometd.createServerChannel('/meta/connect').removeListener('message', app.cometd.createServerChannel('/meta/connect').listeners('message')[0] as never)
  const resumed = one.resume()
  const droppedAgain = one.drop()
  const resumedAgain = one.resume()
  await Promise.all([resumed, droppedAgain, resumedAgain])
  await one.held()
  t.ok(one.connected)
  seen.length = 0
  await clock.advance(60_000)
  t.equal(seen.filter(({ channel, successful }) => channel === '/meta/connect' && successful === undefined).length, 2, 'one connect at a time')
})

t.test('a session whose client falls silent expires', async t => {
  const { app, clock, open } = await start(t, { maxInterval: 10_000 })
  const one = await open()
  const news = await one.subscribe('/news')
  const removed = once(app.cometd as never, 'sessionRemoved')
  await one.drop()
  await clock.advance(9_950)
  t.ok(one.session)
  await clock.advance(100)
  t.equal(one.session, undefined)
  t.equal((await removed)[2], 'timeout')
  t.ok(one.clientId, 'the client does not know yet')

  await one.resume()
  t.match(await one.ended, { channel: '/meta/connect', error: '402::session_unknown', advice: { reconnect: 'handshake' } })
  t.strictSame([one.clientId, one.connected], [undefined, false])
  t.strictSame(await news.next(), { done: true, value: undefined })
  t.match(await one.publish('/news', 1), { error: '402::session_unknown' })
})

t.test('a client begins anew when it is told to, with another session and no subscription', async t => {
  const { app, clock, open } = await start(t)
  const one = await open()
  const { session, ended } = one
  await one.drop()
  await clock.advance(10_050)
  await one.resume()
  await ended
  t.equal(one.ended, ended)
  t.match(await one.handshake(), { successful: true })
  t.not(one.ended, ended)
  t.not(one.session, session)
  t.strictSame(one.session?.subscriptions, [])
  const news = await one.subscribe('/news')
  app.cometd.createServerChannel('/news').publish(null, 1)
  t.match(await news.message(), { data: 1 })
})

t.test('the server ends a session: the client is told at once', async t => {
  const { open } = await start(t)
  const one = await open()
  const farewell = one.messages('/meta/disconnect')
  const held = (async () => {
    await one.ended
    await one.held()
  })()
  one.session?.disconnect()
  t.match(await one.ended, { channel: '/meta/connect', successful: true, advice: { reconnect: 'none' } })
  t.strictSame(farewell.take(), [{ channel: '/meta/disconnect', successful: true }])
  await t.rejects(held, /there is no session/)
})

t.test('who waits for a held connect is told when the session ends', async t => {
  const { clock, open } = await start(t, { interval: 1_000 })
  const one = await open()
  const held = t.rejects(one.held(), /the session has ended/)
  one.session?.disconnect()
  await clock.advance(1_050)
  await held
})

t.test('the server ends a session in its handshake', async t => {
  const { app, client } = await start(t)
  app.cometd.addListener('sessionAdded', session => session.disconnect())
  const one = client()
  t.match(await one.handshake(), { successful: false, error: '403::handshake_denied' })
  t.equal(one.clientId, undefined)
})

t.test('a session whose queue is full ends with the advice to begin anew', async t => {
  const { app, open } = await start(t, { maxQueue: 1 })
  const one = await open()
  await one.subscribe('/news')
  await one.drop()
  for (const n of [1, 2]) app.cometd.createServerChannel('/news').publish(null, n)
  await one.resume()
  t.match(await one.ended, { advice: { reconnect: 'handshake' } })
})

t.test('a client disconnects', async t => {
  const { app, open } = await start(t)
  const removed = once(app.cometd as never, 'sessionRemoved')
  const one = await open()
  const news = await one.subscribe('/news')
  t.match(await one.disconnect(), { channel: '/meta/disconnect', successful: true })
  t.equal((await removed)[2], 'disconnect')
  t.match(await one.ended, { channel: '/meta/connect', advice: { reconnect: 'none' } })
  t.strictSame([one.clientId, one.session, one.connected], [undefined, undefined, false])
  t.equal(await news.unsubscribe(), undefined)
  t.match(await one.disconnect(), { error: '402::session_unknown' })
})

t.test('a client that does not wait for a connect is told by the reply to its disconnect', async t => {
  const { open } = await start(t, { interval: 1_000 })
  const one = await open()
  await one.disconnect()
  t.match(await one.ended, { channel: '/meta/disconnect', successful: true })
})

t.test('a client has ended also if the server did not want it to', async t => {
  const { app, clock, open } = await start(t)
  app.cometd.createServerChannel('/meta/disconnect').addListener('message', () => false)
  const one = await open()
  const { session } = one
  t.match(await one.disconnect(), { successful: false })
  t.match(await one.ended, { successful: false })
  t.notOk(session?.removed)
  await clock.advance(30_050)
  await clock.advance(10_050)
  t.ok(session?.removed, 'it sends no more connects')

  const two = await open()
  t.match(await two.disconnect(), { successful: false })
  await app.close()
  t.match(await two.ended, { channel: '/meta/disconnect' })
})

t.test('a handshake ends the session before', async t => {
  const { app, open } = await start(t)
  const one = await open()
  const { session, ended } = one
  await one.handshake()
  t.match(await ended, { advice: { reconnect: 'none' } })
  t.ok(session?.removed)
  t.not(one.session, session)
  t.equal(app.cometd.statistics.sessions, 1)
})

t.test('a connect that fails is tried again, later and later', async t => {
  let status = 200
  const { clock, open } = await start(t, {
    maxInterval: 2_000_000,
    routeOptions: { onRequest: async (request, reply) => { if (status !== 200) await reply.code(status).send('no') } }
  })
  const one = await open()
  const attempts: number[] = []
  one.addExtension({ outgoing: ({ channel }) => { if (channel === '/meta/connect') attempts.push(clock.now()) } })
  status = 503
  await clock.advance(40_000)
  t.strictSame(attempts, [30_000, 31_000, 33_000, 36_000, 40_000])
  t.match(one.failure, { statusCode: 503, body: 'no' })
  t.equal(one.connected, false)
  await clock.advance(1_900_000)
  t.equal(attempts.at(-1) as number - (attempts.at(-2) as number), 60_000)
  status = 200
  await clock.advance(60_000)
  t.strictSame([one.failure, one.connected], [undefined, true])
  t.ok(one.session?.held)
})

t.test('a client whose first connect fails has a session all the same', async t => {
  let first = true
  const { app, clock, client } = await start(t)
  app.cometd.createServerChannel('/meta/connect').addListener('message', () => {
    if (!first) return true
    first = false
    throw new Error('broken')
  })
  const one = client()
  t.match(await one.handshake(), { successful: true })
  t.match(one.failure, { reply: { error: '500::internal_error' } })
  t.equal(one.connected, false)
  await clock.advance(1_050)
  t.ok(one.session?.held)
})

t.test('a connect that is refused without advice is tried again', async t => {
  const { app, clock, open } = await start(t)
  const one = await open()
  const veto = (): boolean => false
  app.cometd.createServerChannel('/meta/connect').addListener('message', veto)
  await clock.advance(30_050)
  t.match(one.failure, { reply: { error: '404::message_deleted' } })
  app.cometd.createServerChannel('/meta/connect').removeListener('message', veto)
  await clock.advance(1_050)
  t.equal(one.failure, undefined)
})

t.test('a connect that another one displaces is tried again', async t => {
  const { clock, open } = await start(t)
  const one = await open()
  t.match(await one.send({ channel: '/meta/connect', connectionType: 'long-polling', advice: { timeout: 0 } }), { successful: true })
  await clock.advance(0)
  t.match(one.failure, { statusCode: 500 })
  await clock.advance(1_050)
  t.ok(one.session?.held)
})

t.test('when the application closes, the client has ended, whatever it was doing', async t => {
  const states: Record<string, (one: TestClient, clock: TestClock) => Promise<void>> = {
    held: async () => {},
    lost: async one => await one.drop(),
    waiting: async (one, clock) => {
      one.addExtension({ incoming (message) { if (message.channel === '/meta/connect') message.advice = { interval: 5_000 } } })
      await clock.advance(30_050)
    },
    failing: async (one, clock) => {
      one.addExtension({ outgoing ({ channel }) { if (channel === '/meta/connect') throw new Error('broken') } })
      await clock.advance(30_050)
    },
    ended: async one => { await one.disconnect() }
  }
  for (const [name, reach] of Object.entries(states)) {
    const { app, clock, open } = await start(t)
    const one = await open()
    const news = await one.subscribe('/news')
    await reach(one, clock)
    await app.close()
    const last = await one.ended
    if (name === 'held') t.match(last, { successful: true, advice: { reconnect: 'retry' } })
    else if (name !== 'ended') t.match(last, { channel: '/meta/connect', successful: false, error: '503::server_closed' }, name)
    t.strictSame(await news.next(), { done: true, value: undefined })
    await one.resume()
    await t.rejects(one.publish('/news', 1), { code: 'FST_ERR_REOPENED_CLOSE_SERVER' })
    await t.rejects(one.handshake(), { code: 'FST_ERR_REOPENED_CLOSE_SERVER' })
    await clock.advance(120_000)
  }
})

t.test('when the application closes while a connect is on its way, the client has ended', async t => {
  for (const broken of [false, true]) {
    const { app, clock, open } = await start(t)
    let fails = false
    app.addHook('onSend', async () => { if (fails) throw new Error('broken') })
    const one = await open()
    const asked = new Promise<void>(resolve => {
      app.cometd.createServerChannel('/meta/connect').addListener('message', async () => {
        resolve()
        for (let i = 0; i < 5; i++) await turn()
      })
    })
    const advanced = clock.advance(30_050)
    await asked
    fails = broken
    await app.close()
    await advanced
    t.match(await one.ended, { channel: '/meta/connect' })
  }
})

t.test('nothing of a client keeps the process alive, once the application is closed or on a fake clock', async t => {
  const keepAlive = (): string[] => process.getActiveResourcesInfo().filter(name => name !== 'Immediate')
  const before = keepAlive()
  const app = Fastify()
  await app.register(cometd)
  const one = createTestClient(app)
  await one.handshake()
  const next = (await one.subscribe('/a')).next()
  t.strictSame(keepAlive(), [...before, 'Timeout'], 'the held connect')
  await app.close()
  await next
  t.strictSame(keepAlive(), before)

  const { open } = await start(t)
  const two = await open()
  two.messages('/a').next()
  await turn()
  t.strictSame(keepAlive(), before)
})

t.test('types', async t => {
  interface Channels {
    '/chat/{room}': { user: string, text: string }
    '/service/time': { request: null, response: number }
  }
  interface Calls {
    sum: { parameters: number[], result: number }
  }
  const { app } = await start(t)
  app.cometd.service('/service/time', () => 5)
  app.cometd.remoteCall('sum', (session, numbers: number[]) => numbers.length)
  const one = createTestClient<Channels, Calls>(app)
  await one.handshake()
  const chat = await one.subscribe('/chat/1')
  await one.publish('/chat/1', { user: 'ada', text: 'hi' })
  const { data } = await chat.message()
  same<typeof data, { user: string, text: string }>(true)
  t.equal(data.text, 'hi')
  const times = one.messages('/service/time')
  await one.publish('/service/time', null)
  same<AsyncIteratorValue<typeof times>, number>(true)
  t.equal((await times.message()).data, 5)
  const sum = await one.remoteCall('sum', [1, 2])
  same<typeof sum, number>(true)
  t.equal(sum, 2)
  // @ts-expect-error data of the wrong type
  await one.publish('/chat/1', { user: 'ada' })
  // @ts-expect-error parameters of the wrong type
  await one.remoteCall('sum', '1')
  const anything = await one.subscribe('/other')
  await one.publish('/other', 1)
  same<AsyncIteratorValue<typeof anything>, unknown>(true)
  t.match(await anything.message(), { data: 1 })
  t.equal(createTestClient(Fastify({ http2: true }).register(cometd)).clientId, undefined)
})

type AsyncIteratorValue<Messages> = Messages extends AsyncIterable<{ data: infer Data }> ? Data : never
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
function same<A, B> (equal: Equal<A, B>): void {}
