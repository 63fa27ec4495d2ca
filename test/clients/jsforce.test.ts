import Fastify, { type FastifyInstance } from 'fastify'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { once } from '../helpers/harness.js'
import { Mailbox } from './mailbox.js'
import { Proxy } from './proxy.js'
import { History, offerReplay } from './replay.js'
import type { TransportName } from './peer.js'

interface Subscription extends PromiseLike<void> { cancel: () => void }
interface FayeClient {
  subscribe: (channel: string, listener: (data: unknown) => void) => Subscription
  publish: (channel: string, data: unknown) => PromiseLike<unknown>
  disconnect: () => PromiseLike<unknown> | undefined
  _dispatcher: { connectionType: string, close: () => void, retry: number }
}
interface Streaming {
  createClient: (extensions: unknown[]) => FayeClient
  topic: (name: string) => { subscribe: (listener: (data: unknown) => void) => Subscription }
  _createClient: (channel: string | null, extensions?: unknown[]) => FayeClient
  _getFayeClient: (channel: string) => FayeClient
}
interface Event { payload: unknown, event: { replayId: number } }

const require = createRequire(import.meta.url)
const { Connection } = require('jsforce') as { Connection: new (settings: object) => { streaming: Streaming } }
const { StreamingExtension: { AuthFailure, Replay } } = require('jsforce/api/streaming') as {
  StreamingExtension: { AuthFailure: new (callback: (message: unknown) => void) => object, Replay: new (channel: string, replayId: number) => object }
}

const NEWS = '/event/News__e'
const TOKEN = 'secret'

/** What Salesforce has: a token in a header, replay, and a path with the version of the API in it. */
async function serve (history: History, options: CometDPluginOptions): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(cometd, {
    timeout: 1_000,
    maxInterval: 500,
    closeInterval: 50,
    maxSessionsPerBrowser: 10,
    policy: {
      canHandshake: (session, message) => {
        if (app.cometd.context.request?.headers.authorization === `OAuth ${TOKEN}`) return true
        message.reply.ext = { sfdc: { failureReason: '401::Authentication invalid' } }
        message.reply.advice = { reconnect: 'none' }
        return false
      }
    },
    ...options
  })
  app.cometd.service('/service/echo', (session, { data }) => ({ echo: data }))
  offerReplay(app.cometd, NEWS, history)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app
}

const portOf = ({ server }: FastifyInstance): number => (server.address() as AddressInfo).port
const payloads = (events: unknown[]): unknown[] => (events as Event[]).map(({ payload }) => payload)

/** The streaming of jsforce. What it opens is closed at the end of the test. */
function connect (t: Test, instanceUrl: string, accessToken = TOKEN): Streaming {
  const { streaming } = new Connection({ instanceUrl, accessToken, version: '60.0' })
  const make = streaming._createClient
  streaming._createClient = (...args) => {
    const client = make.apply(streaming, args)
    // Five seconds, which jsforce lets nobody change.
    client._dispatcher.retry = 0.1
    t.teardown(() => {
      client.disconnect()?.then(undefined, () => {})
      client._dispatcher.close()
    })
    return client
  }
  return streaming
}

