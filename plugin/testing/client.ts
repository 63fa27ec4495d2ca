import type { CallParameters, CallResult, CometDChannels, CometDRemoteCalls, Delivered, Published } from '../bayeux/channel-types.js'
import type { Timed } from '../bayeux/clock.js'
import type { Reply } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'
import { errors } from '../errors.js'
import { Connects } from './connects.js'
import { MessageFailure, RequestFailure } from './failures.js'
import { Line, type TestApplication, type WireMessage } from './line.js'
import { Messages, Readers, Subscription, type TestMessage } from './messages.js'

export interface TestClientOptions {
  /** Path of the plugin's routes, prefix included. Default `/cometd`. */
  path?: string
  /** Sent with every request. */
  headers?: Record<string, string>
  /** By name. Two clients that are given the same Map are two tabs of one browser. Default: none, so a browser of its own. */
  cookies?: Map<string, string>
}

/** Sees the messages of a client, as extensions of real clients do. What it gives takes the place of a message. */
export interface TestClientExtension {
  /** To the server. */
  outgoing? (message: WireMessage): WireMessage | undefined | void
  /** To the client, replies among them. */
  incoming? (message: WireMessage): WireMessage | undefined | void
}

interface Call extends Timed {
  settle: (message: WireMessage) => void
}

interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

/** A Bayeux client over `app.inject`: what a CometD client does with long-polling, in memory. */
export class TestClient<Channels = CometDChannels, Calls = CometDRemoteCalls> {
  /** Sent with every request. */
  headers: Record<string, string>
  /** What the server has set, by name. */
  readonly cookies: Map<string, string>
  readonly #app: TestApplication
  readonly #line: Line
  readonly #readers = new Readers()
  readonly #calls = new Map<string, Call>()
  readonly #extensions: TestClientExtension[] = []
  #connects: Connects | undefined
  #ending = defer<Reply>()
  #hasEnded = false
  #lastId = 0

  /** @internal */
  constructor (app: TestApplication, { path = '/cometd', headers = {}, cookies = new Map() }: TestClientOptions) {
    this.headers = { ...headers }
    this.cookies = cookies
    this.#app = app
    this.#line = new Line(app, path, this)
  }

  /** What the handshake gave; undefined before it and when the client knows that its session has ended. */
  get clientId (): string | undefined {
    return this.#connects?.clientId
  }

  /** The server's side; undefined before the handshake and when the session has ended, whether the client knows it or not. */
  get session (): ServerSession | undefined {
    return this.clientId === undefined ? undefined : this.#server.getServerSession(this.clientId)
  }

  /** Whether the client has a session, as far as it knows, and its last connect did not fail. */
  get connected (): boolean {
    return this.#connects !== undefined && !this.#line.lost && this.failure === undefined
  }

  /** Why the last connect failed; undefined if it did not. The client tries again, as real ones do: after 1 s, 2 s, 3 s … */
  get failure (): Error | undefined {
    return this.#connects?.failure
  }

  /**
   * Resolves when the session that the client has, had last or will have first comes to its end, with the reply that said so:
   * that to a connect, or to its own disconnect.
   */
  get ended (): Promise<Reply> {
    return this.#ending.promise
  }

  /** Extensions see outgoing messages in the order in which they were added, incoming ones in the reverse order. */
  addExtension (extension: TestClientExtension): void {
    this.#extensions.push(extension)
  }

