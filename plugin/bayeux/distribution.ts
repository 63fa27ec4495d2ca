import { errors } from '../errors.js'
import { type Awaitable, andThen, isThenable, Sequence } from './awaitable.js'
import type { Route, ServerChannel } from './channel.js'
import type { MessageContext } from './context.js'
import { unfit } from './declaration.js'
import { diagnostics } from './diagnostics.js'
import type { Extensions, ServerExtension } from './extensions.js'
import { type Frame, freeze } from './frame.js'
import { type OutgoingMessage, ServerMessage } from './message.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

/** Has a last look at a message before the first of its receivers gets it. Gives the error with which it is refused, if it is. */
export type Admit = (frame: Frame) => string | undefined

const DELETED = '404::message_deleted'
const TOO_MANY_WAIT = '503:max_queue:publish_denied'

interface Broadcast {
  readonly channel: ServerChannel
  readonly sender: ServerSession | null
  readonly lazy: boolean
  readonly context: MessageContext | undefined
  readonly admit: Admit
}

/** What goes out: broadcasts to subscribers, and what is for one session. */
export class Distribution {
  readonly #server: CometDServer
  readonly #extensions: Extensions<ServerExtension>
  // Channels on which the application has published what still waits for a listener.
  readonly #sequences = new Map<string, Sequence>()
  // Messages that are with an extension.
  #extending = 0
  #broadcasts = 0
  #fanningOut = false
  #toFanOut: Array<() => void> = []

  constructor (server: CometDServer, extensions: Extensions<ServerExtension>) {
    this.#server = server
    this.#extensions = extensions
  }

