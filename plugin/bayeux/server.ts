import type { ServerOptions } from '../../schemas/options.js'
import { errors } from '../errors.js'
import { type AsyncApiDocument, describeServer } from './asyncapi.js'
import { type Awaitable, andThen, everyInTurn } from './awaitable.js'
import type { ChannelEvents, ServerChannel } from './channel.js'
import type { CallParameters, CallResult, Delivered, Published } from './channel-types.js'
import { Channels } from './channels.js'
import { Clock } from './clock.js'
import { ContextStore, type MessageContext } from './context.js'
import { Counters } from './counters.js'
import { diagnostics } from './diagnostics.js'
import type { ChannelSettings, CompileSchema, IncomingData, OutgoingData } from './declaration.js'
import { Distribution } from './distribution.js'
import { type Dump, dump, statistics, type Statistics } from './dump.js'
import type { Environment, Log } from './environment.js'
import { Extensions, type ServerExtension } from './extensions.js'
import { Failure, Guests, now } from './guests.js'
import { Listeners } from './listeners.js'
import { LocalSession } from './local-session.js'
import type { Advice, Reply, ServerMessage } from './message.js'
import { Parties } from './parties.js'
import type { SecurityPolicy } from './policy.js'
import { lateReply } from './refusals.js'
import { remoteCallListener, type RemoteCallHandler, serviceListener, type ServiceHandler } from './services.js'
import { RareLog } from './rare-log.js'
import { SafeLog } from './safe-log.js'
import { type Origin, type RemovalReason, ServerSession } from './session.js'
import { Sessions } from './sessions.js'
import { Turns } from './turns.js'

/** The events of a server. */
export interface ServerEvents {
  /** A handshake succeeded; its reply is not sent yet. */
  sessionAdded (session: ServerSession, message: ServerMessage): unknown
  /** `timeout` tells whether the session expired. */
  sessionRemoved (session: ServerSession, timeout: boolean, reason: RemovalReason): unknown
  /** A channel is being made, and nobody else has seen it. */
  channelCreating (channel: ServerChannel): unknown
  channelAdded (channel: ServerChannel): unknown
  channelRemoved (channel: ServerChannel): unknown
  subscribed (channel: ServerChannel, session: ServerSession, message: ServerMessage): unknown
  /** `message` is null when the session was removed. */
  unsubscribed (channel: ServerChannel, session: ServerSession, message: ServerMessage | null): unknown
}

/** A way for messages to come in and go out. */
export interface Transport {
  /** Its connection type (B27). */
  readonly name: string
  /** How many connects it holds; the sessions count. */
  held: number
  /** Ends what is open; no session is left. Resolves when what is on its way out has left. */
  close (): Promise<void>
  /** Gives up what has not left by now. */
  abort (): void
}

type DeclaredChannel<Name extends string, Schema> = ServerChannel<Name, IncomingData<Name, Schema>, OutgoingData<Name, Schema>>
type Initializer<Channel> = (channel: Channel) => void

const LONGEST_USER_AGENT = 255

type Timing = Pick<ServerOptions, 'timeout' | 'maxInterval'>

const EVENTS = ['sessionAdded', 'sessionRemoved', 'channelCreating', 'channelAdded', 'channelRemoved', 'subscribed', 'unsubscribed'] as const

/** The Bayeux server: sessions, channels, and what passes between them. */
export class CometDServer {
  /** The options in force. Those of the server can be set at any time; a bad value throws COMETD_ERR_OPTION_INVALID. */
  readonly options: ServerOptions
  /** Who may do what; null for the default policy. */
  policy: SecurityPolicy | null = null

  /** @internal */
  readonly clock: Clock
  /** @internal */
  readonly guests: Guests
  /** @internal */
  readonly log: Log
  /** @internal */
  readonly rareLog: RareLog
  /** @internal */
  readonly channels: Channels
  /** @internal */
  readonly sessions: Sessions
  /** @internal */
  readonly distribution: Distribution
  /** @internal */
  readonly counters = new Counters()
  /** @internal */
  readonly parties = new Parties()
  /** @internal */
  readonly turns: Turns
  /** @internal */
  closed = false

  readonly #environment: Environment
  readonly #contexts = new ContextStore()
  readonly #listeners = new Listeners<ServerEvents>(EVENTS)
  readonly #extensions = new Extensions<ServerExtension>('server')
  readonly #transports: Transport[] = []
  #closing: Promise<void> | undefined

