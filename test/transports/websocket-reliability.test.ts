import { randomBytes } from 'node:crypto'
import { once as nodeOnce } from 'node:events'
import t from 'tap'
import { once, start, turn, type Harness, type Wire } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { drop, remember, serverSideOf, serverTcpOf, SocketClient } from '../helpers/socket.js'

// More than the operating system takes for a reader that stands still.
const LARGE = 'x'.repeat(100_000)

async function fill ({ cometd }: Harness, stalled: SocketClient, channel: string): Promise<number> {
  let sent = 0
  while (stalled.session.queueLength === 0) {
    cometd.createServerChannel(channel).publish(null, `${sent++}:${LARGE}`)
    await turn()
  }
  return sent
}

function numbers (client: SocketClient, channel: string): number[] {
  return client.events(channel).map(data => Number.parseInt(data as string))
}

t.test('one stalled reader among 100 costs the others nothing and the process its queue limit; it catches up in order', async t => {
  const harness = await start(t, { maxQueueBytes: 1_000_000, highWaterMark: 200_000 })
  const { app, cometd } = harness
  await listen(app)
  remember(app)
  const clients = await Promise.all(Array.from({ length: 100 }, async () => await SocketClient.join(app)))
  await Promise.all(clients.map(async client => await client.subscribe('/a')))
  const [stalled, ...others] = clients as [SocketClient, ...SocketClient[]]
  stalled.ws.pause()
  let sent = await fill(harness, stalled, '/a')
  while (stalled.session.queueLength < 5) {
    cometd.createServerChannel('/a').publish(null, `${sent++}:${LARGE}`)
    await turn()
  }
  for (const client of others) await client.until(() => client.events('/a').length === sent)
  t.ok(serverSideOf(app, stalled).bufferedAmount <= 200_000 + 2 * LARGE.length, 'the socket holds what the mark allows and no more than one write beside')
  t.equal(stalled.session.queueLength, 5, 'the queue holds the rest')

  stalled.ws.resume()
  await stalled.until(() => stalled.events('/a').length === sent)
  t.strictSame(numbers(stalled, '/a'), Array.from({ length: sent }, (_, i) => i))
})

t.test('a stalled reader whose queue overflows is removed, and its socket closed', async t => {
  const harness = await start(t, { maxQueue: 3 })
  const { app, cometd } = harness
  const one = await SocketClient.join(app)
  await one.subscribe('/a')
  await one.connect()
  await one.hold()
  one.ws.pause()
  await fill(harness, one, '/a')
  const { session } = one
  const removed = once(session, 'removed')
  for (let i = 0; i < 4; i++) cometd.createServerChannel('/a').publish(null, 1)
  t.strictSame((await removed).slice(1), [false, 'queueMaxed'])
  one.ws.resume()
  t.strictSame(await one.closed, { code: 1000, reason: 'session ended' })
  t.match(one.messages.at(-1), { channel: '/meta/connect', successful: false, error: '402::session_unknown', advice: { reconnect: 'handshake' } })
})

t.test('what a socket had not taken when it broke comes back, in order, and arrives over the next one', async t => {
  for (const perMessageDeflate of [false, true]) {
    const harness = await start(t, { highWaterMark: 5_000_000, maxQueueBytes: 10_000_000, perMessageDeflate })
    const { app, cometd } = harness
    await listen(app)
    remember(app)
    const one = await SocketClient.join(app, { perMessageDeflate })
    await one.subscribe('/a')
    one.ws.pause()
    // What cannot be compressed.
    const noise = randomBytes(75_000).toString('base64')
    const publish = (n: number): void => { cometd.createServerChannel('/a').publish(null, `${n}:${noise}`) }
    let sent = 0
    while (one.session.queueLength === 0) {
      publish(sent++)
      await turn()
    }
    publish(sent)
    const { session } = one
    const serverSide = serverSideOf(app, one)
    const noticed = nodeOnce(serverSide, 'close')
    serverSide.terminate()
    await noticed
    t.ok(session.queueLength > 2, `${session.queueLength} messages wait`)
    // What had left before arrives.
    one.ws.resume()
    await one.closed

    const again = await SocketClient.open(app, { perMessageDeflate })
    again.clientId = one.clientId
    await again.publish('/b', 1)
    await again.until(() => numbers(again, '/a').at(-1) === sent)
    const got = numbers(again, '/a')
    t.strictSame(got, got.map((_, i) => sent - got.length + 1 + i), 'without a gap')
    const before = numbers(one, '/a')
    t.strictSame(before, before.map((_, i) => i))
    t.ok((before.at(-1) as number) >= (got[0] as number) - 1, 'and without one between the sockets')
  }
})

