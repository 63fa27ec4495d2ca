import type { Authorizer } from './authorizers.js'
import type { Awaitable } from './awaitable.js'
import { bind, type ChannelName, type TemplateParameters } from './channel-name.js'
import type { Delivered, Published } from './channel-types.js'
import type { CheckedRule, Declaration } from './declaration.js'
import { errors } from '../errors.js'
import type { Callback } from './guests.js'
import { Listeners } from './listeners.js'
import { NO_PARAMETERS, type ServerMessage } from './message.js'
import { checkMilliseconds } from './milliseconds.js'
import type { CometDServer } from './server.js'
import type { Party } from './parties.js'
import type { ServerSession } from './session.js'

/** Whose shares a channel takes that a client made: of the session, and of all who come from the same address. */
export interface Creator {
  readonly made: { channels: number }
  readonly party: Party | undefined
}

/** Who published: on a broadcast channel the application may do it without a sender. */
export type Publisher<Name extends string> = Name extends `/service/${string}` | `/meta/${string}` ? ServerSession : ServerSession | null

/** The events of a channel. */
export interface ChannelEvents<Name extends string = string, In = Published<Name>> {
  /**
   * A message was published, on this channel or, for a wildcard or a template, on one it matches: `message.channel` tells
   * which. `false` vetoes: the publisher gets `404::message_deleted`. `session` is null if the application published without
   * a sender.
   */
  message (session: Publisher<Name>, channel: ServerChannel, message: ServerMessage<In, TemplateParameters<Name>>, callback: Callback<boolean | void>): Awaitable<boolean | void>
  subscribed (channel: ServerChannel, session: ServerSession, message: ServerMessage): unknown
  /** `message` is null when the session was removed. */
  unsubscribed (channel: ServerChannel, session: ServerSession, message: ServerMessage | null): unknown
}

const EVENTS = ['message', 'subscribed', 'unsubscribed'] as const
const NOBODY: readonly never[] = []

type Parameters = Readonly<Record<string, string>>

/** What becomes of messages to a channel name, as the channels say that match it, from the widest pattern down to the name itself. */
export interface Route {
  readonly generation: number
  /** Whose subscribers get them. */
  readonly channels: readonly ServerChannel[]
  readonly listeners: ReadonlyArray<readonly [ServerChannel, ChannelEvents['message'], Parameters]>
  readonly authorizers: readonly Authorizer[]
  /** Of the most specific channel that has a schema. */
  readonly declaration: Declaration | undefined
  /** Those of the most specific channels that have one. */
  readonly rules: { readonly subscribe: BoundRule | undefined, readonly publish: BoundRule | undefined }
  readonly broadcastToPublisher: boolean
  readonly lazy: boolean
  readonly lazyTimeout: number | undefined
}

/** A rule, and what the channel that has it binds. */
export interface BoundRule extends CheckedRule {
  readonly parameters: Parameters
}

/**
 * A channel. It can be kept: a channel that was swept because nobody subscribed or listened to it comes back to life when it
 * is used again.
 */
export class ServerChannel<Name extends string = string, In = Published<Name>, Out = Delivered<Name>> {
  readonly #server: CometDServer
  readonly #parsed: ChannelName
  readonly #listeners: Listeners<ChannelEvents> = new Listeners(EVENTS)
  readonly #subscribers = new Set<ServerSession>()
  #authorizers: readonly Authorizer[] = NOBODY
  #attributes: Map<string, unknown> | undefined
  #persistent = false
  #lazy = false
  #lazyTimeout: number | undefined
  #broadcastToPublisher = true
  #route: Route | undefined
  #declaration: Declaration | undefined

  /** Whether it is being initialised, or was. @internal */
  initialised = false
  /** The client that made it by subscribing or publishing, as long as the application has not taken it over. @internal */
  creator: Creator | undefined
  /** Whether the application has made it, and not only touched what a client made. @internal */
  adopted = false
  /** When it was last used, in ms. @internal */
  lastUsed = 0

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

  /** The application's own notes on the channel. They last as long as the channel. */
  get attributes (): Map<string, unknown> {
    const live = this.#live
    live.#attributes ??= new Map()
    return live.#attributes
  }

  /** Whether the channel stays although nobody uses it. Initially false. */
  get persistent (): boolean {
    return this.#live.#persistent
  }

