import { performance } from 'node:perf_hooks'
import { ActivityOptions as schema } from '../../schemas/extensions.js'
import type { ServerExtension, SessionExtension } from '../bayeux/extensions.js'
import type { ServerMessage } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'
import { optionCheck } from '../option-check.js'

/** What an ActivityExtension takes. */
export interface ActivityOptions {
  /** What counts: what the client sends, or also the messages that it is sent. Connects do not. */
  activity: 'client' | 'client-server'
  /** How long a session may be inactive, in ms. */
  maxInactivity: number
  /** Where the time comes from, in ms since any fixed moment. Default: the process's monotonic clock. */
  now?: () => number
}

const check = optionCheck('activity', schema)

/**
 * Disconnects sessions that are connected, but do nothing: those of pages that somebody has left open. It looks when a connect
 * comes, so the end is up to `timeout` late. Nothing of it is on the wire. As CometD's activity extension.
 */
export class ActivityExtension implements ServerExtension {
  readonly #options: Required<ActivityOptions>

  /** @throws COMETD_ERR_OPTION_INVALID */
  constructor (options: ActivityOptions) {
    check(options)
    const { activity, maxInactivity, now = () => performance.now() } = options
    this.#options = { activity, maxInactivity, now }
  }

  incoming (server: CometDServer, session: ServerSession, message: ServerMessage): void {
    if (message.channel !== '/meta/handshake') return
    const monitor = new Monitor(this.#options)
    session.addExtension(monitor)
    // Not as an outgoing extension, for which every message would be copied. Replies follow a message of the client.
    if (this.#options.activity === 'client-server') session.addListener('queueOffer', () => monitor.note())
  }
}

/** When one session was last active. */
class Monitor implements SessionExtension {
  readonly #options: Required<ActivityOptions>
  #last: number

  constructor (options: Required<ActivityOptions>) {
    this.#options = options
    this.#last = options.now()
  }

  incoming (session: ServerSession, message: ServerMessage): void {
    if (message.channel !== '/meta/connect') this.note()
    else if (this.#options.now() - this.#last > this.#options.maxInactivity) session.disconnect()
  }

  note (): void {
    this.#last = this.#options.now()
  }
}
