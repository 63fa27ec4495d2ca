import { once as nodeOnce } from 'node:events'
import t from 'tap'
import { memoryLog, once, start, turn } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { RawClient, WEBSOCKET, written } from '../helpers/raw.js'
import { SocketClient } from '../helpers/socket.js'

const handshake = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] }

t.test('what is no array of Bayeux messages closes the socket, and is logged at debug without its text', async t => {
  const { lines, logger } = memoryLog()
  const { app } = await start(t, { maxMessages: 3, maxMessageSize: 1_000 }, { logger })
  const bad: Array<[unknown, number, string]> = [
    ['{secret', 1007, 'malformed JSON'],
    ['', 1007, 'malformed JSON'],
    ['[{"__proto__":{"secret":1}}]', 1007, 'malformed JSON'],
    ['"secret"', 1008, 'not Bayeux messages'],
    ['null', 1008, 'not Bayeux messages'],
    ['[["secret"]]', 1008, 'not Bayeux messages'],
    ['[{"channel":["secret"]}]', 1008, 'not Bayeux messages'],
    [JSON.stringify(Array(4).fill({ channel: '/a' })), 1008, 'too many messages'],
    [Buffer.from('[{"channel":"/secret"}]'), 1003, 'binary message']
  ]
  for (const [body, code, reason] of bad) {
    const one = await SocketClient.open(app)
    one.raw(body)
    t.strictSame(await one.closed, { code, reason }, String(body).slice(0, 30))
    t.match(lines.at(-1), { level: 20, code, reason, msg: 'WebSocket closed' })
    t.strictSame(one.messages, [])
  }
  t.notOk(lines.some(line => JSON.stringify(line).includes('secret')))
})

t.test('a message over maxMessageSize closes the socket with 1009, as does a fragmented one', async t => {
  const { lines, logger } = memoryLog()
  const { app } = await start(t, { maxMessageSize: 200 }, { logger })
  const fits = await SocketClient.open(app)
  fits.raw(JSON.stringify({ id: '1', ...handshake }).padEnd(200))
  t.match(await fits.reply('1'), { successful: true })
  fits.raw('x'.repeat(201))
  t.equal((await fits.closed).code, 1009)
  t.match(lines.at(-1), { level: 20, msg: 'WebSocket failed' })

  const parts = await SocketClient.open(app)
  for (let i = 0; i < 3; i++) parts.ws.send(' '.repeat(100), { fin: false })
  t.equal((await parts.closed).code, 1009)
  t.notOk(lines.some(({ level }) => level > 30))
})

t.test('text that is not UTF-8 closes the socket with 1007', async t => {
  const { app } = await start(t)
  const one = await SocketClient.open(app)
  one.ws.send(Buffer.from([0xff, 0xfe]), { binary: false })
  t.equal((await one.closed).code, 1007)
})

t.test('maxMessageSize is the bodyLimit of the plugin, or of the application, if it is not set', async t => {
  for (const [options, fastify] of [[{ bodyLimit: 100 }, {}], [{}, { bodyLimit: 100 }]]) {
    const { app } = await start(t, options, fastify)
    const one = await SocketClient.open(app)
    one.raw(' '.repeat(101))
    t.equal((await one.closed).code, 1009)
  }
})

t.test('what came in before the fault is answered first', async t => {
  const { app } = await start(t)
  const one = await SocketClient.join(app)
  one.raw([{ id: 'x', channel: '/a', clientId: one.clientId, data: 1 }])
  one.raw('{')
  one.raw([{ id: 'y', channel: '/a', clientId: one.clientId, data: 1 }])
  t.equal((await one.closed).code, 1007)
  t.match(one.messages.at(-1), { id: 'x', successful: true })
})

t.test('nor is what waits for its turn lost to a fault behind it; what is behind the fault is not heard', async t => {
  for (const [fault, code] of [[Buffer.from('binary'), 1003], ['{', 1007]] as const) {
    const { app, cometd } = await start(t)
    const one = await SocketClient.join(app)
    const heard: unknown[] = []
    let goOn = (): void => {}
    cometd.createServerChannel('/slow').addListener('message', async (session, channel, { id }) => {
      heard.push(id)
      await new Promise<void>(resolve => { goOn = resolve })
    })
    const publish = (id: string): void => one.raw([{ id, channel: '/slow', clientId: one.clientId, data: 1 }])
    publish('x')
    publish('y')
    one.raw(fault)
    publish('z')
    for (const expected of [['x'], ['x', 'y']]) {
      while (heard.length < expected.length) await turn()
      t.strictSame(heard, expected)
      goOn()
    }
    t.equal((await one.closed).code, code)
    t.match(one.messages.slice(-2), [{ id: 'x', successful: true }, { id: 'y', successful: true }])
    t.strictSame(heard, ['x', 'y'])
  }
})