  set persistent (persistent: boolean) {
    this.#configure(channel => { channel.#persistent = persistent })
  }

  /**
   * Whether messages may wait for others to leave with, `lazyTimeout` ms at most. Of a wildcard or a template: those of all
   * channels that it matches. Initially false.
   */
  get lazy (): boolean {
    return this.#live.#lazy
  }

  set lazy (lazy: boolean) {
    this.#configure(channel => { channel.#lazy = lazy })
  }

  /** How long lazy messages wait, in ms; undefined: as long as the option `maxLazyTimeout` says. Setting it makes the channel lazy. */
  get lazyTimeout (): number | undefined {
    return this.#live.#lazyTimeout
  }

  /** @throws COMETD_ERR_OPTION_INVALID */
  set lazyTimeout (milliseconds: number | undefined) {
    checkMilliseconds('lazyTimeout', milliseconds)
    this.#configure(channel => {
      channel.#lazyTimeout = milliseconds
      channel.#lazy = milliseconds !== undefined
    })
  }

  /**
   * Whether who publishes and is subscribed gets the message, too. Of a wildcard or a template: on all channels that it
   * matches. Initially true. The session has a say, too: `session.broadcastToPublisher`.
   */
  get broadcastToPublisher (): boolean {
    return this.#live.#broadcastToPublisher
  }

  set broadcastToPublisher (broadcastToPublisher: boolean) {
    this.#configure(channel => { channel.#broadcastToPublisher = broadcastToPublisher })
  }

  /**
   * Sends `data` to every session subscribed to this channel or to a wildcard that matches it; `undefined` becomes `null`.
   * @param sender the session in whose name it happens, for listeners and extensions; null for none
   * @returns whether it was sent: false if a listener or extension deleted it or the server is closed. A promise only if one of
   * them is asynchronous; it does not reject.
   * @throws COMETD_ERR_CHANNEL_UNFIT, COMETD_ERR_DATA_INVALID, COMETD_ERR_DATA_UNFIT, COMETD_ERR_SCHEMA_MISSING; with a
   * callback it gets them instead
   */
  publish (sender: ServerSession | null, data: Out, callback?: Callback<boolean>): Awaitable<boolean> {
    return this.#server.guests.tellCaller(() => this.#server.distribution.publish(this, sender ?? null, data), callback)
  }

  addListener<Event extends keyof ChannelEvents> (event: Event, listener: ChannelEvents<Name, In>[Event]): void {
    this.#configure(channel => channel.#listeners.add(event, listener))
  }

  /** Gives whether the listener was there. */
  removeListener<Event extends keyof ChannelEvents> (event: Event, listener: ChannelEvents<Name, In>[Event]): boolean {
    const live = this.#live
    const removed = live.#listeners.remove(event, listener)
    live.#changed()
    return removed
  }

  listeners<Event extends keyof ChannelEvents> (event: Event): Array<ChannelEvents<Name, In>[Event]> {
    return this.#live.#listeners.of(event).slice() as Array<ChannelEvents<Name, In>[Event]>
  }

  /** Has `authorizer` asked about this channel and, if it is a wildcard or a template, about those that it matches. */
  addAuthorizer (authorizer: Authorizer): void {
    if (typeof authorizer !== 'function') throw new errors.COMETD_ERR_HANDLER_INVALID('an authorizer', 'a function')
    this.#configure(channel => {
      channel.#authorizers = [...channel.#authorizers, authorizer]
      this.#server.channels.authorizers++
    })
  }

  /** Gives whether the authorizer was there. */
  removeAuthorizer (authorizer: Authorizer): boolean {
    const live = this.#live
    const index = live.#authorizers.indexOf(authorizer)
    if (index === -1) return false
    live.#authorizers = live.#authorizers.toSpliced(index, 1)
    this.#server.channels.authorizers--
    live.#changed()
    return true
  }

  get authorizers (): Authorizer[] {
    return this.#live.#authorizers.slice()
  }

  /** @internal */
  get declaration (): Declaration | undefined {
    return this.#declaration
  }

  /** Sets the channel as it is declared. To be called once. @internal */
  declare (declaration: Declaration): void {
    const { persistent, lazy, lazyTimeout, broadcastToPublisher } = declaration.settings
    this.#declaration = declaration
    this.#persistent = persistent ?? this.#persistent
    this.#lazy = lazy ?? lazyTimeout !== undefined
    this.#lazyTimeout = lazyTimeout
    this.#broadcastToPublisher = broadcastToPublisher ?? this.#broadcastToPublisher
  }

  /** @internal */
  get wild (): boolean {
    return this.#parsed.wild
  }

  /** Whether its name is a pattern with parameters. @internal */
  get isTemplate (): boolean {
    return this.adopted && this.#parsed.parameters.size > 0 && !this.wild
  }

  /** @internal */
  get parsed (): ChannelName {
    return this.#parsed
  }

  /** It was used just now. @internal */
  touch (): void {
    this.lastUsed = this.#server.clock.now()
  }

  /** @internal */
  get unused (): boolean {
    if (this.#subscribers.size > 0 || !this.#listeners.empty || this.#authorizers.length > 0) return false
    return !this.meta && !this.#persistent && this.#declaration === undefined && (this.creator !== undefined || !this.#isConfigured)
  }

  /** @internal */
  get subscriberSet (): ReadonlySet<ServerSession> {
    return this.#subscribers
  }

  /** Where messages to this name go, looked up once until channels or listeners change. @internal */
  route (generation: number): Route {
    if (this.#route?.generation === generation) return this.#route
    const { channels } = this.#server
    const known = (names: readonly string[]): ServerChannel[] => names.toReversed().flatMap(name => channels.get(name) ?? [])
    const wild = known(this.#parsed.wildNames)
    const self = known([this.name])
    const bound = new Map<ServerChannel, Parameters>()
    // The more of a template is given, the more specific it is.
    const templates = this.wild ? NOBODY : channels.templatesOf(this.#parsed).sort((a, b) => b.#parsed.parameters.size - a.#parsed.parameters.size)
    for (const template of templates) bound.set(template, bind(template.#parsed, this.#parsed))
    const rules = new Set([...wild, ...bound.keys(), ...self])
    // Who listens to a pattern needs the consent of those that stand for more than the pattern does.
    const line = [...known(this.#parsed.widerNames), ...rules]
    const ruleOf = (operation: 'subscribe' | 'publish'): BoundRule | undefined => {
      const channel = line.findLast(channel => channel.#declaration?.[operation] !== undefined)
      return channel && { ...channel.#declaration?.[operation] as CheckedRule, parameters: bound.get(channel) ?? NO_PARAMETERS }
    }
    const lazy = [...rules].filter(channel => channel.#lazy)
    const lazyTimeouts = lazy.flatMap(channel => channel.#lazyTimeout ?? [])
    this.#route = {
      generation,
      channels: [...wild, ...self],
      listeners: [...rules].flatMap(channel => channel.#listeners.of('message').map(listener => [channel, listener, bound.get(channel) ?? NO_PARAMETERS] as const)),
      authorizers: line.flatMap(channel => channel.#authorizers),
      declaration: line.findLast(channel => channel.#declaration?.schemas !== undefined)?.declaration,
      rules: { subscribe: ruleOf('subscribe'), publish: ruleOf('publish') },
      broadcastToPublisher: [...rules].every(channel => channel.#broadcastToPublisher),
      lazy: lazy.length > 0,
      lazyTimeout: lazyTimeouts.length > 0 ? Math.min(...lazyTimeouts) : undefined
    }
    return this.#route
  }

  /** @internal */
  subscribe (session: ServerSession): void {
    this.#subscribers.add(session)
  }

  /** @internal */
  unsubscribe (session: ServerSession): void {
    this.#subscribers.delete(session)
    this.touch()
    this.#server.channels.sweepLater(this)
  }

  // The channel that the server knows by this name now.
  get #live (): ServerChannel {
    return this.#server.channels.get(this.name) ?? this
  }

  get #isConfigured (): boolean {
    return this.#lazy || !this.#broadcastToPublisher
  }

  #configure (change: (live: ServerChannel) => void): void {
    const live = this.#server.channels.use(this)
    change(live)
    live.#changed()
  }

  #changed (): void {
    this.#server.channels.changed()
    this.#server.channels.sweepLater(this)
  }
}
