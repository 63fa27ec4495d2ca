import { type Awaitable, andThen, isThenable } from './awaitable.js'
import { reviewSubscriptions } from './authorizers.js'
import { Backlog } from './backlog.js'
import { Budget, type Failures, PublishBudget } from './budget.js'
import type { ServerChannel } from './channel.js'
import type { CometDIdentity, Delivered } from './channel-types.js'
import type { MessageContext } from './context.js'
import { diagnostics } from './diagnostics.js'
import { Extensions, type SessionExtension } from './extensions.js'
import { type Frame, thaw } from './frame.js'
import type { Callback } from './guests.js'
import { expiryOf, IdentityTerm } from './identity.js'
import { Intake } from './intake.js'
import { LazyTimer } from './lazy-timer.js'
import { Listeners } from './listeners.js'
import type { OutgoingMessage, Reply, ServerMessage } from './message.js'
import { checkMilliseconds } from './milliseconds.js'
import type { Party } from './parties.js'
import { FrameQueue } from './queue.js'
import { lateReply } from './refusals.js'
import type { CometDServer } from './server.js'
import type { Flushable } from './turns.js'

/** Why a session came to its end. */
export type RemovalReason = 'disconnect' | 'timeout' | 'queueMaxed' | 'identityExpired' | 'revoked' | 'close'
/** What to do with a message for a session whose queue is full; nothing: remove the session. */
export type QueueMaxedDecision = 'dropOldest' | 'dropNewest' | 'keep' | undefined | void
/** Why a held connect is let go. */
export type ReleaseCause = 'messages' | 'timeout' | 'displaced' | 'authentication' | 'removed' | 'disconnected' | 'expelled' | 'identityExpired' | 'revoked' | 'closed'

/** What the end of a session is for its connect. */
export const CAUSES: Readonly<Record<RemovalReason, ReleaseCause>> = {
  disconnect: 'removed',
  timeout: 'expelled',
  queueMaxed: 'expelled',
  identityExpired: 'identityExpired',
  revoked: 'revoked',
  close: 'closed'
}

/** The events of a session. */
export interface SessionEvents {
  /** `timeout` tells whether the session expired. */
  removed (session: ServerSession, timeout: boolean, reason: RemovalReason): unknown
  /** A `/meta/connect` is held, for `timeout` ms at most. */
  suspended (session: ServerSession, message: ServerMessage, timeout: number): unknown
  /** A held `/meta/connect` is let go, because its time is over (`timeout`) or for another reason. */
  resumed (session: ServerSession, message: ServerMessage, timeout: boolean): unknown
  /** A message is for this session, before it is queued. `false` vetoes. Must answer at once. The message is frozen. */
  message (session: ServerSession, sender: ServerSession | null, message: Readonly<OutgoingMessage>): boolean | void
  /** A message was put into the queue. */
  queueOffer (session: ServerSession, message: Readonly<OutgoingMessage>): unknown
  /** The queue is about to be sent, before `replies`. Both arrays may be edited; the messages may not. */
  queueDrain (session: ServerSession, queue: Array<Readonly<OutgoingMessage>>, replies: Reply[]): unknown
  /** The queue is full and `message` does not fit. Must answer at once; the first answer counts. */
  queueMaxed (session: ServerSession, message: Readonly<OutgoingMessage>): QueueMaxedDecision
}

const EVENTS = ['removed', 'suspended', 'resumed', 'message', 'queueOffer', 'queueDrain', 'queueMaxed'] as const
const NO_SUBSCRIPTIONS: ReadonlySet<ServerChannel> = new Set()
const NO_BACKLOG = { length: 0, bytes: 0, pause: 0 } as const
// Names at once, and half of it a second: as many as a page may have, and again when it starts anew.
const SUBSCRIBE_BURST = 1_000
// Ends by which a client loses the right to what waits for it.
const ENDS_OF_RIGHTS: ReadonlySet<RemovalReason | undefined> = new Set(['revoked', 'identityExpired'])

/** What a client was told of its connects. */
export interface Told {
  readonly timeout: number
  readonly interval: number
  readonly connectionType: string | undefined
}

/** A held connect, as a session sees it. */
export interface Hold {
  /** Who holds it. */
  readonly transport: { held: number }
  readonly message: ServerMessage
  readonly context: MessageContext
  /** Answers the connect. */
  release (cause: ReleaseCause): void
}

