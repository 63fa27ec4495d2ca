import type { ServerExtension } from '../bayeux/extensions.js'
import type { OutgoingMessage, Reply, ServerMessage } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'
import { errors } from '../errors.js'

export interface TimesyncOptions {
  /** How far off the client's idea of the server's time may be before it is told, in ms. Default 25. */
  accuracyTarget?: number
  /** The server's time, in ms since the epoch. Default: Date.now. */
  now?: () => number
}

/** What the client sent: its time, its lag and its offset to the server's time, in ms. */
interface Sample { tc: number, l: number | undefined, o: number, ts: number }

/**
 * Lets clients find out the server's time and how long messages take. Wire format: that of CometD's timesync extension
 * (`ext.timesync` of meta messages). The lag that a client reports becomes the attribute `lag` of its session.
 */
export class TimesyncExtension implements ServerExtension {
  readonly #accuracyTarget: number
  readonly #now: () => number
  readonly #samples = new WeakMap<object, Sample>()

  /** @throws COMETD_ERR_OPTION_INVALID */
  constructor ({ accuracyTarget = 25, now = Date.now }: TimesyncOptions = {}) {
    if (!(accuracyTarget >= 0)) throw new errors.COMETD_ERR_OPTION_INVALID('accuracyTarget', 'Expected milliseconds')
    this.#accuracyTarget = accuracyTarget
    this.#now = now
  }

  incoming (server: CometDServer, session: ServerSession, { channel, ext, reply }: ServerMessage): void {
    if (!channel.startsWith('/meta/')) return
    const { tc, l, o } = (ext?.['timesync'] ?? {}) as Record<string, unknown>
    if (!Number.isFinite(tc)) return
    const lag = Number.isFinite(l) ? l as number : undefined
    if (lag !== undefined) session.attributes.set('lag', lag)
    this.#samples.set(reply, { tc: tc as number, l: lag, o: Number.isFinite(o) ? o as number : 0, ts: this.#now() })
  }

  outgoing (server: CometDServer, sender: ServerSession | null, session: ServerSession | null, message: OutgoingMessage | Reply): void {
    const sample = this.#samples.get(message)
    if (sample === undefined) return
    const { tc, l, o, ts } = sample
    const p = this.#now() - ts
    const a = l === undefined ? undefined : tc + o + l - ts
    // A client that knows the time well enough is left in peace.
    if (a !== undefined && l !== 0 && Math.abs(a) < this.#accuracyTarget) return
    message.ext = { ...message.ext, timesync: { tc, ts, p, ...(a !== undefined && { a }) } }
  }
}
