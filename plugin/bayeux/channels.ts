import { errors } from '../errors.js'
import { type Creator, ServerChannel } from './channel.js'
import { ChannelIndex } from './channel-index.js'
import { type ChannelName, isSoundTemplate, parseChannelName } from './channel-name.js'
import type { Timed } from './clock.js'
import type { MessageContext } from './context.js'
import { type ChannelSettings, declare, type Declaration } from './declaration.js'
import { now } from './guests.js'
import { metaHandlers } from './meta/index.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

/** The channels that a server knows. One that nobody uses is swept; one that is used again is put back. */
export class Channels {
  /** How many authorizers the channels have. */
  authorizers = 0
  /** How many channels have a schema. */
  schemas = 0
  /** How many channels have rules of who may use them. */
  rules = 0

  readonly #server: CometDServer
  readonly #byName = new Map<string, ServerChannel>()
  // Those that the application uses. What a client calls by such a name is a channel like any other.
  readonly #templates = new ChannelIndex<ServerChannel>()
  // Those with a rule by which somebody might not subscribe.
  readonly #restricted = new ChannelIndex<ServerChannel>()
  readonly #declared = new Set<ServerChannel>()
  // Channels that are being initialised.
  readonly #coming = new Map<string, ServerChannel>()
  readonly #idle = new Set<ServerChannel>()
  readonly #sweeper: Timed = { tick: -1, onTime: () => this.#sweep() }
  #fromClients = 0
  #generation = 0

  constructor (server: CometDServer) {
    this.#server = server
    for (const name of metaHandlers.keys()) this.restore(this.locate(name) as ServerChannel)
  }

  /** Another number whenever channels or what they are set to is not what it was. */
  get generation (): number {
    return this.#generation
  }

  get all (): IterableIterator<ServerChannel> {
    return this.#byName.values()
  }

  get (name: string): ServerChannel | undefined {
    return this.#byName.get(name)
  }

  /** Whether there can be a channel of that name. */
  isName (name: string): boolean {
    return this.#byName.has(name) || this.#parse(name) !== undefined
  }

  /** The templates that the name fits. */
  templatesOf (name: ChannelName): ServerChannel[] {
    return this.#templates.matching(name)
  }

  /** Other channels of which something is heard on a wildcard, and which not everybody may hear. */
  restrictedIn (wildcard: ServerChannel): Iterable<ServerChannel> {
    return this.#restricted.overlapping(wildcard.parsed)
  }