  /** @internal */
  constructor (options: ServerOptions, environment: Environment) {
    this.options = options
    this.log = new SafeLog(environment.log)
    this.#environment = environment
    this.clock = new Clock(environment.time, this.log)
    this.rareLog = new RareLog(this.log, this.clock)
    this.turns = new Turns(environment.defer, () => this.clock.now(), this.log)
    this.guests = new Guests(this.clock, this.log, this.#contexts, options, environment.defer)
    this.channels = new Channels(this)
    this.sessions = new Sessions(this)
    this.distribution = new Distribution(this, this.#extensions)
  }

  /** What belongs to the message that is being processed; empty outside a message. */
  get context (): MessageContext {
    return this.#contexts.current
  }

  /** What the server is doing, and has done since it was made. */
  get statistics (): Statistics {
    return statistics(this)
  }

  /** Everything that the server knows, as plain JSON: sessions, channels, transports, queues. It contains session ids. */
  dump (): Dump {
    return dump(this)
  }

  /** An AsyncAPI 3.0 document of what is declared of channels, as plain JSON: channels, messages, operations, servers and security. */
  asyncapi (): AsyncApiDocument {
    return describeServer(this, this.#environment.surroundings())
  }

  get extensions (): ServerExtension[] {
    return this.#extensions.list
  }

  addExtension (extension: ServerExtension): void {
    this.#extensions.add(extension)
  }

  /** Gives whether the extension was there. */
  removeExtension (extension: ServerExtension): boolean {
    return this.#extensions.remove(extension)
  }

  addListener<Event extends keyof ServerEvents> (event: Event, listener: ServerEvents[Event]): void {
    this.#listeners.add(event, listener)
  }

  /** Gives whether the listener was there. */
  removeListener<Event extends keyof ServerEvents> (event: Event, listener: ServerEvents[Event]): boolean {
    return this.#listeners.remove(event, listener)
  }

  listeners<Event extends keyof ServerEvents> (event: Event): Array<ServerEvents[Event]> {
    return this.#listeners.of(event).slice()
  }

  /** The channel of that name, or undefined. */
  getServerChannel<Name extends string> (name: Name): ServerChannel<Name> | undefined {
    return this.channels.get(name) as ServerChannel<Name> | undefined
  }

  /**
   * The channel of that name, made if it is not there. Wildcards, too: they can be listened to, and set for all that they
   * match; and templates: `/rooms/{id}` stands for any `/rooms/5`, and `message.parameters.id` is then `'5'`.
   * @param settings what is declared of the channel: its schema, who may use it. To be given once
   * @param initializers called with the channel if it is made, before anybody else sees it
   * @throws COMETD_ERR_CHANNEL_INVALID, COMETD_ERR_CHANNEL_DECLARED, COMETD_ERR_SCHEMA_INVALID, COMETD_ERR_OPTION_INVALID, and
   * what an initializer throws
   */
  createServerChannel<Name extends string, Schema = undefined> (name: Name, settings: ChannelSettings<Name, Schema>, ...initializers: Array<Initializer<DeclaredChannel<Name, Schema>>>): DeclaredChannel<Name, Schema>
  createServerChannel<Name extends string> (name: Name, ...initializers: Array<Initializer<ServerChannel<Name>>>): ServerChannel<Name>
  createServerChannel (name: string, ...rest: ReadonlyArray<ChannelSettings | Initializer<ServerChannel>>): ServerChannel {
    const [first, ...others] = rest
    return typeof first === 'object'
      ? this.channels.create(name, others as Array<Initializer<ServerChannel>>, first)
      : this.channels.create(name, rest as ReadonlyArray<Initializer<ServerChannel>>)
  }

  /**
   * Answers the messages that clients publish to a channel or to those that a template matches: what `handler` gives, now or
   * later, is delivered to the sender on the same channel.
   * @returns takes the service away; gives whether it was there
   * @throws COMETD_ERR_CHANNEL_INVALID, COMETD_ERR_HANDLER_INVALID
   */
  service<Name extends string, Request extends Published<Name> = Published<Name>, Response extends Delivered<Name> = Delivered<Name>> (name: Name, handler: ServiceHandler<Name, Request, Response>): () => boolean
  service<Name extends string, Schema = undefined> (name: Name, settings: ChannelSettings<Name, Schema>, handler: ServiceHandler<Name, IncomingData<Name, Schema>, OutgoingData<Name, Schema>>): () => boolean
  service (name: string, ...rest: [ServiceHandler] | [ChannelSettings, ServiceHandler]): () => boolean {
    return this.#serve(name, rest, handler => serviceListener(this, handler as ServiceHandler))
  }

  /**
   * Offers what clients call by `cometd.remoteCall(name, parameters)`. What `handler` gives, now or later, is the result. If it
   * throws RemoteCallFailure, the call fails with its data; any other error is logged and not shown. Templates bind parameters
   * here, too: `rooms/{id}/join`.
   * @returns takes the offer away; gives whether it was there
   * @throws COMETD_ERR_CHANNEL_INVALID, COMETD_ERR_HANDLER_INVALID
   */
  remoteCall<Name extends string, Parameters extends CallParameters<Name> = CallParameters<Name>, Result extends CallResult<Name> = CallResult<Name>> (name: Name, handler: RemoteCallHandler<Name, Parameters, Result>): () => boolean
  remoteCall<Name extends string, Schema = undefined> (name: Name, settings: ChannelSettings<`/service/${Name}`, Schema>, handler: RemoteCallHandler<Name, IncomingData<`/service/${Name}`, Schema>, OutgoingData<`/service/${Name}`, Schema>>): () => boolean
  remoteCall (name: string, ...rest: [RemoteCallHandler] | [ChannelSettings, RemoteCallHandler]): () => boolean {
    return this.#serve(`/service/${name}`, rest, handler => remoteCallListener(this, name, handler as RemoteCallHandler))
  }

  /**
   * A client in this process. It has no session before its handshake.
   * @param hint what its id begins with
   */
  newLocalSession (hint = 'local'): LocalSession {
    return new LocalSession(this, hint)
  }

  /**
   * Ends the sessions that `predicate` says `true` of, but for local ones. Their clients get `401::session_revoked` and the
   * advice not to come back.
   * @returns how many there were
   * @throws COMETD_ERR_HANDLER_INVALID for a predicate that is no function or asynchronous, and what it throws; then none is ended
   */
  revoke (predicate: (session: ServerSession) => boolean): number {
    if (typeof predicate !== 'function') throw new errors.COMETD_ERR_HANDLER_INVALID('the predicate of revoke', 'a function')
    // A promise counts as true elsewhere: here it would end all sessions.
    const revoked = this.sessions.all.filter(session => !session.local && now('the predicate of revoke', predicate(session)))
    for (const session of revoked) this.sessions.end(session, 'revoked')
    return revoked.length
  }

  /** The session of that id, or undefined. */
  getServerSession (id: string): ServerSession | undefined {
    return this.sessions.get(id)
  }

  /**
   * Answers every held connect with the advice to come back after a random interval, ends all sessions and stops the clock.
   * Messages that come later are refused or dropped.
   * @returns resolves when the answers have left, after `closeTimeout` ms at the latest
   */
  async close (): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  // What follows is for the rooms of this package.

  /** Runs `code` as what belongs to `context`. @internal */
  runIn<T> (context: MessageContext, code: () => T): T {
    return this.#contexts.run(context, code)
  }

  /** Tells the listeners of the server. @internal */
  tell (event: keyof ServerEvents, args: readonly unknown[], context?: MessageContext): void {
    this.guests.tell(event, this.#listeners.of(event), args, context)
  }

  /** Milliseconds since 1970. @internal */
  date (): number {
    return this.#environment.date()
  }

  /** @internal */
  get compileSchema (): CompileSchema {
    return this.#environment.compileSchema
  }

  /** Whether the application is being developed. @internal */
  get development (): boolean {
    return this.#environment.development
  }

  /** What rules are called on. @internal */
  get application (): unknown {
    return this.#environment.application
  }

  /** @internal */
  get transports (): readonly Transport[] {
    return this.#transports
  }

  /** @internal */
  get connectionTypes (): string[] {
    return this.#transports.map(transport => transport.name)
  }

  /** @internal */
  addTransport (transport: Transport): void {
    this.#transports.push(transport)
  }

  /** A session that nobody knows yet. @internal */
  newSession (origin: Origin): ServerSession {
    const { userAgent } = origin
    return new ServerSession(this, this.#environment.newId(), { ...origin, userAgent: userAgent && shorten(userAgent) })
  }

  /** The server's side of a local session that nobody knows yet. @internal */
  newLocalServerSession (hint: string): ServerSession {
    return new ServerSession(this, `${hint}_${this.#environment.newId()}`, { local: true })
  }

  /** @internal */
  subscribe (session: ServerSession, channel: ServerChannel, message: ServerMessage, context: MessageContext | undefined): void {
    // A listener may have ended it meanwhile.
    if (session.removed || session.subscriptionSet.has(channel)) return
    channel.subscribe(session)
    this.distribution.joins(session)
    session.subscribe(channel)
    if (diagnostics.subscribed.hasSubscribers) diagnostics.subscribed.publish({ server: this, session, channel, message })
    const args = [channel, session, message] as const
    this.guests.tell('subscribed', channel.listeners('subscribed'), args, context)
    this.tell('subscribed', args, context)
  }

  /** @internal */
  unsubscribe (session: ServerSession, channel: ServerChannel, message: ServerMessage | null, context?: MessageContext): void {
    if (!session.subscriptionSet.has(channel)) return
    session.unsubscribe(channel)
    channel.unsubscribe(session)
    if (diagnostics.unsubscribed.hasSubscribers) diagnostics.unsubscribed.publish({ server: this, session, channel, message })
    const args = [channel, session, message] as const
    this.guests.tell('unsubscribed', channel.listeners('unsubscribed'), args, context)
    this.tell('unsubscribed', args, context)
  }

  /** Lets the listeners of a channel hear a message. Gives whether it goes on; if not, its reply says why. @internal */
  hear (channel: ServerChannel, session: ServerSession | null, message: ServerMessage, context: MessageContext | undefined): Awaitable<boolean> {
    const { listeners } = channel.route(this.channels.generation)
    return everyInTurn(listeners, ([heardOn, listener, parameters]) => {
      message.parameters = parameters
      const verdict = this.guests.ask("listener of 'message'", listener, undefined, [session, heardOn, message], context)
      return andThen(verdict, result => {
        if (result instanceof Failure) message.refuse(result.error)
        else if (result === false) message.veto()
        else return true
        return false
      })
    })
  }

  /** @internal */
  extendIncoming (session: ServerSession, message: ServerMessage, context: MessageContext | undefined): Awaitable<boolean> {
    if (!this.#extensions.seeIncoming && !session.seesIncoming) return true
    return andThen(this.#extensions.incoming(this.guests, [this, session], message, context),
      goesOn => goesOn && session.extendIncoming(message, context))
  }

  /** Gives what is left of a reply, or null if an extension deleted it. @internal */
  extendReply (session: ServerSession | undefined, reply: Reply, context: MessageContext | undefined): Awaitable<Reply | null> {
    const extended = this.#extensions.seeOutgoing
      ? this.#extensions.outgoing(this.guests, [this, session ?? null, session ?? null], reply, context, lateReply(reply))
      : reply
    if (session === undefined) return extended
    return andThen(extended, left => left === null ? null : session.extendReply(left, context))
  }

  /** Whole advice: what a client does next, and the timing of its connects. @internal */
  advice (reconnect: NonNullable<Advice['reconnect']>, interval = this.options.interval, { timeout, maxInterval }: Timing = this.options): Advice {
    // B36: a client that knows when its session has expired need not ask before it starts again.
    return { reconnect, interval, timeout, ...(this.options.handshakeReconnect && { maxInterval }) }
  }

  /** The advice to come back, but not all at once. @internal */
  get adviceOnClose (): Advice {
    return this.advice('retry', Math.round(this.#environment.random() * this.options.closeInterval))
  }

  #serve (name: string, rest: readonly unknown[], listenerOf: (handler: unknown) => unknown): () => boolean {
    const handler = rest.at(-1)
    if (typeof handler !== 'function') throw new errors.COMETD_ERR_HANDLER_INVALID(`the handler of '${name}'`, 'a function')
    const listener = listenerOf(handler) as ChannelEvents['message']
    const channel = this.channels.create(name, [], rest.length > 1 ? rest[0] as ChannelSettings : undefined)
    channel.addListener('message', listener)
    return () => channel.removeListener('message', listener)
  }

  async #close (): Promise<void> {
    this.closed = true
    await this.sessions.close()
    this.clock.stop()
    await this.#bounded(Promise.all(this.#transports.map(transport => transport.close())))
    for (const transport of this.#transports) transport.abort()
  }

  async #bounded (work: Promise<unknown>): Promise<void> {
    const { time } = this.#environment
    let handle: unknown
    const deadline = new Promise<void>(resolve => { handle = time.setTimeout(resolve, this.options.closeTimeout) })
    await Promise.race([work, deadline])
    time.clearTimeout(handle)
  }
}

// Copied: a part of a string keeps the whole one in memory.
function shorten (text: string): string {
  return text.length > LONGEST_USER_AGENT ? Buffer.from(text.slice(0, LONGEST_USER_AGENT)).toString() : text
}
