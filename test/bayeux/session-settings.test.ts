import t from 'tap'
import { start } from '../helpers/harness.js'
import { SocketClient } from '../helpers/socket.js'

t.test('attributes are the application\'s own', async t => {
  const { open } = await start(t)
  const { session } = await open()
  t.equal(session.attributes.size, 0)
  session.attributes.set('user', { name: 'Ada' })
  t.strictSame(session.attributes.get('user'), { name: 'Ada' })
})

t.test('userAgent is what the client says in its handshake', async t => {
  const { app, client } = await start(t)
  const polling = client()
  const response = await polling.post([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }], { 'user-agent': 'Netscape' })
  t.equal(app.cometd.getServerSession(response.json()[0].clientId)?.userAgent, 'Netscape')
  const socket = await SocketClient.open(app, { headers: { 'user-agent': 'x'.repeat(300) } })
  await socket.handshake()
  t.equal(socket.session.userAgent, 'x'.repeat(255), 'of a long one the beginning is kept')
  const silent = await SocketClient.join(app)
  t.equal(silent.session.userAgent, undefined)
})

t.test('a session can have timing of its own', async t => {
  await t.test('from the handshake on', async t => {
    const { cometd, client, clock } = await start(t)
    cometd.addListener('sessionAdded', session => Object.assign(session, { timeout: 5_000, interval: 100, maxInterval: 2_000 }))
    const one = client()
    const reply = await one.handshake()
    t.match(reply['advice'], { reconnect: 'retry', timeout: 5_000, interval: 100 })
    const { session } = one
    t.strictSame([session.timeout, session.interval, session.maxInterval], [5_000, 100, 2_000])
    await one.connect()
    const { answer } = await one.hold()
    await clock.tickAsync(5_100)
    t.match(await answer, [{ channel: '/meta/connect', successful: true }])
    await clock.tickAsync(1_900)
    t.notOk(session.removed, 'interval and maxInterval are not over')
    await clock.tickAsync(300)
    t.ok(session.removed)
  })

  await t.test('and is told when it changes', async t => {
    const { open, clock } = await start(t)
    const client = await open()
    const { answer } = await client.hold()
    client.session.timeout = 1_000
    client.session.deliver(null, '/a', 1)
    t.notOk((await answer).at(-1)?.['advice'])
    const { answer: next } = await client.hold()
    await clock.tickAsync(1_100)
    t.match((await next).at(-1)?.['advice'], { reconnect: 'retry', timeout: 1_000, interval: 0 })
    client.session.timeout = undefined
    await client.hold()
    client.session.interval = 60_000
    client.session.maxInterval = undefined
  })

  await t.test('which is checked', async t => {
    const { open } = await start(t)
    const { session } = await open()
    for (const name of ['timeout', 'interval', 'maxInterval'] as const) {
      t.throws(() => { session[name] = -1 }, { code: 'COMETD_ERR_OPTION_INVALID' })
    }
  })
})

t.test('with handshakeReconnect, advice says how long a silent session lives (B36)', async t => {
  const { client, cometd } = await start(t, { handshakeReconnect: true, maxInterval: 7_000 })
  const one = client()
  t.strictSame((await one.handshake())['advice'], { reconnect: 'retry', interval: 0, timeout: 30_000, maxInterval: 7_000 })
  one.session.maxInterval = 9_000
  t.strictSame((await one.connect()).at(-1)?.['advice'], { reconnect: 'retry', interval: 0, timeout: 30_000, maxInterval: 9_000 })
  cometd.options.handshakeReconnect = false
  t.notOk((await one.connect({ advice: { timeout: 0 } })).at(-1)?.['advice'].maxInterval)
})

t.test('a listener of message may veto what a session gets', async t => {
  const { cometd, open } = await start(t)
  const [ada, grace] = [await open(), await open()]
  for (const client of [ada, grace]) await client.subscribe('/a')
  const seen: unknown[] = []
  ada.session.addListener('message', (session, sender, message) => { seen.push([session.id, sender?.id, message.data]) })
  ada.session.addListener('message', (session, sender, message) => message.data !== 'spam')
  ada.session.addListener('message', () => true)
  t.equal(ada.session.deliver(null, '/b', 'spam'), false)
  t.equal(ada.session.deliver(null, '/b', 'ham'), true)
  await grace.publish('/a', 'spam')
  t.match(await ada.connect(), [{ channel: '/b', data: 'ham' }, { channel: '/meta/connect' }])
  t.strictSame(seen, [[ada.clientId, undefined, 'spam'], [ada.clientId, undefined, 'ham'], [ada.clientId, grace.clientId, 'spam']])
  t.equal(cometd.getServerChannel('/a')?.subscribers.length, 2)
})

t.test('what is delivered during the handshake', async t => {
  await t.test('waits for the first connect', async t => {
    const { cometd, client } = await start(t)
    cometd.addListener('sessionAdded', session => session.deliver(null, '/welcome', 'hello'))
    const one = client()
    t.equal((await one.handshake())['x-messages'], undefined)
    t.match(await one.connect(), [{ channel: '/welcome', data: 'hello' }, {}])
  })

  await t.test('follows its reply if that is allowed', async t => {
    const { cometd, client } = await start(t, { allowMessageDeliveryDuringHandshake: true })
    let deliver = true
    cometd.addListener('sessionAdded', session => { if (deliver) for (const data of [1, 2]) session.deliver(null, '/welcome', data) })
    const one = client()
    const handshake = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling', 'websocket'] }
    const messages = await one.raw(handshake)
    t.match(messages, [{ channel: '/meta/handshake', successful: true, 'x-messages': 2 }, { channel: '/welcome', data: 1 }, { channel: '/welcome', data: 2 }])
    one.clientId = messages[0]?.['clientId']
    t.equal((await one.connect()).length, 1, 'and comes once')
    deliver = false
    t.equal((await client().handshake())['x-messages'], undefined)
  })

  for (const messagesPerFrame of [0, 1]) {
    await t.test(`follows its reply over WebSocket, with messagesPerFrame ${messagesPerFrame}`, async t => {
      const { app, cometd } = await start(t, { messagesPerFrame })
      cometd.addListener('sessionAdded', session => {
        session.allowMessageDeliveryDuringHandshake = true
        session.batch(() => { for (const data of [1, 2]) session.deliver(null, '/welcome', data) })
      })
      const client = await SocketClient.join(app)
      await client.until(() => client.events('/welcome').length === 2)
      t.match(client.frames[0], [{ channel: '/meta/handshake', 'x-messages': 2 }])
      t.equal(client.frames.length, messagesPerFrame === 0 ? 2 : 3)
      await client.connect()
      t.strictSame(client.events('/welcome'), [1, 2])
    })
  }

  await t.test('waits if an extension deletes the reply', async t => {
    for (const transport of ['long-polling', 'websocket']) {
      const { app, cometd, client } = await start(t, { allowMessageDeliveryDuringHandshake: true })
      let id = ''
      cometd.addListener('sessionAdded', session => {
        id = session.id
        session.deliver(null, '/welcome', 1)
      })
      cometd.addExtension({ outgoing: (server, sender, session, message) => message.channel !== '/meta/handshake' })
      if (transport === 'long-polling') {
        const one = client()
        await one.raw({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] })
        one.clientId = id
        t.match(await one.connect(), [{ channel: '/welcome', data: 1 }, {}])
      } else {
        const socket = await SocketClient.open(app)
        socket.raw([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] }])
        await socket.caughtUp()
        socket.clientId = id
        await socket.connect()
        t.strictSame(socket.events('/welcome'), [1])
      }
    }
  })
})