  /** The channel of that name, or a new one that nobody knows yet; undefined if the name is none. */
  locate (name: string): ServerChannel | undefined {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const parsed = this.#parse(name)
    return parsed && new ServerChannel(this.#server, parsed)
  }

  /**
   * The channel of that name, for the application. If it is new, the initializers are called before anybody else sees it.
   * @throws COMETD_ERR_CHANNEL_INVALID, COMETD_ERR_CHANNEL_DECLARED, what `declare` throws, and what an initializer throws
   */
  create (name: string, initializers: ReadonlyArray<(channel: ServerChannel) => void>, settings?: ChannelSettings): ServerChannel {
    const known = this.#byName.get(name)
    const parsed = this.#parse(name)
    if (parsed === undefined || !isSoundTemplate(parsed)) throw new errors.COMETD_ERR_CHANNEL_INVALID(name)
    const channel = known ?? this.#coming.get(name) ?? new ServerChannel(this.#server, parsed)
    if (settings !== undefined) this.#declare(channel, parsed, settings)
    if (known !== undefined) this.#discharge(known)
    channel.adopted = true
    try {
      return this.use(this.restore(channel, undefined, undefined, initializers))
    } catch (err) {
      if (this.#declared.delete(channel)) this.#count(channel, -1)
      throw err
    }
  }

  /** The channels that were declared. */
  get declared (): ReadonlySet<ServerChannel> {
    return this.#declared
  }

  /** As `restore`, for a channel that the application uses. */
  use (channel: ServerChannel): ServerChannel {
    const known = this.restore(channel)
    if (known.isTemplate && !this.#templates.has(known)) {
      this.#templates.add(known)
      this.changed()
    }
    return known
  }

  /**
   * Makes sure that the channel is known. Gives the one that is known by its name.
   * @param session whose client makes it; undefined for the application
   */
  restore (channel: ServerChannel, session?: ServerSession, context?: MessageContext, initializers: ReadonlyArray<(channel: ServerChannel) => void> = []): ServerChannel {
    const known = this.#byName.get(channel.name) ?? this.#coming.get(channel.name)
    if (known !== undefined) return known
    channel.creator = session && this.#charge(session)
    if (!channel.initialised) this.#initialise(channel, context, initializers)
    this.#byName.set(channel.name, channel)
    this.changed()
    this.sweepLater(channel)
    this.#server.tell('channelAdded', [channel], context)
    return channel
  }

  /** The limit that keeps a client from making so many channels more, if one does. */
  limitFor (session: ServerSession, count: number): string | undefined {
    const { maxChannels, maxChannelsPerSession, maxChannelsPerAddress } = this.#server.options
    if (this.#fromClients + count > maxChannels) return 'max_channels'
    if (session.local) return undefined
    if (session.made.channels + count > maxChannelsPerSession) return 'max_channels_per_session'
    return this.#server.parties.count(session.address, 'channels') + count > maxChannelsPerAddress ? 'max_channels_per_address' : undefined
  }

  /** To be called when channels or what they are set to is not what it was. */
  changed (): void {
    this.#generation++
  }

  /** To be called when a channel may have become unused. */
  sweepLater (channel: ServerChannel): void {
    if (!channel.unused || this.#server.closed || this.#byName.get(channel.name) !== channel) return
    if (!this.#idle.has(channel)) channel.touch()
    this.#idle.add(channel)
    if (this.#sweeper.tick === -1) this.#server.clock.schedule(this.#sweeper, this.#server.options.sweepPeriod)
  }

  #parse (name: string): ChannelName | undefined {
    return typeof name === 'string' ? parseChannelName(name, this.#server.options) : undefined
  }

  #initialise (channel: ServerChannel, context: MessageContext | undefined, initializers: ReadonlyArray<(channel: ServerChannel) => void>): void {
    this.#coming.set(channel.name, channel)
    try {
      for (const initialise of initializers) now('an initializer', initialise(channel))
      this.#server.tell('channelCreating', [channel], context)
      channel.initialised = true
    } finally {
      this.#coming.delete(channel.name)
    }
  }

  #declare (channel: ServerChannel, parsed: ChannelName, settings: ChannelSettings): void {
    if (channel.declaration?.settings === settings) return
    if (channel.declaration !== undefined) throw new errors.COMETD_ERR_CHANNEL_DECLARED(channel.name)
    const declaration = declare(parsed, settings, this.#server.compileSchema)
    channel.declare(declaration)
    this.#declared.add(channel)
    this.#count(channel, 1)
  }

  // One declaration more, or less: done for each alone, since there may be many.
  #count (channel: ServerChannel, by: 1 | -1): void {
    const { schemas, subscribe, publish } = channel.declaration as Declaration
    if (schemas !== undefined) this.schemas += by
    if (subscribe !== undefined || publish !== undefined) this.rules += by
    if (subscribe !== undefined && (subscribe.rule !== true || subscribe.roles !== undefined)) {
      if (by === 1) this.#restricted.add(channel)
      else this.#restricted.delete(channel)
    }
    this.changed()
  }

  #charge (session: ServerSession): Creator {
    const { made, address } = session
    const party = address === undefined ? undefined : this.#server.parties.join(address, 'channels')
    made.channels++
    this.#fromClients++
    return { made, party }
  }

  #discharge (channel: ServerChannel): void {
    const { creator } = channel
    if (creator === undefined) return
    channel.creator = undefined
    creator.made.channels--
    this.#fromClients--
    if (creator.party !== undefined) this.#server.parties.leave(creator.party, 'channels')
  }

  #sweep (): void {
    const { clock, counters, options } = this.#server
    const start = clock.now()
    for (const channel of this.#idle) {
      if (!channel.unused) this.#idle.delete(channel)
      else if (start - channel.lastUsed >= options.sweepPeriod) {
        this.#idle.delete(channel)
        this.#remove(channel)
      }
    }
    counters.swept(clock.now() - start)
    if (this.#idle.size > 0) clock.schedule(this.#sweeper, options.sweepPeriod)
  }

  #remove (channel: ServerChannel): void {
    this.#byName.delete(channel.name)
    if (channel.isTemplate) this.#templates.delete(channel)
    this.#discharge(channel)
    this.changed()
    this.#server.tell('channelRemoved', [channel])
  }
}
