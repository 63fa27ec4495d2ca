import { ServerChannel } from './channel.js'
import { parseChannelName } from './channel-name.js'
import type { Timed } from './clock.js'
import type { MessageContext } from './context.js'
import { metaHandlers } from './meta/index.js'
import type { CometDServer } from './server.js'

const IDLE_SWEEPS = 3

/** The channels that a server knows. One that nobody uses is swept; one that is used again is put back. */
export class Channels {
  readonly #server: CometDServer
  readonly #byName = new Map<string, ServerChannel>()
  readonly #idle = new Set<ServerChannel>()
  readonly #sweeper: Timed = { tick: -1, onTime: () => this.#sweep() }
  #fromClients = 0
  #generation = 0

  constructor (server: CometDServer) {
    this.#server = server
    for (const name of metaHandlers.keys()) this.restore(this.locate(name) as ServerChannel)
  }

  /** Another number whenever channels or their listeners are not what they were. */
  get generation (): number {
    return this.#generation
  }

  get (name: string): ServerChannel | undefined {
    return this.#byName.get(name)
  }

  /** The channel of that name, or a new one that nobody knows yet; undefined if the name is none. */
  locate (name: string): ServerChannel | undefined {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const parsed = typeof name === 'string' ? parseChannelName(name, this.#server.options) : undefined
    return parsed && new ServerChannel(this.#server, parsed)
  }

  /** Makes sure that the channel is known. Gives the one that is known by its name. */
  restore (channel: ServerChannel, fromClient = false, context?: MessageContext): ServerChannel {
    const known = this.#byName.get(channel.name)
    if (known !== undefined) return known
    this.#byName.set(channel.name, channel)
    channel.fromClient = fromClient
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

  /** To be called when channels or their listeners are not what they were. */
  changed (): void {
    this.#generation++
  }

  /** To be called when a channel may have become unused. */
  sweepLater (channel: ServerChannel): void {
    if (!channel.unused || this.#server.closed) return
    this.#idle.add(channel)
    if (this.#sweeper.tick === -1) this.#server.clock.schedule(this.#sweeper, this.#server.options.sweepPeriod)
  }

  #sweep (): void {
    for (const channel of this.#idle) {
      if (!channel.unused) {
        channel.idleSweeps = 0
        this.#idle.delete(channel)
      } else if (++channel.idleSweeps >= IDLE_SWEEPS) {
        this.#idle.delete(channel)
        this.#remove(channel)
      }
    }
    if (this.#idle.size > 0) this.#server.clock.schedule(this.#sweeper, this.#server.options.sweepPeriod)
  }

  #remove (channel: ServerChannel): void {
    this.#byName.delete(channel.name)
    if (channel.fromClient) this.#fromClients--
    this.changed()
    this.#server.tell('channelRemoved', [channel])
  }
}