  /**
   * Begins a session, after the end of the one that the client has. Resolves when a connect is held; or when the server
   * advises otherwise, such as to wait.
   * @param fields of the handshake, such as `ext`
   * @returns the reply, also an unsuccessful one
   * @throws RequestFailure, ConnectionFailure, and an Error if the application has no CometD server
   */
  async handshake (fields: WireMessage = {}): Promise<Reply> {
    if (this.#connects !== undefined) await this.disconnect()
    const reply = await this.send({
      channel: '/meta/handshake',
      version: '1.0',
      minimumVersion: '1.0',
      supportedConnectionTypes: ['long-polling'],
      ...fields
    })
    if (reply.successful !== true) return reply
    if (this.#hasEnded) this.#ending = defer()
    this.#hasEnded = false
    this.#connects = new Connects(this.#server, reply.clientId as string, async message => await this.send(message), last => this.#end(last))
    await this.#connects.start()
    return reply
  }

  /**
   * Subscribes to a channel or a wildcard.
   * @param fields of the message, such as `ext`
   * @throws MessageFailure if the server refuses, RequestFailure, ConnectionFailure
   */
  async subscribe<Name extends string> (channel: Name, fields: WireMessage = {}): Promise<Subscription<Delivered<Name, Channels>>> {
    const subscription = new Subscription<Delivered<Name, Channels>>(channel, async reader => await this.#unsubscribe(reader as Subscription))
    // Its first messages may come with the reply.
    this.#readers.add(subscription as Messages)
    try {
      const reply = await this.send({ ...fields, channel: '/meta/subscribe', subscription: channel })
      if (reply.successful !== true) throw new MessageFailure(reply)
      subscription.reply = reply
      return subscription
    } catch (err) {
      this.#readers.remove(subscription as Messages)
      throw err
    }
  }

  /** What comes from now on, on a channel or those that a wildcard matches, without a subscription. Ends with the session. */
  messages<Name extends string> (channel: Name): Messages<Delivered<Name, Channels>> {
    const messages = new Messages<Delivered<Name, Channels>>(channel)
    this.#readers.add(messages as Messages)
    return messages
  }

  /**
   * Publishes `data`; `undefined` becomes `null`.
   * @param fields of the message, such as `ext`
   * @returns the reply, also an unsuccessful one
   * @throws RequestFailure, ConnectionFailure
   */
  async publish<Name extends string> (channel: Name, data: Published<Name, Channels>, fields: WireMessage = {}): Promise<Reply> {
    return await this.send({ ...fields, channel, data: data ?? null })
  }

  /**
   * Calls what the application offers by `remoteCall(name, …)`, and waits for `maxProcessing` at most.
   * @returns its result
   * @throws COMETD_ERR_REMOTE_CALL_FAILED, with what the server says in `data`; RequestFailure, ConnectionFailure
   */
  async remoteCall<Name extends string> (name: Name, parameters?: CallParameters<Name, Calls>): Promise<CallResult<Name, Calls>> {
    const id = this.#nextId()
    const { clock, options } = this.#server
    const { promise: outcome, resolve: settle } = defer<WireMessage>()
    const call: Call = { tick: -1, settle, onTime: () => settle(failed('406::timeout')) }
    this.#calls.set(id, call)
    clock.schedule(call, options.maxProcessing, true)
    try {
      const { successful, error } = await this.send({ id, channel: `/service/${name}`, data: parameters ?? null })
      const result = successful === true ? await outcome : failed(error)
      if (result.successful === false) throw Object.assign(new errors.COMETD_ERR_REMOTE_CALL_FAILED(name), { data: result.data })
      return result.data as CallResult<Name, Calls>
    } finally {
      this.#calls.delete(id)
      clock.cancel(call)
    }
  }

  /**
   * Sends any message, with an id and the `clientId` if it has none.
   * @returns the reply, also an unsuccessful one
   * @throws RequestFailure, ConnectionFailure
   */
  async send (message: WireMessage): Promise<Reply> {
    const { clientId } = this
    const sent = this.#extend('outgoing', { id: this.#nextId(), ...(clientId !== undefined && { clientId }), ...message })
    const answer = sent.channel === '/meta/connect' ? await this.#line.post(sent) : await this.#line.postInTurn(sent)
    let reply: Reply | undefined
    for (const raw of answer) {
      const isReply = raw.id === sent.id && raw.data === undefined
      const came = this.#extend('incoming', raw)
      if (isReply) reply = came
      else this.#deliver(came as TestMessage)
    }
    if (reply === undefined) throw new RequestFailure({ statusCode: 200, body: JSON.stringify(answer) })
    return reply
  }

  /** Resolves when a connect is held. Rejects with an Error if there is no session, or no longer. */
  async held (): Promise<void> {
    if (this.#connects === undefined) throw new Error('no connect is held: there is no session')
    await this.#connects.held()
  }

  /**
   * Loses the connection, as when the network goes away: what is under way is broken off, and nothing is sent until `resume`.
   * What the server had answered by then still comes. Resolves when the server has noticed.
   */
  async drop (): Promise<void> {
    await this.#line.cut()
  }

  /**
   * Has a connection again, and connects with the same session. Resolves when what waited for the client has come and a connect
   * is held; or the server said that the session has ended.
   */
  async resume (): Promise<void> {
    if (!this.#line.lost) return
    this.#line.mend()
    await this.#connects?.start()
  }

  /**
   * Ends the session.
   * @returns the reply, also an unsuccessful one
   * @throws RequestFailure, ConnectionFailure
   */
  async disconnect (): Promise<Reply> {
    const reply = await this.send({ channel: '/meta/disconnect' })
    this.#connects?.end(reply)
    return reply
  }

  get #server (): CometDServer {
    const { cometd } = this.#app as Partial<TestApplication>
    if (cometd === undefined) throw new Error('app.cometd is not there: give the instance on which the plugin is registered')
    return cometd
  }

  #nextId (): string {
    return String(++this.#lastId)
  }

  #extend (way: 'incoming' | 'outgoing', message: WireMessage): WireMessage {
    const extensions = way === 'outgoing' ? this.#extensions : this.#extensions.toReversed()
    return extensions.reduce((current, extension) => extension[way]?.(current) ?? current, message)
  }

  #deliver (message: TestMessage): void {
    this.#calls.get(String(message['id']))?.settle(message)
    this.#readers.deliver(message)
  }

  async #unsubscribe (subscription: Subscription): Promise<Reply | undefined> {
    const { channel } = subscription
    if (!this.#readers.remove(subscription) || this.#readers.hasSubscription(channel)) return undefined
    return await this.send({ channel: '/meta/unsubscribe', subscription: channel })
  }

  #end (reply: Reply): void {
    this.#connects = undefined
    this.#readers.end()
    for (const call of this.#calls.values()) call.settle(failed('402::session_unknown'))
    this.#hasEnded = true
    this.#ending.resolve(reply)
  }
}

/**
 * Makes a client for tests. It has no session before its handshake.
 * @param app the Fastify instance on which the plugin is registered; it need not be ready
 */
export function createTestClient<Channels = CometDChannels, Calls = CometDRemoteCalls> (app: TestApplication, options: TestClientOptions = {}): TestClient<Channels, Calls> {
  return new TestClient(app, options)
}

function defer<T> (): Deferred<T> {
  let resolve!: Deferred<T>['resolve']
  const promise = new Promise<T>(_resolve => { resolve = _resolve })
  return { promise, resolve }
}

function failed (data: unknown): WireMessage {
  return { successful: false, data }
}
