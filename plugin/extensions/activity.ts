import { performance } from 'node:perf_hooks'
import type { ServerExtension, SessionExtension } from '../bayeux/extensions.js'
import type { OutgoingMessage, Reply, ServerMessage } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'
import { errors } from '../errors.js'

export interface ActivityOptions {
  /** What counts: what the client sends, or also what it is sent. Connects and their replies do not. */
  activity: 'client' | 'client-server'
  /** How long a session may be inactive, in ms. */
  maxInactivity: number
  /** Where the time comes from, in ms. Default: the process's monotonic clock. */
  now?: () => number
}

/** Disconnects sessions that are connected but do nothing: a page that somebody has left open. Looks at each connect. */
export class ActivityExtension implements ServerExtension {
  readonly #options: Required<ActivityOptions>

  /** @throws COMETD_ERR_OPTION_INVALID */
  constructor ({ activity, maxInactivity, now = () => performance.now() }: ActivityOptions) {
    if (activity !== 'client' && activity !== 'client-server') throw new errors.COMETD_ERR_OPTION_INVALID('activity', 'Expected one of "client", "client-server"')
    if (!(maxInactivity > 0)) throw new errors.COMETD_ERR_OPTION_INVALID('maxInactivity', 'Expected milliseconds')
    this.#options = { activity, maxInactivity, now }
  }

  incoming (server: CometDServer, session: ServerSession, message: ServerMessage): void {
    if (message.channel === '/meta/handshake') session.addExtension(new Monitor(this.#options))
  }
}

class Monitor implements SessionExtension {
  readonly #options: Required<ActivityOptions>
  readonly outgoing?: NonNullable<SessionExtension['outgoing']>
  #last: number

  constructor (options: Required<ActivityOptions>) {
    this.#options = options
    this.#last = options.now()
    // Without the function, messages need not pass here.
    if (options.activity === 'client-server') this.outgoing = (sender, session, message) => this.#mark(message)
  }

  incoming (session: ServerSession, message: ServerMessage): void {
    if (message.channel !== '/meta/connect') this.#mark(message)
    else if (this.#options.now() - this.#last > this.#options.maxInactivity) session.disconnect()
  }

  #mark ({ channel }: ServerMessage | OutgoingMessage | Reply): void {
    if (channel !== '/meta/connect') this.#last = this.#options.now()
  }
}
