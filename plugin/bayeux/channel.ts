import type { Awaitable } from './awaitable.js'
import type { ChannelName } from './channel-name.js'
import { type Callback, tellCaller } from './guests.js'
import { Listeners } from './listeners.js'
import type { ServerMessage } from './message.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

/** Who published: on a broadcast channel the application may do it without a sender. */
export type Publisher<Name extends string> = Name extends `/service/${string}` | `/meta/${string}` ? ServerSession : ServerSession | null

/** The events of a channel. */
export interface ChannelEvents<Name extends string = string> {
  /**
   * A message was published, on this channel or, for a wildcard, on one it matches: `message.channel` tells which. `false`
   * vetoes: the publisher gets `404::message_deleted`. `session` is null if the application published without a sender.
   */
  message (session: Publisher<Name>, channel: ServerChannel, message: ServerMessage, callback: Callback<boolean | void>): Awaitable<boolean | void>
  subscribed (channel: ServerChannel, session: ServerSession, message: ServerMessage): unknown
  /** `message` is null when the session was removed. */
  unsubscribed (channel: ServerChannel, session: ServerSession, message: ServerMessage | null): unknown
}

const EVENTS = ['message', 'subscribed', 'unsubscribed'] as const

/** Where messages to a channel name go: the channels that match it, from the widest pattern down to the name itself. */
export interface Route {
  readonly generation: number
  readonly channels: readonly ServerChannel[]
  readonly listeners: ReadonlyArray<readonly [ServerChannel, ChannelEvents['message']]>
}

/**
 * A channel. It can be kept: a channel that was swept because nobody subscribed or listened to it comes back to life when it
 * is used again.
 */
export class ServerChannel<Name extends string = string> {
  readonly #server: CometDServer
  readonly #parsed: ChannelName
  readonly #listeners: Listeners<ChannelEvents> = new Listeners(EVENTS)
  readonly #subscribers = new Set<ServerSession>()
  #route: Route | undefined

  /** Whether a client made it by subscribing or publishing. @internal */
  fromClient = false
  /** How many sweeps in a row found it unused. @internal */
  idleSweeps = 0

  /** @internal */
  constructor (server: CometDServer, parsed: ChannelName) {
    this.#server = server
    this.#parsed = parsed
  }

  get name (): Name {
    return this.#parsed.name as Name
  }

  /** Whether the name starts with `/meta/`. */
  get meta (): boolean {
    return this.#parsed.meta
  }

  /** Whether the name starts with `/service/`: messages go to the server's listeners only. */
  get service (): boolean {
    return this.#parsed.service
  }

  /** Whether messages go to all subscribers. */
  get broadcast (): boolean {
    return this.#parsed.broadcast
  }

  /** Names of the wildcard channels that match this one, the most specific first. */
  get wildNames (): string[] {
    return this.#parsed.wildNames.slice()
  }

  /** The sessions subscribed to this very channel, wildcards not counted. */
  get subscribers (): ServerSession[] {
    return [...this.#live.#subscribers]
  }

  /**
   * Sends `data` to every session subscribed to this channel or to a wildcard that matches it; `undefined` becomes `null`.
   * @param sender the session in whose name it happens, for listeners and extensions; null for none
   * @returns whether it was sent: false if a listener or extension deleted it or the server is closed. A promise only if one of
   * them is asynchronous; it does not reject.
   * @throws COMETD_ERR_CHANNEL_UNFIT, COMETD_ERR_DATA_INVALID; with a callback it gets them instead
   */
  publish (sender: ServerSession | null, data: unknown, callback?: Callback<boolean>): Awaitable<boolean> {
    return tellCaller(() => this.#server.publish(this, sender ?? null, data), callback)
  }

  addListener<Event extends keyof ChannelEvents> (event: Event, listener: ChannelEvents<Name>[Event]): void {
    const live = this.#server.channels.restore(this)
    live.#listeners.add(event, listener)
    live.#server.channels.changed()
  }

  /** Gives whether the listener was there. */
  removeListener<Event extends keyof ChannelEvents> (event: Event, listener: ChannelEvents<Name>[Event]): boolean {
    const live = this.#live
    const removed = live.#listeners.remove(event, listener)
    if (live.unused) live.#server.channels.sweepLater(live)
    live.#server.channels.changed()
    return removed
  }

  listeners<Event extends keyof ChannelEvents> (event: Event): Array<ChannelEvents<Name>[Event]> {
    return this.#live.#listeners.of(event).slice()
  }

  /** @internal */
  get wild (): boolean {
    return this.#parsed.wild
  }

  /** @internal */
  get unused (): boolean {
    return this.#subscribers.size === 0 && this.#listeners.empty && !this.meta
  }

  /** @internal */
  get subscriberSet (): ReadonlySet<ServerSession> {
    return this.#subscribers
  }

  /** Where messages to this name go, looked up once until channels or listeners change. @internal */
  route (generation: number): Route {
    if (this.#route?.generation === generation) return this.#route
    const names = [...this.#parsed.wildNames].reverse()
    const channels = [...names, this.name].flatMap(name => this.#server.channels.get(name) ?? [])
    const listeners = channels.flatMap(channel => channel.#listeners.of('message').map(listener => [channel, listener] as const))
    this.#route = { generation, channels, listeners }
    return this.#route
  }

  /** @internal */
  subscribe (session: ServerSession): void {
    this.#subscribers.add(session)
  }

  /** @internal */
  unsubscribe (session: ServerSession): void {
    this.#subscribers.delete(session)
    if (this.unused) this.#server.channels.sweepLater(this)
  }

  // The channel that the server knows by this name now.
  get #live (): ServerChannel {
    return this.#server.channels.get(this.name) ?? this
  }
}
