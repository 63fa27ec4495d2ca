import { errors } from '../errors.js'
import { type Awaitable, andThen, Lane } from './awaitable.js'
import type { Route, ServerChannel } from './channel.js'
import type { MessageContext } from './context.js'
import { unfit } from './declaration.js'
import { diagnostics } from './diagnostics.js'
import type { Extensions, ServerExtension } from './extensions.js'
import { type Frame, freeze } from './frame.js'
import { type OutgoingMessage, ServerMessage } from './message.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

/** What goes out: broadcasts to subscribers, and what is for one session. */
export class Distribution {
  readonly #server: CometDServer
  readonly #extensions: Extensions<ServerExtension>
  readonly #outgoing = new Lane()
  #broadcasts = 0
  #fanningOut = false
  readonly #toFanOut: Array<() => void> = []

  constructor (server: CometDServer, extensions: Extensions<ServerExtension>) {
    this.#server = server
    this.#extensions = extensions
  }

  /** What the application publishes. */
  publish (channel: ServerChannel, sender: ServerSession | null, data: unknown): Awaitable<boolean> {
    if (!channel.broadcast || channel.wild) throw new errors.COMETD_ERR_CHANNEL_UNFIT('published to', channel.name)
    if (this.#server.closed) return false
    const message = new ServerMessage({ channel: channel.name, data: data ?? null })
    this.checkOutgoing(channel, message.data)
    // Bytes are left to the extension that encodes them. Anything else is written at once, so that the caller learns of what
    // cannot be; listeners may change the data: then it is written once more.
    const route = channel.route(this.#server.channels.generation)
    const frame = data instanceof Uint8Array ? undefined : freeze({ channel: channel.name, data: message.data }, this.#patience(route))
    const ready = route.listeners.length === 0 ? frame : undefined
    return andThen(this.#server.hear(channel, sender, message, undefined),
      heard => heard && (!this.#checksOutgoing || this.stillFits(channel, message)) && this.distribute(channel, sender, message, undefined, ready))
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
   * Every broadcast, from a client or the application, passes here between being accepted and being fanned out. Gives whether
   * it went out. `ready` is the message in its final form if that is known already.
   */
  distribute (channel: ServerChannel, sender: ServerSession | null, { data, lazy }: ServerMessage, context: MessageContext | undefined, ready?: Frame): Awaitable<boolean> {
    channel.idleSweeps = 0
    // Of what a client sent only the data travels on: no id, no clientId, no ext with credentials (B29).
    const message: OutgoingMessage = { channel: channel.name, data }
    if (!this.#extensions.seeOutgoing && !this.#outgoing.busy) return this.#fanOut(channel, sender, message, lazy, context, ready)
    return this.#outgoing.run(() => {
      const extended = this.#extensions.outgoing(this.#server.guests, [this.#server, sender, null], message, context)
      return andThen(extended, left => left !== null && this.#fanOut(channel, sender, left, lazy, context))
    })
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

  send (session: ServerSession, sender: ServerSession | null, message: OutgoingMessage): Awaitable<boolean> {
    const waits = this.#extensions.seeOutgoing || this.#outgoing.busy
    const frame = waits && message.data instanceof Uint8Array ? undefined : freeze({ ...message })
    if (session.removed) return false
    if (!waits) return session.receive(frame as Frame, sender, undefined)
    return this.#outgoing.run(() => {
      const extended = this.#extensions.outgoing(this.#server.guests, [this.#server, sender, session], message, undefined)
      return andThen(extended, left => {
        const changed = left === null ? undefined : this.tryFreeze(left)
        return changed !== undefined && session.receive(changed, sender, undefined)
      })
    })
  }

  /** Writes a message that an extension or listener may have spoilt; if it did, that is logged. */
  tryFreeze (message: Readonly<OutgoingMessage>, lazyTimeout?: number): Frame | undefined {
    try {
      return freeze(message, lazyTimeout)
    } catch (err) {
      this.#server.log.error({ err }, 'message deleted: an extension or listener put something into it that JSON cannot hold')
      return undefined
    }
  }

  get #checksOutgoing (): boolean {
    return this.#server.options.validateOutgoing ?? this.#server.development
  }

  #fanOut (channel: ServerChannel, sender: ServerSession | null, message: OutgoingMessage, lazy: boolean, context: MessageContext | undefined, frame?: Frame): boolean {
    // A listener of a session's events published: its message comes after the one that it was told of, for everybody.
    if (this.#fanningOut) {
      this.#toFanOut.push(() => this.#fanOut(channel, sender, message, lazy, context, frame))
      return true
    }
    this.#fanningOut = true
    const sent = this.#fanOutNow(channel, sender, message, lazy, context, frame)
    this.#fanningOut = false
    this.#toFanOut.shift()?.()
    return sent
  }

  #fanOutNow (channel: ServerChannel, sender: ServerSession | null, message: OutgoingMessage, lazy: boolean, context: MessageContext | undefined, frame?: Frame): boolean {
    if (diagnostics.publish.hasSubscribers) diagnostics.publish.publish({ server: this.#server, sender, channel, message })
    // One copy for a session, however many of its patterns match (B75).
    const broadcast = ++this.#broadcasts
    const route = channel.route(this.#server.channels.generation)
    if (sender !== null && !(sender.broadcastToPublisher && route.broadcastToPublisher)) sender.lastBroadcast = broadcast
    for (const { subscriberSet } of route.channels) {
      for (const session of subscriberSet) {
        if (session.lastBroadcast === broadcast) continue
        session.lastBroadcast = broadcast
        frame ??= this.tryFreeze(message, this.#patience(route, lazy))
        if (frame === undefined) return false
        session.receive(frame, sender, context)
      }
    }
    return true
  }

  // How long a message on that route may wait for others, in ms.
  #patience (route: Route, lazy = route.lazy): number | undefined {
    return lazy || route.lazy ? route.lazyTimeout ?? this.#server.options.maxLazyTimeout : undefined
  }
}
