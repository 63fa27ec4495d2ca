import Fastify, { type FastifyInstance } from 'fastify'
import { once as nodeOnce } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { Client, type Wire } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { SocketClient } from '../helpers/socket.js'

// On real time: its subject is a process that stands still.
async function serve (t: Test, options: CometDPluginOptions, prepare: (app: FastifyInstance) => unknown = () => {}): Promise<FastifyInstance> {
  const app = Fastify()
  prepare(app)
  t.teardown(async () => await app.close())
  await app.register(cometd, options)
  await listen(app)
  return app
}

/** The process stands still, as in a long collection of garbage, at a breakpoint or in a laptop that is closed. */
function stall (milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

function post (socket: Socket, cookie: string | undefined, messages: Wire[]): void {
  const body = JSON.stringify(messages)
  socket.write(`POST /cometd HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${cookie === undefined ? '' : `Cookie: ${cookie}\r\n`}Content-Length: ${body.length}\r\n\r\n${body}`)
}

t.test('after a stall, what has arrived meanwhile is read before anything expires or is cut off', async t => {
  const app = await serve(t, { maxInterval: 700, timeout: 300, handshakeTimeout: 700, maxProcessing: 700, maxSessionsPerBrowser: -1 })
  const { cometd } = app
  const { port } = new URL(app.listeningOrigin)
  cometd.createServerChannel('/slow').addListener('message', async () => { await new Promise(resolve => setTimeout(resolve, 600)) })

  const polling: Array<{ client: Client, socket: Socket }> = []
  const pushed: SocketClient[] = []
  const fresh: SocketClient[] = []
  for (let i = 0; i < 10; i++) {
    const socket = connect(Number(port), '127.0.0.1')
    await nodeOnce(socket, 'connect')
    polling.push({ client: await new Client(app).open(), socket })
    pushed.push(await SocketClient.join(app))
    fresh.push(await SocketClient.open(app))
  }
  for (const one of pushed) await one.connect()
  const slow = pushed[0]?.publish('/slow', 1)
  const ended: unknown[] = []
  cometd.addListener('sessionRemoved', ({ id }) => { ended.push(id) })
  // All of this is in the sockets when the process stands still.
  for (const { client, socket } of polling) post(socket, client.cookie, [{ channel: '/meta/connect', connectionType: 'long-polling', clientId: client.clientId }])
  for (const [i, one] of pushed.entries()) if (i > 0) one.raw([{ id: 'late', channel: '/meta/connect', connectionType: 'websocket', clientId: one.clientId }])
  const handshakes = fresh.map(async one => await one.handshake())
  const late = polling.map(async ({ socket }) => String((await nodeOnce(socket, 'data'))[0]))
  stall(1_500)
  t.match(await slow, { successful: true }, 'a listener that was done in time is not cut off')
  for (const reply of await Promise.all(handshakes)) t.match(reply, { successful: true })
  for (const answer of await Promise.all(late)) t.match(answer, /"successful":true/)
  for (const [i, one] of pushed.entries()) if (i > 0) t.match(await one.reply('late'), { successful: true })
  t.strictSame([...polling.map(({ client }) => client), ...pushed.slice(1)].filter(({ clientId }) => ended.includes(clientId)), [])
  for (const { socket } of polling) socket.destroy()
})

t.test('and who has sent nothing expires a little later', async t => {
  const app = await serve(t, { maxInterval: 300 })
  const one = await new Client(app).open()
  const removed = new Promise(resolve => app.cometd.addListener('sessionRemoved', (session, timeout, reason) => resolve(reason)))
  stall(800)
  t.ok(one.session)
  t.equal(await removed, 'timeout')
})

/** The longest time that the event loop did nothing else while `work` was under way. */
async function longestGap (work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let last = performance.now()
  let working = true
  const turn = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (working) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  working = false
  return longest
}

t.test('what concerns very many sessions at once is done in slices, so that the event loop goes on', async t => {
  const HELD = 60
  const app = await serve(t, { timeout: 60_000, closeInterval: 0 }, app => {
    // What an answer costs, many times over: without slices, all of them would take 240 ms at a time.
    app.addHook('onSend', (request, reply, payload, done) => {
      if (request.headers['x-dear'] !== undefined) stall(4)
      done(null, payload)
    })
  })
  const hold = async (): Promise<Array<Promise<Wire[]>>> => {
    const answers: Array<Promise<Wire[]>> = []
    for (let i = 0; i < HELD; i++) {
      const one = await new Client(app).open()
      await one.subscribe('/a')
      const response = one.post([{ channel: '/meta/connect', connectionType: 'long-polling', clientId: one.clientId }], { 'x-dear': '1' })
      answers.push(response.then(response => response.json()))
      while (!one.session.held) await new Promise(resolve => setImmediate(resolve))
    }
    return answers
  }
  const { cometd } = app
  const channel = cometd.createServerChannel('/a')
  const events: Array<[string, () => unknown, (messages: Wire[]) => boolean]> = [
    ['a broadcast', () => channel.publish(null, 'news'), ([event]) => event?.['data'] === 'news'],
    ['revoking', () => cometd.revoke(() => true), ([reply]) => reply?.['error'] === '401::session_revoked'],
    ['disconnecting', () => { for (const session of cometd.sessions.all) session.disconnect() }, messages => messages.at(-1)?.['advice'].reconnect === 'none'],
    ['their time', () => {}, ([reply]) => reply?.['successful'] === true],
    ['close()', () => { app.close().catch(t.threw) }, ([reply]) => reply?.['advice'].reconnect === 'retry']
  ]
  for (const [what, bringAbout, isRight] of events) {
    if (what === 'their time') cometd.options.timeout = 800
    const answers = await hold()
    const gap = await longestGap(async () => {
      bringAbout()
      t.ok((await Promise.all(answers)).every(isRight), what)
    })
    t.ok(gap < 170, `${what}: ${Math.round(gap)} ms at a time`)
    cometd.options.timeout = 60_000
  }
})

t.test('messages of slices overtake none for anybody', async t => {
  const app = await serve(t, { timeout: 60_000 })
  const clients: SocketClient[] = []
  for (let i = 0; i < 40; i++) clients.push(await SocketClient.join(app))
  for (const client of clients) {
    await client.subscribe('/a')
    const outlet = client.session.outlet as { flush: () => void }
    const flush = outlet.flush.bind(outlet)
    Object.assign(outlet, { flush () { stall(2); flush() } })
  }
  const channel = app.cometd.createServerChannel('/a')
  for (let i = 0; i < 5; i++) {
    channel.publish(null, 2 * i)
    await new Promise(resolve => setImmediate(resolve))
    for (const client of clients) client.session.deliver(null, '/a', 2 * i + 1)
  }
  for (const client of clients) {
    await client.until(() => client.events('/a').length === 10)
    t.strictSame(client.events('/a'), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  }
})