t.test('a socket without a session is closed after handshakeTimeout, whatever it sends', async t => {
  const { app, cometd, clock } = await start(t, { handshakeTimeout: 2_000 })
  cometd.policy = { canHandshake: () => false }
  const silent = await SocketClient.open(app)
  const refused = await SocketClient.open(app)
  await refused.handshake()
  clock.tick(1_900)
  await refused.handshake()
  await silent.caughtUp()
  t.equal(silent.ws.readyState, silent.ws.OPEN)
  clock.tick(150)
  for (const { closed } of [silent, refused]) t.strictSame(await closed, { code: 1008, reason: 'handshake timeout' })
})

t.test('a socket is closed idleTimeout after the last message of its client, and the session can go on', async t => {
  const { app, clock } = await start(t, { timeout: 1_000, idleTimeout: 5_000, maxInterval: 10_000 })
  const one = await SocketClient.join(app)
  clock.tick(4_000)
  await one.subscribe('/a')
  clock.tick(4_000)
  const { session } = one
  session.deliver(null, '/a', 1)
  await one.until(() => one.events('/a').length === 1)
  clock.tick(1_050)
  t.strictSame(await one.closed, { code: 1001, reason: 'idle timeout' })
  const again = await SocketClient.open(app)
  again.clientId = one.clientId
  t.match(await again.publish('/b', 1), { successful: true })
})

t.test('maxSessionsPerBrowser does not count sockets, maxSessions and maxSessionsPerCookie do count sessions', async t => {
  const { app, cometd } = await start(t, { maxSessionsPerCookie: 2, maxSessions: 3 })
  const headers = { cookie: 'BAYEUX_BROWSER=' + 'b'.repeat(40) }
  for (let i = 0; i < 2; i++) {
    const one = await SocketClient.join(app, { headers })
    await one.connect()
    await one.hold()
  }
  const third = await SocketClient.open(app, { headers })
  t.match(await third.handshake(), { successful: false, error: '403:max_sessions_per_cookie:handshake_denied' })
  await SocketClient.join(app)
  const fourth = await SocketClient.open(app)
  t.match(await fourth.handshake(), { successful: false, error: '403:max_sessions:handshake_denied' })
  t.equal(cometd.options.maxSessions, 3)
})

t.test('permessage-deflate is off, and bounded when it is on', async t => {
  const offered = { perMessageDeflate: true }
  const { app } = await start(t)
  t.equal((await SocketClient.open(app, offered)).ws.extensions, '')

  const { app: compressing, cometd } = await start(t, { perMessageDeflate: true, maxMessageSize: 10_000 })
  const one = await SocketClient.join(compressing, offered)
  t.match(one.ws.extensions, 'permessage-deflate')
  t.match(compressing.websocketServer.options.perMessageDeflate, { threshold: 1024, concurrencyLimit: 10, serverNoContextTakeover: true })
  await one.subscribe('/a')
  for (let i = 0; i < 3; i++) cometd.createServerChannel('/a').publish(null, 'x'.repeat(100_000))
  await one.until(() => one.events('/a').length === 3)
  t.ok(one.tcp.bytesRead < 10_000, 'compressed')
  one.raw(' '.repeat(10_001))
  t.equal((await one.closed).code, 1009, 'a small message that becomes a large one')

  const { app: tuned } = await start(t, { perMessageDeflate: { threshold: 10 } })
  t.match(tuned.websocketServer.options.perMessageDeflate, { threshold: 10, concurrencyLimit: 10 })
})

t.test('what a client was not asked for is not asked of it: its context is given up if it has offered that', async t => {
  const { app } = await start(t, { perMessageDeflate: true })
  const origin = await listen(app)
  const agreed = async (offer: string): Promise<string[]> => {
    const client = await RawClient.open(t, origin)
    const { status, headers } = await client.send(written('GET /cometd', `${WEBSOCKET}Sec-WebSocket-Extensions: ${offer}\r\n`))
    t.equal(status, 101)
    return (headers['sec-websocket-extensions'] as string).split('; ').sort()
  }
  t.strictSame(await agreed('permessage-deflate'), ['permessage-deflate', 'server_no_context_takeover'])
  t.strictSame(await agreed('permessage-deflate; client_max_window_bits'), ['permessage-deflate', 'server_no_context_takeover'])
  t.strictSame(await agreed('permessage-deflate; client_no_context_takeover'), ['client_no_context_takeover', 'permessage-deflate', 'server_no_context_takeover'])

  // Messages of a client that keeps its context are understood.
  const keeping = await SocketClient.join(app, { perMessageDeflate: { threshold: 0 } })
  t.notMatch(keeping.ws.extensions, 'client_no_context_takeover')
  for (let i = 0; i < 3; i++) t.match(await keeping.publish('/a', 'x'.repeat(2_000)), { successful: true })
})

t.test('a client that leaves out the closing handshake is let go', async t => {
  const { app } = await start(t)
  const one = await SocketClient.join(app)
  await one.connect()
  await one.hold()
  const resumed = once(one.session, 'resumed')
  one.tcp.end()
  await resumed
  await nodeOnce(one.tcp, 'close')
})
