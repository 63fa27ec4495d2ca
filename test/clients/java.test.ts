import Fastify, { type FastifyInstance } from 'fastify'
import { execFileSync } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { WebSocket } from 'ws'
import cometd, { type CometDPluginOptions, RemoteCallFailure } from '../../plugin/index.js'
import { Mailbox } from './mailbox.js'
import type { TransportName } from './peer.js'
import { Proxy } from './proxy.js'
import { RemoteClients, type RemotePeer, withRuntime } from './remote.js'
import { testTransports } from './scenarios.js'

const folder = fileURLToPath(new URL('java/', import.meta.url))
const sources = ['pom.xml', 'Clients.java'].map(name => join(folder, name))
// The libraries and what was compiled, kept for the next time.
const workshop = join(tmpdir(), `fastify-cometd-java-${createHash('sha256').update(sources.map(file => readFileSync(file, 'utf8')).join()).digest('hex').slice(0, 12)}`)

const TRANSPORTS: TransportName[] = ['long-polling', 'websocket']
/** Bytes of a WebSocket message, by default: what is longer makes the client close the socket. */
const LIMIT = 65_536
const BURST = 300
const TEXT = 'x'.repeat(200)

function missing (): string | undefined {
  if (existsSync(workshop)) return
  const made = `${workshop}-${process.pid}`
  const run = (command: string, ...args: string[]): void => { execFileSync(command, args, { cwd: folder, stdio: 'pipe' }) }
  try {
    mkdirSync(made, { recursive: true })
    run('mvn', '-B', '-q', 'dependency:copy-dependencies', `-DoutputDirectory=${join(made, '8')}`)
    run('mvn', '-B', '-q', '-P', 'cometd-9', 'dependency:copy-dependencies', `-DoutputDirectory=${join(made, '9')}`)
    // The clients have the same interface.
    run('javac', '-cp', join(made, '8/*'), '-d', join(made, 'classes'), 'Clients.java')
    renameSync(made, workshop)
  } catch (err) {
    rmSync(made, { recursive: true, force: true })
    return `there are no CometD clients for Java to test with: they take a JDK of version 17 or later, Maven and its central repository: ${(err as Error).message}`
  }
}

async function serve (t: Test, options: CometDPluginOptions = {}): Promise<{ app: FastifyInstance, url: string, port: number, sockets: WebSocket[] }> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd, { closeInterval: 0, ...options })
  const sockets: WebSocket[] = []
  app.websocketServer.on('connection', (socket: WebSocket) => sockets.push(socket))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { app, url: `http://127.0.0.1:${port}/cometd`, port, sockets }
}

async function open (t: Test, peer: RemotePeer): Promise<string> {
  t.teardown(async () => await peer.close())
  return await peer.open()
}

