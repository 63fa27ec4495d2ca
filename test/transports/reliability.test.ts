import t from 'tap'
import { once as nodeOnce } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type Client, once, start, turn, type Wire } from '../helpers/harness.js'
import { listen, post } from '../helpers/http.js'

const connect = (one: Client, id: string): Wire[] => [{ channel: '/meta/connect', connectionType: 'long-polling', clientId: one.clientId, id }]

t.test('nothing is lost when a client drops its held connect', async t => {
  const { app, open } = await start(t, { maxSessionsPerBrowser: 1 })
  const url = await listen(app) + '/cometd'
  const one = await open()
  for (let round = 0; round < 5; round++) {
    const suspended = once(one.session, 'suspended')
    const { request } = post(url, connect(one, `c${round}`), { cookie: one.cookie as string })
    await suspended
    const resumed = once(one.session, 'resumed')
    request.destroy()
    await resumed
    one.session.deliver(null, '/a', round)
    t.strictSame((await one.connect()).map(({ data }) => data), [round, undefined])
  }
  const { answer } = await one.hold()
  one.session.deliver(null, '/a', 'the count of held connects is right')
  t.equal((await answer).length, 2)
})

t.test('nothing is lost when a client drops its held connect while the event is on its way', async t => {
  const { app, open } = await start(t)
  const url = await listen(app) + '/cometd'
  const one = await open()
  const { session } = one
  const suspended = once(session, 'suspended')
  const { request } = post(url, connect(one, 'c1'), { cookie: one.cookie as string })
  await suspended
  const resumed = once(session, 'resumed')
  session.deliver(null, '/a', 1)
  request.destroy()
  await resumed
  // The answer was handed to a socket whose other end is gone: the kernel took it, or it came back.
  const got = (await one.connect({ advice: { timeout: 0 } })).slice(0, -1).map(({ data }) => data)
  t.ok(got.length <= 1)
  t.equal(session.queueLength, 0)
})

t.test('nothing is lost when an answer breaks off half way', async t => {
  const { app, open } = await start(t, { highWaterMark: 50_000_000 })
  const url = await listen(app) + '/cometd'
  const one = await open()
  const large = 'x'.repeat(900_000)
  one.session.addListener('queueMaxed', () => 'keep')
  for (let i = 0; i < 20; i++) one.session.deliver(null, '/a', { i, large })
  const { request } = post(url, connect(one, 'c1'), { cookie: one.cookie as string })
  await new Promise<void>(resolve => request.on('response', message => message.once('data', () => {
    message.destroy()
    resolve()
  })))
  while (one.session.queueLength === 0) await turn()
  one.session.deliver(null, '/a', { i: 20 })
  const got: number[] = []
  while (one.session.queueLength > 0) got.push(...(await one.connect()).slice(0, -1).map(({ data }) => data.i))
  t.strictSame(got, Array.from({ length: 21 }, (_, i) => i))
})

t.test('nothing is lost when a hook of the application makes the answer fail', async t => {
  const { app, open } = await start(t)
  let broken = false
  app.addHook('onSend', async () => { if (broken) throw new Error('broken') })
  const one = await open()
  one.session.deliver(null, '/a', 1)
  one.session.deliver(null, '/a', 2)
  broken = true
  const response = await one.post(connect(one, 'c1'))
  t.equal(response.statusCode, 500)
  broken = false
  t.strictSame((await one.connect()).map(({ data }) => data), [1, 2, undefined])
})

t.test('nothing is lost, and nothing stays open, when the reply itself fails', async t => {
  const { app, open } = await start(t)
  let broken = false
  app.addHook('onRequest', async (request, reply) => {
    if (broken) reply.header = () => { throw new Error('broken') }
  })
  const one = await open()
  broken = true
  for (const asynchronous of [false, true]) {
    app.cometd.policy = { canPublish: () => asynchronous ? Promise.resolve(true) : true }
    one.session.deliver(null, '/a', asynchronous)
    t.equal((await one.post([{ channel: '/b', data: 1, clientId: one.clientId }])).statusCode, 500)
    t.notOk(one.session.batching)
  }
  broken = false
  t.strictSame((await one.connect()).map(({ data }) => data), [false, true, undefined])
})

t.test('an answer that a hook gave in our place takes no events with it', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  one.session.deliver(null, '/a', 1)
  cometd.policy = { canPublish: async () => { await cometd.context.reply?.code(418).send({ teapot: true }) } }
  t.equal((await one.post([{ channel: '/b', data: 1, clientId: one.clientId }])).statusCode, 418)
  await turn()
  t.notOk(one.session.batching)
  t.equal(one.session.queueLength, 1)
})

t.test('a client that goes away while its message waits for the application loses no events', async t => {
  const { app, open, cometd } = await start(t)
  let response: ServerResponse | undefined
  app.addHook('onRequest', async (request, reply) => { response = reply.raw })
  const url = await listen(app) + '/cometd'
  const one = await open()
  one.session.deliver(null, '/a', 1)
  let allow = (): void => {}
  const asked = new Promise<void>(resolve => {
    cometd.policy = {
      canPublish (session, message, channel, callback) {
        allow = () => callback(null, true)
        resolve()
      }
    }
  })
  const { request } = post(url, [{ channel: '/b', data: 1, clientId: one.clientId }], { cookie: one.cookie as string })
  await asked
  const closed = nodeOnce(response as ServerResponse, 'close')
  request.destroy()
  await closed
  allow()
  await turn()
  t.notOk(one.session.batching)
  t.equal(one.session.queueLength, 1)
})