  /** What the application publishes. On one channel, it goes out in the order in which it was published. */
  publish (channel: ServerChannel, sender: ServerSession | null, data: unknown): Awaitable<boolean> {
    if (!channel.broadcast || channel.wild) throw new errors.COMETD_ERR_CHANNEL_UNFIT('published to', channel.name)
    if (this.#server.closed) return false
    const message = new ServerMessage({ channel: channel.name, data: data ?? null })
    this.checkOutgoing(channel, message.data)
    // Bytes are left to the extension that encodes them. Anything else is written at once, so that the caller learns of what
    // cannot be; listeners may change the data: then it is written once more.
    const route = channel.route(this.#server.channels.generation)
    const frame = data instanceof Uint8Array ? undefined : this.#writeOwn({ channel: channel.name, data: message.data }, this.#patience(route))
    const ready = route.listeners.length === 0 ? frame : undefined
    return this.#inSequence(channel, this.#server.hear(channel, sender, message, undefined), heard => {
      if (!heard || (this.#checksOutgoing && !this.stillFits(channel, message))) return false
      return andThen(this.distribute(channel, sender, message, undefined, this.#admitOwn, ready), error => error === undefined)
    })
  }

  /** Whether the data fit the schema although listeners may have changed them; if not, that is logged. */
  stillFits (channel: ServerChannel, { data }: ServerMessage): boolean {
    const { declaration, listeners } = channel.route(this.#server.channels.generation)
    const fault = listeners.length > 0 && channel.broadcast ? declaration?.checkIncoming?.(data) : undefined
    if (fault === undefined) return true
    this.#server.log.error({ err: unfit(channel.name, fault) }, "listener of 'message' spoilt the data")
    return false
  }

  /**
   * Every broadcast, from a client or the application, passes here between being accepted and being fanned out. Gives the error
   * with which it is refused, undefined if it went out. `ready` is the message in its final form if that is known already.
   */
  distribute (channel: ServerChannel, sender: ServerSession | null, { data, lazy }: ServerMessage, context: MessageContext | undefined, admit: Admit, ready?: Frame): Awaitable<string | undefined> {
    channel.touch()
    const broadcast: Broadcast = { channel, sender, lazy, context, admit }
    // Of what a client sent only the data travels on: no id, no clientId, no ext with credentials (B29).
    const message: OutgoingMessage = { channel: channel.name, data }
    if (!this.#extensions.seeOutgoing) return this.#fanOut(broadcast, message, ready)
    const extended = this.#extend([this.#server, sender, null], message, context)
    if (extended === undefined) return TOO_MANY_WAIT
    if (!isThenable(extended)) return extended === null ? DELETED : this.#fanOut(broadcast, extended)
    return this.#fanOutLater(broadcast, extended as Promise<OutgoingMessage | null>)
  }

  /** What the application sends to one session. */
  deliver (session: ServerSession, sender: ServerSession | null, name: string, data: unknown): Awaitable<boolean> {
    const channel = this.#server.channels.locate(name)
    if (channel === undefined) throw new errors.COMETD_ERR_CHANNEL_INVALID(name)
    if (channel.meta || channel.wild) throw new errors.COMETD_ERR_CHANNEL_UNFIT('delivered on', name)
    this.checkOutgoing(channel, data ?? null)
    return this.send(session, sender, { channel: name, data: data ?? null })
  }

  /**
   * Looks at what the application sends, if it is to be looked at.
   * @throws COMETD_ERR_SCHEMA_MISSING, COMETD_ERR_DATA_UNFIT
   */
  checkOutgoing (channel: ServerChannel, data: unknown): void {
    const { requireSchema } = this.#server.options
    // Of most applications no channel has a schema.
    if (this.#server.channels.schemas === 0 && !requireSchema) return
    const { declaration } = channel.route(this.#server.channels.generation)
    if (requireSchema && declaration === undefined) throw new errors.COMETD_ERR_SCHEMA_MISSING(channel.name)
    const fault = this.#checksOutgoing ? declaration?.checkOutgoing?.(data) : undefined
    if (fault !== undefined) throw unfit(channel.name, fault)
  }

  /** @throws COMETD_ERR_DATA_INVALID, COMETD_ERR_DATA_TOO_LARGE */
  send (session: ServerSession, sender: ServerSession | null, message: OutgoingMessage): Awaitable<boolean> {
    const isExtended = this.#extensions.seeOutgoing
    const frame = isExtended && message.data instanceof Uint8Array ? undefined : this.#writeOwn({ ...message })
    if (session.removed) return false
    if (!isExtended) return session.receive(frame, sender, undefined)
    const extended = this.#extend([this.#server, sender, session], message, undefined)
    const arriving = andThen(extended, left => left == null ? undefined : this.#admitted(this.write(left)))
    return session.receive(arriving, sender, undefined)
  }

  /** Writes a message that an extension or listener may have spoilt; if it did, that is logged. */
  write (message: Readonly<OutgoingMessage>, lazyTimeout?: number): Frame | undefined {
    try {
      return freeze(message, lazyTimeout)
    } catch (err) {
      this.#server.log.error({ err }, 'message deleted: an extension or listener put something into it that JSON cannot hold')
      return undefined
    }
  }

  /** Whether the message would be more than any queue holds. Then it must not go to any: each would be full by it. */
  isTooLarge (frame: Frame): boolean {
    return frame.weight > this.#server.options.maxQueueBytes
  }

  /** A session has subscribed to a channel. What is being fanned out is not for it. */
  joins (session: ServerSession): void {
    if (this.#fanningOut) session.lastBroadcast = this.#broadcasts
  }

  get #checksOutgoing (): boolean {
    return this.#server.options.validateOutgoing ?? this.#server.development
  }

  // What the application sends was written before: it is too large only if an extension or a listener made it so.
  readonly #admitOwn: Admit = frame => {
    if (!this.isTooLarge(frame)) return undefined
    this.#server.log.error({ bytes: frame.weight }, 'message deleted: an extension or listener made it larger than maxQueueBytes')
    return DELETED
  }

  #writeOwn (message: OutgoingMessage, lazyTimeout?: number): Frame {
    const frame = freeze(message, lazyTimeout)
    if (this.isTooLarge(frame)) throw new errors.COMETD_ERR_DATA_TOO_LARGE(message.channel, frame.weight, this.#server.options.maxQueueBytes)
    return frame
  }

  #inSequence<T> ({ name }: ServerChannel, value: Awaitable<T>, next: (value: T) => Awaitable<boolean>): Awaitable<boolean> {
    let sequence = this.#sequences.get(name)
    if (sequence === undefined) {
      if (!isThenable(value)) return next(value)
      sequence = new Sequence(() => this.#sequences.delete(name))
      this.#sequences.set(name, sequence)
    }
    return sequence.andThen(value, next)
  }

  // Gives what the extensions leave of a message, null if nothing; undefined if too many messages are with them already.
  #extend (args: readonly unknown[], message: OutgoingMessage, context: MessageContext | undefined): Awaitable<OutgoingMessage | null> | undefined {
    if (this.#extending >= this.#server.options.maxQueue) {
      this.#server.rareLog.warn({ messages: this.#extending }, 'message refused: too many wait for outgoing extensions')
      return undefined
    }
    const extended = this.#extensions.outgoing(this.#server.guests, args, message, context)
    if (isThenable(extended)) {
      this.#extending++
      extended.then(() => { this.#extending-- })
    }
    return extended
  }

  #admitted (frame: Frame | undefined): Frame | undefined {
    return frame === undefined || this.#admitOwn(frame) !== undefined ? undefined : frame
  }

  // Gives the error with which the message is refused, if it is.
  #fanOut (broadcast: Broadcast, message: OutgoingMessage, ready?: Frame): string | undefined {
    this.#tell(broadcast, message)
    if (!this.#fanningOut) return this.#take(() => this.#give(broadcast, ready, message))
    // A listener of a session's events published: its message comes after the one that it was told of, for everybody.
    const frame = ready ?? this.#write(broadcast, message)
    const error = frame === undefined ? DELETED : broadcast.admit(frame)
    if (error === undefined) this.#toFanOut.push(() => this.#give(broadcast, frame))
    return error
  }

  // Each subscriber keeps a place for what is still with an extension, so that nobody else has to wait for it.
  async #fanOutLater (broadcast: Broadcast, extended: Promise<OutgoingMessage | null>): Promise<string | undefined> {
    let error: string | undefined
    const arriving = extended.then(message => {
      if (message !== null) this.#tell(broadcast, message)
      const frame = message === null ? undefined : this.#write(broadcast, message)
      error = frame === undefined ? DELETED : broadcast.admit(frame)
      return error === undefined ? frame : undefined
    })
    const give = (): void => { this.#give(broadcast, arriving) }
    if (this.#fanningOut) this.#toFanOut.push(give)
    else this.#take(give)
    await arriving
    return error
  }

  // Does what the task causes to be done after it, too: one after the other, not one within the other.
  #take<T> (task: () => T): T {
    this.#fanningOut = true
    try {
      return task()
    } finally {
      for (let i = 0; i < this.#toFanOut.length; i++) this.#attempt(this.#toFanOut[i] as () => void)
      this.#toFanOut = []
      this.#fanningOut = false
    }
  }

  #attempt (task: () => void): void {
    try {
      task()
    } catch (err) {
      this.#server.log.error({ err }, 'broadcast failed')
    }
  }

  // Gives to all subscribers what arrives, or what `message` is in its final form. Gives the error with which it is refused.
  #give (broadcast: Broadcast, arriving: Awaitable<Frame | undefined>, message?: OutgoingMessage): string | undefined {
    const { channel, sender, context, admit } = broadcast
    // One copy for a session, however many of its patterns match (B75).
    const number = ++this.#broadcasts
    const route = channel.route(this.#server.channels.generation)
    if (sender !== null && !(sender.broadcastToPublisher && route.broadcastToPublisher)) sender.lastBroadcast = number
    for (const { subscriberSet } of route.channels) {
      for (const session of subscriberSet) {
        if (session.lastBroadcast === number) continue
        session.lastBroadcast = number
        if (arriving === undefined) {
          // Not before: where nobody is subscribed, nothing has to be written.
          const frame = this.#write(broadcast, message as OutgoingMessage)
          const error = frame === undefined ? DELETED : admit(frame)
          if (error !== undefined) return error
          arriving = frame
        }
        session.receive(arriving, sender, context)
      }
    }
    return undefined
  }

  #tell ({ channel, sender }: Broadcast, message: OutgoingMessage): void {
    if (diagnostics.publish.hasSubscribers) diagnostics.publish.publish({ server: this.#server, sender, channel, message })
  }

  #write ({ channel, lazy }: Broadcast, message: OutgoingMessage): Frame | undefined {
    return this.write(message, this.#patience(channel.route(this.#server.channels.generation), lazy))
  }

  // How long a message on that route may wait for others, in ms.
  #patience (route: Route, lazy = route.lazy): number | undefined {
    return lazy || route.lazy ? route.lazyTimeout ?? this.#server.options.maxLazyTimeout : undefined
  }
}