t.test('what is sent to a socket that has just broken, or has ended, waits for the next one', async t => {
  const { app, cometd } = await start(t)
  await listen(app)
  remember(app)
  for (const breakIt of [
    (one: SocketClient) => { serverTcpOf(app, one).destroy() },
    async (one: SocketClient) => {
      const ended = nodeOnce(serverTcpOf(app, one), 'end')
      one.tcp.end()
      await ended
    }
  ]) {
    const one = await SocketClient.join(app)
    await one.subscribe('/a')
    const { session } = one
    const left = nodeOnce(serverSideOf(app, one), 'close')
    await breakIt(one)
    cometd.createServerChannel('/a').publish(null, 1)
    await left
    t.equal(session.queueLength, 1)
    const again = await SocketClient.open(app)
    again.clientId = one.clientId
    await again.publish('/b', 1)
    t.strictSame([one.events('/a'), again.events('/a')], [[], [1]])
    session.disconnect()
  }
})

t.test('a session that moves away from a stalled socket takes with it what is stuck there', async t => {
  const harness = await start(t)
  const { app } = harness
  const one = await SocketClient.join(app)
  await one.subscribe('/a')
  one.ws.pause()
  const sent = await fill(harness, one, '/a')
  const again = await SocketClient.open(app)
  again.clientId = one.clientId
  await again.publish('/b', 1)
  await again.until(() => numbers(again, '/a').at(-1) === sent - 1)
  const got = numbers(again, '/a')
  t.ok(got.length > 1)
  t.strictSame(got, got.map((_, i) => sent - got.length + i))
  one.ws.resume()
  t.equal((await one.closed).code, 1006, 'the old socket is broken off')
})

t.test('a compressed or an injected socket is as reliable', async t => {
  const { app, cometd } = await start(t, { highWaterMark: 1_000, maxMessageSize: 10_000_000 })
  await app.ready()
  const ws = await app.injectWS('/cometd')
  const messages: Wire[] = []
  ws.on('message', data => { messages.push(...JSON.parse(String(data))) })
  ws.send(JSON.stringify([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] }]))
  await nodeOnce(ws, 'message')
  const clientId = messages[0]?.['clientId']
  ws.send(JSON.stringify([{ channel: '/meta/subscribe', clientId, subscription: '/a' }]))
  await nodeOnce(ws, 'message')
  for (let i = 0; i < 20; i++) cometd.createServerChannel('/a').publish(null, `${i}:${LARGE.slice(0, 20_000)}`)
  while (messages.length < 22) await nodeOnce(ws, 'message')
  t.strictSame(messages.slice(2).map(({ data }) => Number.parseInt(data)), Array.from({ length: 20 }, (_, i) => i))
  ws.terminate()
})

t.test('a client that does not read its replies is not read from', async t => {
  const { app, cometd } = await start(t, { highWaterMark: 1_000 })
  await listen(app)
  remember(app)
  const one = await SocketClient.join(app)
  one.ws.pause()
  let received = 0
  cometd.createServerChannel('/big').addListener('message', () => { received++ })
  const serverSide = serverSideOf(app, one)
  let asked = 0
  // A refused channel name comes back in the error: the reply is as long as the request.
  while (!serverSide.isPaused) {
    one.raw([{ channel: '/big', clientId: one.clientId, data: 1, id: 'x'.repeat(200) }, ...Array.from({ length: 100 }, () => ({ channel: '/' + 'y'.repeat(255), clientId: one.clientId }))])
    asked++
    await turn()
  }
  t.ok(asked > 1)
  one.ws.resume()
  await one.until(() => received === asked)
  while (serverSide.isPaused) await turn()
})