/** A connection over which a session's messages leave as soon as they are there, without a connect that waits for them. */
export interface Outlet extends Flushable {
  /** The session is served elsewhere from now on. */
  leave (): void
  /** The session has ended, and its held connect was let go. `farewell` tells the client, if the server ended it. */
  end (reason: RemovalReason, farewell: Frame | undefined): void
}

/** What a session is bound to, so that its id alone is not enough to use it. */
export interface Binding {
  readonly key: string
  /** Whether it has as many sessions as it may. */
  readonly full: boolean
  /** One session more. Gives the binding that it is bound to from now on: of one key there is one. */
  join (): Binding
  leave (): void
}

/** Where a session comes from. */
export interface Origin {
  readonly binding?: Binding | undefined
  /** Of its party. */
  readonly address?: string | undefined
  /** Who the client is, as the hooks of the application say. */
  readonly user?: unknown
  readonly userAgent?: string | undefined
  readonly local?: boolean
}

/** What one session has instead of the server's options. */
interface Timing {
  timeout?: number | undefined
  interval?: number | undefined
  maxInterval?: number | undefined
}

const SERVERS_TIMING: Timing = {}

/**
 * The server's side of one client. At every moment it either has a held connect with a deadline or an expiry: both are the
 * one appointment that it has with the clock.
 */
export class ServerSession {
  /** Unguessable, letters and digits. */
  readonly id: string
  /** Whether its client is in this process: see `newLocalSession`. It does not expire. */
  readonly local: boolean
  /** What the client says that it is: the header `user-agent` of its handshake, or the beginning of a long one. */
  userAgent: string | undefined
  /** Whether the client gets the messages that it publishes, if it is subscribed. Initially the option of that name. */
  broadcastToPublisher: boolean
  /**
   * Whether what is delivered during the handshake is sent with its reply. Initially the option of that name. To be set by a
   * policy, an extension or a listener of 'sessionAdded'.
   */
  allowMessageDeliveryDuringHandshake: boolean

  /** @internal */
  binding: Binding | undefined
  /** Where its client came from: its party. @internal */
  address: string | undefined
  /** Who its client was when it began, as the hooks of the application said. @internal */
  readonly user: unknown
  /** What its client could not take: see Connection. @internal */
  untaken: WeakRef<Frame> | undefined
  /** Whose share it takes. @internal */
  party: Party | undefined
  /** Failed attempts of its client to authenticate. @internal */
  failures: Failures | undefined
  /** @internal */
  tick = -1
  /** @internal */
  due = 0
  /** @internal */
  awaited = false
  /** @internal */
  flushing = false
  /** Number of the last broadcast this session was given, so that it gets one copy. @internal */
  lastBroadcast = 0
  /** @internal */
  state: 'new' | 'handshaken' | 'connected' | 'removed' = 'new'
  /** How many of its remote calls wait for their results. @internal */
  remoteCalls = 0
  /** What the client was last told. @internal */
  told: Told | undefined
  /** Why it ended. @internal */
  removal: RemovalReason | undefined

  readonly #server: CometDServer
  readonly #listeners = new Listeners<SessionEvents>(EVENTS)
  #extensions: Extensions<SessionExtension> | undefined
  #subscriptions: Set<ServerChannel> | undefined
  readonly #queue = new FrameQueue()
  #batches = 0
  #hold: Hold | undefined
  #outlet: Outlet | undefined
  #made: { channels: number } | undefined
  #publishing: PublishBudget | undefined
  #subscribing: Budget | undefined
  #intake: Intake | undefined
  #backlog: Backlog | undefined
  #metaConnectDeliveryOnly: boolean
  #attributes: Map<string, unknown> | undefined
  #timing = SERVERS_TIMING
  #lazyTimer: LazyTimer | undefined
  #identity: CometDIdentity | undefined
  #term: IdentityTerm | undefined

  /** @internal */
  constructor (server: CometDServer, id: string, { binding, address, user, userAgent, local = false }: Origin) {
    this.#server = server
    this.id = id
    this.binding = binding
    this.address = address
    this.user = user
    this.userAgent = userAgent
    this.local = local
    const { options } = server
    this.broadcastToPublisher = options.broadcastToPublisher
    this.allowMessageDeliveryDuringHandshake = options.allowMessageDeliveryDuringHandshake
    this.#metaConnectDeliveryOnly = options.metaConnectDeliveryOnly
  }