async function converse (t: Test, transport: TransportName, options: CometDPluginOptions): Promise<void> {
  const history = new History()
  const proxy = await Proxy.start(t)
  let app = await serve(history, options)
  t.teardown(async () => await app.close())
  proxy.leadTo(portOf(app))
  const publish = (payload: unknown): void => history.publish(app.cometd.createServerChannel(NEWS), payload)
  publish('first')
  publish('second')

  const urls = new Set<string | undefined>()
  app.cometd.addListener('sessionAdded', () => urls.add(app.cometd.context.request?.url))
  const streaming = connect(t, proxy.url.replace('/cometd', ''))
  const failures: unknown[] = []
  const client = streaming.createClient([new AuthFailure(message => { failures.push(message) }), new Replay(NEWS, -2)])
  const news = new Mailbox()
  await client.subscribe(NEWS, news.put)
  t.strictSame(payloads(await news.take(2)), ['first', 'second'], 'all that is retained')
  publish('third')
  t.strictSame(await news.take(1), [{ payload: 'third', event: { replayId: 3 } }], 'and what comes')
  t.strictSame([...urls], ['/cometd/60.0'])

  const other = streaming.createClient([new Replay(NEWS, -1)])
  const late = new Mailbox()
  await other.subscribe(NEWS, late.put)
  publish('fourth')
  t.strictSame(payloads(await late.take(1)), ['fourth'], 'only what is new')
  t.strictSame(payloads(await news.take(1)), ['fourth'])

  const wrong = streaming.createClient([new Replay(NEWS, 1_000)])
  await t.rejects(async () => await wrong.subscribe(NEWS, () => {}), { message: /The replayId \{1000\} you provided was invalid/ })

  const echoes = new Mailbox()
  await client.subscribe('/service/echo', echoes.put)
  await client.publish('/service/echo', 'hello')
  t.strictSame(await echoes.take(1), [{ echo: 'hello' }], 'a service answers its caller')

  const rooms = new Mailbox()
  await client.subscribe('/rooms/*', rooms.put)
  await other.publish('/rooms/1', { text: '€ 漢字 🦊' })
  t.strictSame(await rooms.take(1), [{ text: '€ 漢字 🦊' }], 'a wildcard')

  const updates = new Mailbox()
  await streaming.topic('Updates').subscribe(updates.put)
  app.cometd.createServerChannel('/topic/Updates').publish(null, { sobject: { Id: '1' } })
  t.strictSame(await updates.take(1), [{ sobject: { Id: '1' } }], 'a topic')
  t.strictSame([client, other, streaming._getFayeClient('/topic/Updates')].map(({ _dispatcher }) => _dispatcher.connectionType), Array(3).fill(transport), `over ${transport}`)

  const expired = new Promise<void>(resolve => app.cometd.addListener('sessionRemoved', () => { if (app.cometd.statistics.sessions === 0) resolve() }))
  proxy.cut()
  await expired
  publish('fifth')
  proxy.leadTo(portOf(app))
  t.strictSame(payloads(await news.take(1)), ['fifth'], 'what was published while it was cut off')
  t.strictSame(payloads(await late.take(1)), ['fifth'])

  proxy.cut()
  await app.close()
  app = await serve(history, options)
  publish('sixth')
  proxy.leadTo(portOf(app))
  t.strictSame(payloads(await news.take(1)), ['sixth'], 'and while the server was restarted')
  t.strictSame(payloads(await late.take(1)), ['sixth'])
  t.strictSame([news.mails, late.mails, failures], [[], [], []], 'nothing came twice, and nothing failed')

  const removed = once(app.cometd, 'sessionRemoved')
  await client.disconnect()
  t.equal((await removed)[1], false, 'it disconnects')
}

t.test('jsforce gets what it has missed over long-polling, as Salesforce offers it', async t => {
  await converse(t, 'long-polling', { transports: ['long-polling'] })
})

t.test('jsforce gets what it has missed over WebSocket', async t => {
  // As faye: its WebSocket is open before it has the cookie.
  await converse(t, 'websocket', { trustClientSession: true })
})

t.test('jsforce says that its token is not good', async t => {
  const app = await serve(new History(), {})
  t.teardown(async () => await app.close())
  const failed = new Promise(resolve => {
    connect(t, `http://127.0.0.1:${portOf(app)}`, 'old').createClient([new AuthFailure(resolve)]).subscribe(NEWS, () => {})
  })
  t.match(await failed, { channel: '/meta/handshake', successful: false, ext: { sfdc: { failureReason: '401::Authentication invalid' } } })
  t.equal(app.cometd.statistics.sessions, 0)
})
