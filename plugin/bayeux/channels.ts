import { errors } from '../errors.js'
import { ServerChannel } from './channel.js'
import { type ChannelName, isSoundTemplate, parseChannelName } from './channel-name.js'
import type { Timed } from './clock.js'
import type { MessageContext } from './context.js'
import { type ChannelSettings, declare, type Declaration } from './declaration.js'
import { metaHandlers } from './meta/index.js'
import type { CometDServer } from './server.js'

const IDLE_SWEEPS = 3

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
  readonly #templates = new Set<ServerChannel>()
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

  get templates (): ReadonlySet<ServerChannel> {
    return this.#templates
  }

  get all (): IterableIterator<ServerChannel> {
    return this.#byName.values()
  }

  get (name: string): ServerChannel | undefined {
    return this.#byName.get(name)
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
    if (known?.fromClient) this.#adopt(known)
    try {
      return this.use(this.restore(channel, undefined, undefined, initializers))
    } catch (err) {
      this.#declared.delete(channel)
      this.#declarationsChanged()
      throw err
    }
  }

  /** The channels with a rule of who may subscribe. */
  get ruled (): ServerChannel[] {
    return [...this.#declared].filter(({ declaration }) => declaration?.subscribe !== undefined)
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

  /** Makes sure that the channel is known. Gives the one that is known by its name. */
  restore (channel: ServerChannel, fromClient = false, context?: MessageContext, initializers: ReadonlyArray<(channel: ServerChannel) => void> = []): ServerChannel {
    const known = this.#byName.get(channel.name) ?? this.#coming.get(channel.name)
    if (known !== undefined) return known
    channel.fromClient = fromClient
    if (!channel.initialised) this.#initialise(channel, context, initializers)
    this.#byName.set(channel.name, channel)
    if (fromClient) this.#fromClients++
    this.changed()
    this.sweepLater(channel)
    this.#server.tell('channelAdded', [channel], context)
    return channel
  }

  /** Whether clients may create that many channels more. */
  hasRoomFor (count: number): boolean {
    return this.#fromClients + count <= this.#server.options.maxChannels
  }

  /** To be called when channels or what they are set to is not what it was. */
  changed (): void {
    this.#generation++
  }

  /** To be called when a channel may have become unused. */
  sweepLater (channel: ServerChannel): void {
    if (!channel.unused || this.#server.closed || this.#byName.get(channel.name) !== channel) return
    this.#idle.add(channel)
    if (this.#sweeper.tick === -1) this.#server.clock.schedule(this.#sweeper, this.#server.options.sweepPeriod)
  }

  #parse (name: string): ChannelName | undefined {
    return typeof name === 'string' ? parseChannelName(name, this.#server.options) : undefined
  }

  #initialise (channel: ServerChannel, context: MessageContext | undefined, initializers: ReadonlyArray<(channel: ServerChannel) => void>): void {
    this.#coming.set(channel.name, channel)
    try {
      for (const initialise of initializers) initialise(channel)
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
    this.#declarationsChanged()
  }

  #declarationsChanged (): void {
    const declarations = [...this.#declared].map(({ declaration }) => declaration as Declaration)
    this.schemas = declarations.filter(({ schemas }) => schemas !== undefined).length
    this.rules = declarations.filter(({ subscribe, publish }) => subscribe !== undefined || publish !== undefined).length
    this.changed()
  }

  #adopt (channel: ServerChannel): void {
    channel.fromClient = false
    this.#fromClients--
  }

  #sweep (): void {
    const { clock, counters } = this.#server
    const start = clock.now()
    for (const channel of this.#idle) {
      if (!channel.unused) {
        channel.idleSweeps = 0
        this.#idle.delete(channel)
      } else if (++channel.idleSweeps >= IDLE_SWEEPS) {
        this.#idle.delete(channel)
        this.#remove(channel)
      }
    }
    counters.swept(clock.now() - start)
    if (this.#idle.size > 0) clock.schedule(this.#sweeper, this.#server.options.sweepPeriod)
  }

  #remove (channel: ServerChannel): void {
    this.#byName.delete(channel.name)
    this.#templates.delete(channel)
    if (channel.fromClient) this.#fromClients--
    this.changed()
    this.#server.tell('channelRemoved', [channel])
  }
}
