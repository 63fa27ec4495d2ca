import { TimesyncOptions as schema } from '../../schemas/extensions.js'
import type { ServerExtension } from '../bayeux/extensions.js'
import type { OutgoingMessage, Reply, ServerMessage } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'
import { optionCheck } from '../option-check.js'

/** What a TimesyncExtension takes. */
export interface TimesyncOptions {
  /** How far off a client's idea of the server's time may be before it is corrected, in ms. Default 25. */
  accuracyTarget?: number
  /** The server's time, in ms since 1970. Default: `Date.now`. */
  now?: () => number
}

/** What is known when a message comes, in ms: the client's time, the server's, and by how much the client is off. */
interface Sample { tc: number, ts: number, a: number | undefined }

const check = optionCheck('timesync', schema)

/**
 * Lets clients find out the server's time, and how long messages are on their way. Wire format: that of CometD's timesync
 * extension (`ext.timesync` of meta messages). The lag that a client has found, in ms, is the attribute `lag` of its session.
 */
export class TimesyncExtension implements ServerExtension {
  readonly #accuracyTarget: number
  readonly #now: () => number
  readonly #samples = new WeakMap<object, Sample>()

  /** @throws COMETD_ERR_OPTION_INVALID */
  constructor (options: TimesyncOptions = {}) {
    check(options)
    this.#accuracyTarget = options.accuracyTarget ?? 25
    this.#now = options.now ?? Date.now
  }

  incoming (_server: CometDServer, session: ServerSession, { channel, ext, reply }: ServerMessage): void {
    if (!channel.startsWith('/meta/')) return
    const { tc, l, o } = (ext?.['timesync'] ?? {}) as Record<string, unknown>
    if (!isTime(tc)) return
    const ts = this.#now()
    // Clients of old send nothing but their time.
    if (!isTime(l)) {
      this.#samples.set(reply, { tc, ts, a: undefined })
      return
    }
    session.attributes.set('lag', l)
    const a = tc + (isTime(o) ? o : 0) + l - ts
    // A client that is near enough is left in peace, unless it has no lag yet.
    if (l === 0 || Math.abs(a) >= this.#accuracyTarget) this.#samples.set(reply, { tc, ts, a })
  }

  outgoing (_server: CometDServer, _sender: ServerSession | null, _session: ServerSession | null, message: OutgoingMessage | Reply): void {
    const sample = this.#samples.get(message)
    if (sample === undefined) return
    const { tc, ts, a } = sample
    message.ext = { ...message.ext, timesync: { tc, ts, p: this.#now() - ts, ...(a !== undefined && { a }) } }
  }
}

// The sum of such numbers is one that JSON can hold.
function isTime (value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER
}