t.test('a half-open socket is found by the heartbeat, and everything of it goes', async t => {
  const { app, clock } = await start(t, { timeout: 2_000, maxInterval: 1_000 })
  await listen(app)
  remember(app)
  const one = await SocketClient.join(app)
  await one.connect()
  await one.hold()
  // The network has swallowed the client: nothing comes from it any more, not even the end.
  one.ws.pause()
  const { session } = one
  const removed = once(session, 'removed')
  const answered = once(session, 'resumed')
  clock.tick(2_050)
  await answered
  clock.tick(1_050)
  t.strictSame((await removed).slice(1), [true, 'timeout'])
  const serverSide = serverSideOf(app, one)
  await turn()
  t.equal(serverSide.readyState, serverSide.CLOSING)
  one.ws.terminate()
})

t.test('a socket that closes while its message is processed leaves nothing behind', async t => {
  const { app, cometd, clock } = await start(t, { maxInterval: 1_000 })
  await listen(app)
  remember(app)
  let goOn = (): void => {}
  for (const channel of ['/meta/connect', '/meta/handshake', '/meta/subscribe']) {
    let arrived = (): void => {}
    const arrival = new Promise<void>(resolve => { arrived = resolve })
    const listener = async (): Promise<void> => { arrived(); await new Promise<void>(resolve => { goOn = resolve }) }
    const one = await SocketClient.join(app)
    await one.connect()
    const { session } = one
    cometd.createServerChannel(channel).addListener('message', listener)
    one.raw([{ channel, clientId: one.clientId, connectionType: 'websocket', subscription: '/a', version: '1.0', supportedConnectionTypes: ['websocket'] }])
    await arrival
    const added: unknown[] = []
    cometd.addListener('sessionAdded', session => { added.push(session) })
    await drop(app, one)
    goOn()
    for (let i = 0; i < 3; i++) await turn()
    cometd.createServerChannel(channel).removeListener('message', listener)
    t.notOk(session.held)
    clock.tick(1_050)
    t.ok(session.removed, channel)
    for (const session of added) t.ok((session as typeof one.session).removed)
  }
})

t.test('what came in before the socket closed is still processed, but the session is not served by a socket that is gone', async t => {
  const { app, cometd } = await start(t)
  await listen(app)
  remember(app)
  const one = await SocketClient.join(app)
  const { session } = one
  let goOn = (): void => {}
  const heard: unknown[] = []
  const arrived = new Promise<void>(resolve => {
    cometd.createServerChannel('/slow').addListener('message', async () => { resolve(); await new Promise<void>(resolve => { goOn = resolve }) })
  })
  const processed = new Promise<void>(resolve => {
    cometd.createServerChannel('/a').addListener('message', (session, channel, { data }) => { heard.push(data); resolve() })
  })
  one.raw([{ channel: '/slow', clientId: one.clientId, data: 1 }, { channel: '/a', clientId: one.clientId, data: 2 }])
  await arrived
  await drop(app, one)
  goOn()
  await processed
  t.strictSame([heard, session.outlet, session.removed], [[2], undefined, false])
})

t.test('close() answers held connects, then closes the sockets with 1001', async t => {
  const { app, cometd } = await start(t, { closeInterval: 1_000 })
  const one = await SocketClient.join(app)
  await one.connect()
  const { answer } = await one.hold()
  const without = await SocketClient.open(app)
  one.session.deliver(null, '/a', LARGE.repeat(5))
  await app.close()
  t.match(await answer, { successful: true, advice: { reconnect: 'retry' } })
  t.equal(one.events('/a').length, 1)
  for (const { closed } of [one, without]) t.strictSame(await closed, { code: 1001, reason: 'server closed' })
  t.ok(cometd.closed)
})

t.test('close() is bounded in time, whatever clients do', async t => {
  const harness = await start(t, { closeTimeout: 500 })
  const { app, clock } = harness
  await listen(app)
  const stalled = await SocketClient.join(app)
  await stalled.subscribe('/a')
  stalled.ws.pause()
  await fill(harness, stalled, '/a')
  const closed = app.close()
  await turn()
  clock.tick(500)
  await closed
  stalled.ws.resume()
  t.equal((await stalled.closed).code, 1006)
})