function testVersion (version: string): void {
  const clients = RemoteClients.start(t, 'java', ['-Xshare:auto', '-XX:TieredStopAtLevel=1', '-cp', [join(workshop, 'classes'), join(workshop, version, '*')].join(':'), 'Clients'])
  const name = `cometd ${version} for Java`
  const test = (title: string, run: (t: Test) => Promise<void>): void => { t.test(`${name}: ${title}`, { buffered: true, timeout: 20_000 }, run) }

  testTransports(t, name, clients.peers({}, { largest: 60_000 }))

  for (const transport of TRANSPORTS) {
    test(`a remote call that fails takes nothing along that shares its answer, over ${transport}`, async t => {
      const { app, url } = await serve(t)
      app.cometd.remoteCall('broken', () => { throw new Error('secret') })
      app.cometd.remoteCall('full', () => { throw new RemoteCallFailure({ seats: 0 }) })
      app.cometd.remoteCall('sum', (session, numbers: number[]) => numbers.reduce((sum, number) => sum + number))
      const peer = clients.peers()(url, [transport])
      await open(t, peer)
      const news = new Mailbox()
      await peer.subscribe('/news', news.put)
      const answers: Array<Promise<unknown>> = []
      peer.batch(() => {
        answers.push(peer.publish('/news', 'before'))
        for (const target of ['broken', 'full', 'sum']) answers.push(peer.remoteCall(target, [1, 2]))
        answers.push(peer.publish('/news', 'after'))
      })
      const [, broken, full, sum] = await Promise.all(answers)
      t.strictSame(broken, { successful: false, data: { message: '500::internal_error' } })
      t.strictSame(full, { successful: false, data: { seats: 0 } })
      t.strictSame(sum, { successful: true, data: 3 })
      t.strictSame(await news.take(2), ['before', 'after'])
    })

    for (const acknowledgement of [false, true]) {
      test(`${BURST} messages of one turn arrive over ${transport}${acknowledgement ? ' with acknowledgements' : ''}, and leave the connection alone`, async t => {
        const { app, url, sockets } = await serve(t, { extensions: { acknowledgement }, maxQueue: 10 * BURST })
        const peer = clients.peers({ acknowledgement })(url, [transport])
        const id = await open(t, peer)
        const inbox = new Mailbox()
        await peer.subscribe('/news', inbox.put)
        const session = app.cometd.getServerSession(id)
        const channel = app.cometd.createServerChannel('/news')
        const expected: unknown[] = []
        for (let burst = 0; burst < 3; burst++) {
          for (let i = 0; i < BURST; i++) {
            expected.push({ number: expected.length, text: TEXT })
            channel.publish(null, expected.at(-1))
          }
          t.strictSame(await inbox.take(BURST), expected.slice(-BURST))
        }
        t.equal(sockets.length, transport === 'websocket' ? 1 : 0, 'on the same socket')
        t.equal(app.cometd.getServerSession(id), session, 'in the same session')
      })
    }

    test(`every message arrives once and in order over ${transport} with acknowledgements although connections are cut`, async t => {
      const messages = 2_000
      const proxy = await Proxy.start(t)
      const { app, port } = await serve(t, { extensions: { acknowledgement: true }, timeout: 2_000, maxInterval: 20_000, maxQueue: messages, maxQueueBytes: 10_000_000 })
      proxy.leadTo(port)
      const peer = clients.peers({ acknowledgement: true })(proxy.url, [transport])
      const id = await open(t, peer)
      const inbox = new Mailbox()
      await peer.subscribe('/numbers', inbox.put)
      const numbers = app.cometd.createServerChannel('/numbers')
      let cuts = 0
      let cutting: NodeJS.Timeout | undefined
      const cutLater = (): void => {
        cutting = setTimeout(() => {
          proxy.cut()
          proxy.leadTo(port)
          cuts++
          cutLater()
        }, randomInt(100, 400))
      }
      cutLater()
      let sent = 0
      const sending = setInterval(() => {
        for (let i = 0; i < 20 && sent < messages; i++) numbers.publish(null, sent++)
        if (sent === messages) clearInterval(sending)
      }, 20)
      t.teardown(() => { clearInterval(sending); clearTimeout(cutting) })
      const received = await inbox.take(messages)
      clearTimeout(cutting)
      t.strictSame(received, Array.from({ length: messages }, (_, i) => i))
      t.ok(cuts > 3, `${cuts} cuts`)
      t.ok(app.cometd.getServerSession(id), 'all in one session')
    })
  }

  test(`a message larger than ${LIMIT} bytes makes it close its WebSocket, and it goes on over another one`, async t => {
    const { app, url, sockets } = await serve(t)
    const peer = clients.peers()(url, ['websocket'])
    const id = await open(t, peer)
    const inbox = new Mailbox()
    await peer.subscribe('/news', inbox.put)
    const channel = app.cometd.createServerChannel('/news')
    const closed = new Promise(resolve => sockets[0]?.once('close', resolve))
    channel.publish(null, 'x'.repeat(LIMIT))
    t.equal(await closed, 1009)
    channel.publish(null, 'small')
    t.strictSame(await inbox.take(1), ['small'])
    t.ok(app.cometd.getServerSession(id), 'in the same session')
  })

  test('a large message arrives over WebSocket if the client may take it', async t => {
    const { app, url } = await serve(t)
    const peer = clients.peers({ options: { maxMessageSize: 1_000_000 } })(url, ['websocket'])
    await open(t, peer)
    const inbox = new Mailbox()
    await peer.subscribe('/news', inbox.put)
    const large = 'x'.repeat(500_000)
    app.cometd.createServerChannel('/news').publish(null, large)
    t.ok((await inbox.take(1))[0] === large)
  })

  test('it compresses what it sends, with a context from message to message', async t => {
    const { app, url } = await serve(t, { perMessageDeflate: true })
    const extensions: unknown[] = []
    app.websocketServer.on('connection', (socket: WebSocket) => extensions.push(socket.extensions))
    const peer = clients.peers({ options: { permessageDeflate: true } })(url, ['websocket'])
    await open(t, peer)
    const inbox = new Mailbox()
    await peer.subscribe('/news', inbox.put)
    for (let i = 0; i < 3; i++) await peer.publish('/news', TEXT.repeat(20))
    t.strictSame(await inbox.take(3), Array(3).fill(TEXT.repeat(20)))
    t.strictSame(extensions, ['permessage-deflate'])
  })
}

withRuntime(t, missing(), () => {
  t.jobs = 6
  for (const version of ['8', '9']) testVersion(version)
})