  /** The application's own notes on the session. They last as long as the session. */
  get attributes (): Map<string, unknown> {
    this.#attributes ??= new Map()
    return this.#attributes
  }

  /**
   * Who its client is: what the policy's `identify` gave, or `request.user`, or what the application has set. If it ends, the
   * client is asked to authenticate again, `reauthenticationTimeout` before; when it has ended, so does the session.
   */
  get identity (): CometDIdentity | undefined {
    return this.#identity
  }

  /** @throws COMETD_ERR_IDENTITY_INVALID */
  set identity (identity: CometDIdentity | undefined) {
    const expiry = identity === undefined ? undefined : expiryOf(identity)
    const former = this.#identity
    this.#term?.stop()
    this.#identity = identity
    this.#term = expiry === undefined ? undefined : new IdentityTerm(this.#server, this, expiry)
    if (this.state === 'new' || this.removed) return
    this.#term?.start()
    if (identity !== former) reviewSubscriptions(this.#server, this, this.#server.context)
  }

  /** How long its connects are held, in ms. Undefined: as long as the option of that name says. */
  get timeout (): number | undefined {
    return this.#timing.timeout
  }

  /** @throws COMETD_ERR_OPTION_INVALID */
  set timeout (milliseconds: number | undefined) {
    this.#time('timeout', milliseconds)
  }

  /** How long its client waits before its next connect, in ms. Undefined: as the option of that name. */
  get interval (): number | undefined {
    return this.#timing.interval
  }

  /** @throws COMETD_ERR_OPTION_INVALID */
  set interval (milliseconds: number | undefined) {
    this.#time('interval', milliseconds)
  }

  /** How long it may be silent, in ms. Undefined: as the option of that name. */
  get maxInterval (): number | undefined {
    return this.#timing.maxInterval
  }

  /** @throws COMETD_ERR_OPTION_INVALID */
  set maxInterval (milliseconds: number | undefined) {
    this.#time('maxInterval', milliseconds)
    this.armExpiry()
  }

  /** The channels that the session is subscribed to, wildcards among them. */
  get subscriptions (): ServerChannel[] {
    return [...this.subscriptionSet]
  }

  /**
   * Whether messages leave only together with the answer to a connect, also over transports that could send them at once.
   * Initially the option of that name.
   */
  get metaConnectDeliveryOnly (): boolean {
    return this.#metaConnectDeliveryOnly
  }

  set metaConnectDeliveryOnly (only: boolean) {
    this.#metaConnectDeliveryOnly = only
    this.#wake()
  }

  get extensions (): SessionExtension[] {
    return this.#extensions?.list ?? []
  }

  addExtension (extension: SessionExtension): void {
    this.#extensions ??= new Extensions('session')
    this.#extensions.add(extension)
  }

  /** Gives whether the extension was there. */
  removeExtension (extension: SessionExtension): boolean {
    return this.#extensions?.remove(extension) ?? false
  }

  addListener<Event extends keyof SessionEvents> (event: Event, listener: SessionEvents[Event]): void {
    this.#listeners.add(event, listener)
  }

  /** Gives whether the listener was there. */
  removeListener<Event extends keyof SessionEvents> (event: Event, listener: SessionEvents[Event]): boolean {
    return this.#listeners.remove(event, listener)
  }

  listeners<Event extends keyof SessionEvents> (event: Event): Array<SessionEvents[Event]> {
    return this.#listeners.of(event).slice()
  }

  /**
   * Sends `data` to this session alone, whether or not it is subscribed and whether or not a connect is held; `undefined`
   * becomes `null`.
   * @param sender the session in whose name it happens, for extensions; null for none
   * @returns whether it was queued: false if an extension deleted it, the queue refused it or the session is gone. A promise
   * only if an extension is asynchronous; it does not reject.
   * @throws COMETD_ERR_CHANNEL_INVALID, COMETD_ERR_CHANNEL_UNFIT, COMETD_ERR_DATA_INVALID, COMETD_ERR_DATA_UNFIT,
   * COMETD_ERR_SCHEMA_MISSING; with a callback it gets them instead
   */
  deliver<Name extends string> (sender: ServerSession | null, channel: Name, data: Delivered<Name>, callback?: Callback<boolean>): Awaitable<boolean> {
    return this.#server.guests.tellCaller(() => this.#server.distribution.deliver(this, sender ?? null, channel, data), callback)
  }

  /**
   * Holds back what `code`, which may be asynchronous, delivers to this session, and sends it together.
   * @returns what `code` returns
   */
  batch<T> (code: () => T): T {
    this.startBatch()
    let result: T
    try {
      result = code()
    } catch (err) {
      this.endBatch()
      throw err
    }
    if (isThenable(result)) return Promise.resolve(result).finally(() => this.endBatch()) as T
    this.endBatch()
    return result
  }

  /**
   * Ends the session. The client is told at once if a connect is held or it has a WebSocket, else with its next connect.
   * @returns whether it was there
   */
  disconnect (callback?: Callback<boolean>): boolean {
    const removed = this.#server.sessions.disconnect(this)
    if (callback !== undefined) this.#server.guests.callBack(callback, undefined, removed)
    return removed
  }

  /** How long its identity lasts, in ms; undefined: for ever. @internal */
  get identityLeft (): number | undefined {
    return this.#term?.left
  }

  /** How long its client has to authenticate again, in ms; undefined if it was not asked. @internal */
  get authenticationTimeout (): number | undefined {
    return this.#term?.asked ? this.#term.left : undefined
  }

  /** It is in the server's directory from now on. @internal */
  begin (): void {
    this.state = 'handshaken'
    this.binding = this.binding?.join()
    this.armExpiry()
    this.#term?.start()
    if (this.address === undefined) return
    this.party = this.#server.parties.join(this.address, 'sessions')
    // One text for all of them.
    this.address = this.party.address
  }

  /** @internal */
  get removed (): boolean {
    return this.state === 'removed'
  }

  /** @internal */
  get held (): boolean {
    return this.#hold !== undefined
  }

  /** @internal */
  get batching (): boolean {
    return this.#batches > 0
  }

  /** @internal */
  get queueLength (): number {
    return this.#queue.length
  }

  /** What waits for it. @internal */
  get queue (): { readonly length: number, readonly bytes: number } {
    return this.#queue
  }

  /** Whether there is something in the queue that does not wait for anything. @internal */
  get urgent (): boolean {
    return this.#queue.due && this.pause === 0
  }

  /** Keeps what its client is sent until that acknowledges it; messages then leave with the answers to connects only. @internal */
  keepUntilAcknowledged (): void {
    this.#metaConnectDeliveryOnly = true
    this.#backlog ??= new Backlog()
  }

  /** Its client has everything up to the batch of that number. @internal */
  acknowledge (batch: number): void {
    this.#backlog?.acknowledge(batch)
  }

  /** Whether there is something that its client has not acknowledged. @internal */
  get owes (): boolean {
    return (this.#backlog?.length ?? 0) > 0
  }

  /** How long a client that acknowledges nothing waits for its next connect to be answered, in ms. @internal */
  get pause (): number {
    return this.#backlog?.pause ?? 0
  }

  /** What its client is told and held to. @internal */
  get effectiveTiming (): { timeout: number, interval: number, maxInterval: number } {
    const { options } = this.#server
    const { timeout = options.timeout, interval = options.interval, maxInterval = options.maxInterval } = this.#timing
    return { timeout, interval, maxInterval }
  }

  /** @internal */
  get subscriptionSet (): ReadonlySet<ServerChannel> {
    return this.#subscriptions ?? NO_SUBSCRIPTIONS
  }

  /** @internal */
  get seesIncoming (): boolean {
    return this.#extensions?.seeIncoming ?? false
  }

  /** What its client has made, and what is still there. @internal */
  get made (): { channels: number } {
    this.#made ??= { channels: 0 }
    return this.#made
  }

  /** Spends a message of that many bytes that its client publishes. Gives the limit that is in the way, if one is. @internal */
  spend (bytes: number): string | undefined {
    if (this.local) return undefined
    this.#publishing ??= new PublishBudget(this.#server.options)
    return this.#publishing.spend(bytes, this.#server.clock.now())
  }

  /** Spends bytes that a message takes beside those that it came with. @internal */
  spendBytes (bytes: number): string | undefined {
    return this.#publishing?.spendBytes(bytes, this.#server.clock.now())
  }

  /** How long its client had better wait before it publishes again, in ms; after it was refused to. @internal */
  get publishWait (): number {
    return (this.#publishing as PublishBudget).wait
  }

  /** Whether its client goes on publishing although it is refused. @internal */
  get heedless (): boolean {
    return this.#publishing?.heedless ?? false
  }

  /** Spends names that its client subscribes to, or no more. Gives whether it may. @internal */
  spendSubscriptions (names: number): boolean {
    if (this.local) return true
    const burst = Math.max(SUBSCRIBE_BURST, 2 * this.#server.options.maxSubscriptions)
    this.#subscribing ??= new Budget()
    return this.#subscribing.spend(names, burst / 2, burst, this.#server.clock.now())
  }

  /** @internal */
  startBatch (): void {
    this.#batches++
  }

  /** @internal */
  endBatch (): void {
    this.#batches--
    this.#wake()
  }

  /** @internal */
  subscribe (channel: ServerChannel): void {
    this.#subscriptions ??= new Set()
    this.#subscriptions.add(channel)
  }

  /** @internal */
  unsubscribe (channel: ServerChannel): void {
    this.#subscriptions?.delete(channel)
  }

  /** @internal */
  extendIncoming (message: ServerMessage, context: MessageContext | undefined): Awaitable<boolean> {
    if (this.#extensions === undefined) return true
    return this.#extensions.incoming(this.#server.guests, [this], message, context)
  }

  /** @internal */
  extendReply (reply: Reply, context: MessageContext | undefined): Awaitable<Reply | null> {
    if (!this.#extensions?.seeOutgoing) return reply
    return this.#extensions.outgoing(this.#server.guests, [this, this], reply, context, lateReply(reply))
  }

  /**
   * Takes a message through the session's own extensions into its queue.
   * @param arriving a promise if the message is with an extension of the server; it must not reject
   * @internal
   */
  receive (arriving: Awaitable<Frame | undefined>, sender: ServerSession | null, context: MessageContext | undefined): Awaitable<boolean> {
    const extended = this.#extensions?.seeOutgoing ? andThen(arriving, frame => this.#extend(frame, sender, context)) : arriving
    if (this.#intake === undefined) {
      // This is done for every delivery.
      if (!isThenable(extended)) return extended !== undefined && this.#offer(extended, sender, context)
      this.#intake = new Intake()
    }
    return this.#intake.put(extended, frame => {
      if (this.#intake?.empty) this.#intake = undefined
      return frame !== undefined && this.#offer(frame, sender, context)
    })
  }

  /** Hands out the queue, or as much of it as fits into `bytes`, to be sent before `replies`. @internal */
  take (replies: Reply[], context: MessageContext, bytes = Infinity): Frame[] {
    const backlog = this.#backlog
    if (backlog === undefined) return this.#drain(replies, context, bytes, true)
    const reply = replies.find(({ channel, successful }) => (channel === '/meta/connect' || channel === '/meta/handshake') && successful === true)
    // What comes over another way than a connect could not be put in order with the rest.
    if (reply === undefined) return []
    const again = backlog.begin(bytes)
    const left = again.reduce((left, frame) => left - frame.bytes - 1, bytes)
    const fresh = again.length < backlog.length ? [] : this.#drain(replies, context, left, again.length === 0)
    backlog.add(fresh)
    reply.ext = { ...reply.ext, ack: reply.channel === '/meta/connect' ? backlog.batch : { enabled: true, batch: backlog.batch } }
    return [...again, ...fresh]
  }

  /** Puts back, in order, what could not be sent. @internal */
  restore (frames: readonly Frame[]): void {
    // What its client has not acknowledged is sent again anyway.
    if (this.#backlog !== undefined || frames.length === 0) return
    this.#server.counters.messagesOut -= frames.length
    if (ENDS_OF_RIGHTS.has(this.removal)) {
      this.#server.counters.messagesDropped += frames.length
      return
    }
    this.#queue.putBack(frames)
    this.#wake()
  }

  /** Says over which connection messages are pushed from now on; undefined: they wait for connects. @internal */
  serveBy (outlet: Outlet | undefined): void {
    const former = this.#outlet
    if (outlet === former) return
    this.release('displaced')
    this.#outlet = outlet
    former?.leave()
    this.#wake()
  }

  /** The connection is gone. What it could not send comes back, and the expiry starts. @internal */
  lose (outlet: Outlet, hold: Hold | undefined, unsent: readonly Frame[]): void {
    if (this.#outlet === outlet) this.#outlet = undefined
    if (hold === undefined) this.armExpiry()
    else this.abandon(hold)
    this.restore(unsent)
  }

  /** Whether messages leave by themselves. @internal */
  get pushes (): boolean {
    return this.#outlet !== undefined && (this.local || !(this.#metaConnectDeliveryOnly || this.#backlog !== undefined))
  }

  /** @internal */
  get outlet (): Outlet | undefined {
    return this.#outlet
  }

  /** Keeps a connect until there is something to say, `milliseconds` at most. @internal */
  hold (hold: Hold, milliseconds: number): void {
    this.release('displaced')
    this.#hold = hold
    hold.transport.held++
    this.#server.clock.schedule(this, milliseconds, true)
    this.#server.guests.tell('suspended', this.#listeners.of('suspended'), [this, hold.message, milliseconds], hold.context)
    hold.message.shed()
  }

  /** Lets the held connect go, if there is one. @internal */
  release (cause: ReleaseCause): void {
    const hold = this.#hold
    if (hold === undefined) return
    this.abandon(hold, cause === 'timeout')
    hold.release(cause)
  }

  /** Forgets a held connect whose client went away, or which is being answered. @internal */
  abandon (hold: Hold, timeout = false): void {
    this.#hold = undefined
    hold.transport.held--
    this.armExpiry()
    this.#server.guests.tell('resumed', this.#listeners.of('resumed'), [this, hold.message, timeout], hold.context)
  }

  /** Starts the expiry anew: the client sent something, was answered, or could not be. @internal */
  armExpiry (): void {
    if (this.#hold !== undefined || this.removed || this.local) return
    this.#server.clock.schedule(this, this.patience)
  }

  /** How long its client may be silent from now on, in ms. @internal */
  get patience (): number {
    const { options } = this.#server
    const { interval = options.interval, maxInterval = options.maxInterval } = this.#timing
    return (this.told?.interval ?? interval) + maxInterval
  }

  /** Sends what is queued if there is a connection or a held connect to send it with. @internal */
  flush (): void {
    if (this.#batches > 0 || this.#queue.length === 0) return
    if (this.pushes) this.#outlet?.flush()
    else this.release('messages')
  }

  /** What waited for other messages has waited long enough. @internal */
  onLazyTime (): void {
    this.#queue.hurry()
    this.#wake()
  }

  /** @internal */
  onTime (): void {
    if (this.#hold !== undefined) this.release('timeout')
    else this.#server.sessions.expire(this)
  }

  /** The server has taken the session out of its directory. @internal */
  end (reason: RemovalReason, context: MessageContext | undefined): void {
    this.state = 'removed'
    this.removal = reason
    this.#server.counters.queued(this.#queue)
    this.#term?.stop()
    if (this.#lazyTimer !== undefined) this.#server.clock.cancel(this.#lazyTimer)
    if (ENDS_OF_RIGHTS.has(reason)) this.#server.counters.messagesDropped += this.#queue.clear()
    for (const channel of this.subscriptions) this.#server.unsubscribe(this, channel, null, context)
    this.#server.guests.tell('removed', this.#listeners.of('removed'), [this, reason === 'timeout', reason], context)
  }

  /** Queues the server's own message, past limits and extensions. @internal */
  push (frame: Frame): void {
    this.#queue.push(frame)
  }

  // Gives what is left of a message, undefined if nothing is.
  #extend (frame: Frame | undefined, sender: ServerSession | null, context: MessageContext | undefined): Awaitable<Frame | undefined> {
    const extensions = this.#extensions
    if (frame === undefined || extensions === undefined) return frame
    return andThen(extensions.outgoing(this.#server.guests, [sender, this], thaw(frame), context),
      message => message === null ? undefined : this.#server.distribution.write(message, frame.lazyTimeout))
  }

  #drain (replies: Reply[], context: MessageContext, bytes: number, atLeastOne: boolean): Frame[] {
    this.#server.counters.queued(this.#queue)
    const frames = this.#queue.take(bytes, atLeastOne)
    this.#server.counters.messagesOut += frames.length
    if (this.#lazyTimer !== undefined && this.#queue.length === 0) this.#server.clock.cancel(this.#lazyTimer)
    const listeners = this.#listeners.of('queueDrain')
    if (listeners.length === 0) return frames
    const messages = frames.map(frame => frame.message)
    const known = new Map(frames.map((frame, i) => [messages[i], frame]))
    this.#server.guests.tell('queueDrain', listeners, [this, messages, replies], context)
    if (messages.length === frames.length && frames.every((frame, i) => known.get(messages[i]) === frame)) return frames
    return messages.flatMap(message => known.get(message) ?? this.#server.distribution.write(message) ?? [])
  }

  #offer (frame: Frame, sender: ServerSession | null, context: MessageContext | undefined): boolean {
    if (this.removed) return false
    // This is done for every delivery.
    const listened = !this.#listeners.empty
    if (listened && this.#isVetoed(frame, sender, context)) return false
    if (!this.#hasRoomFor(frame)) {
      this.flush()
      if (!this.#hasRoomFor(frame) && !this.#makeRoomFor(frame, context)) return false
    }
    // A listener may have ended it.
    if (this.removed) return false
    this.#queue.push(frame)
    if (diagnostics.deliver.hasSubscribers) diagnostics.deliver.publish({ server: this.#server, session: this, sender, message: frame.message })
    if (listened) this.#tell('queueOffer', frame, context)
    if (frame.lazyTimeout === undefined) this.#wake()
    else this.#wakeLater(frame.lazyTimeout)
    return true
  }

  // Only who listens has the message parsed.
  #tell (event: 'queueOffer', frame: Frame, context: MessageContext | undefined): void {
    const listeners = this.#listeners.of(event)
    if (listeners.length > 0) this.#server.guests.tell(event, listeners, [this, frame.message], context)
  }

  #isVetoed (frame: Frame, sender: ServerSession | null, context: MessageContext | undefined): boolean {
    return this.#listeners.of('message').some(guard => this.#server.guests.decide('message', [guard], [this, sender, frame.message], context) === false)
  }

  // What was sent and not acknowledged takes room, too.
  #hasRoomFor (frame: Frame): boolean {
    const { maxQueue, maxQueueBytes } = this.#server.options
    const backlog = this.#backlog ?? NO_BACKLOG
    return this.#queue.length + backlog.length < maxQueue && this.#queue.bytes + backlog.bytes + frame.weight <= maxQueueBytes
  }

  #makeRoomFor (frame: Frame, context: MessageContext | undefined): boolean {
    this.#server.counters.queued(this.#queue)
    const listeners = this.#listeners.of('queueMaxed')
    switch (listeners.length > 0 && this.#server.guests.decide('queueMaxed', listeners, [this, frame.message], context)) {
      case 'keep':
        return true
      case 'dropNewest':
        this.#server.counters.messagesDropped++
        return false
      case 'dropOldest':
        while (this.#queue.length > 0 && !this.#hasRoomFor(frame)) {
          this.#queue.dropOldest()
          this.#server.counters.messagesDropped++
        }
        if (this.#hasRoomFor(frame)) return true
    }
    this.#server.log.warn({ session: this.id, messages: this.#queue.length, bytes: this.#queue.bytes }, 'session removed: its queue is full')
    this.#server.counters.messagesDropped += this.#queue.length + 1
    this.#server.sessions.remove(this, 'queueMaxed', context)
    return false
  }

  #time (name: keyof Timing, milliseconds: number | undefined): void {
    checkMilliseconds(name, milliseconds)
    this.#timing = { ...this.#timing, [name]: milliseconds }
  }

  #wake (): void {
    if (this.#batches > 0 || !this.urgent) return
    if (this.pushes) this.#server.turns.flushLater(this.#outlet as Outlet)
    else if (this.#hold !== undefined) this.#server.turns.flushLater(this)
  }

  #wakeLater (milliseconds: number): void {
    this.#lazyTimer ??= new LazyTimer(this)
    this.#lazyTimer.schedule(this.#server.clock, milliseconds)
  }
}
