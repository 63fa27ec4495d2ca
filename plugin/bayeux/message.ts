import type { Message } from '../../schemas/message.js'
import { type Batch, NO_BATCH } from './batch.js'

/** What a server tells a client about its next connects. Always whole: clients merge it over their defaults. */
export interface Advice {
  reconnect?: 'retry' | 'handshake' | 'none'
  /** Milliseconds to wait before the next connect. */
  interval?: number
  /** Milliseconds that the next connect will be held. */
  timeout?: number
  'multiple-clients'?: boolean
  [field: string]: unknown
}

/** The answer to one message. Policies, extensions and listeners may add to it. */
export interface Reply {
  channel?: string
  id?: string | number
  successful?: boolean
  /** `CCC:arguments:text` (B41). */
  error?: string
  advice?: Advice
  ext?: Record<string, unknown>
  clientId?: string
  subscription?: string | string[]
  version?: string
  minimumVersion?: string
  supportedConnectionTypes?: readonly string[]
  [field: string]: unknown
}

/** A message on its way to a client. */
export interface OutgoingMessage<Data = unknown> {
  channel: string
  data?: Data
  ext?: Record<string, unknown>
  [field: string]: unknown
}

/** Of a message whose channel no template matches. */
export const NO_PARAMETERS: Readonly<Record<string, string>> = Object.freeze({})

const KEPT: ReadonlySet<string> = new Set(['channel', 'id', 'clientId', 'data', 'ext', 'advice', 'subscription', 'connectionType', 'parameters'])
// The limit keeps an id from being a second payload.
const LONGEST_ID = 255
// What a message has of its own is a handful.
const MOST_FIELDS = 100

/**
 * A message from a client, in one normal form: `null` for an absent field is absent, `subscription` is an array. Other fields
 * that the client sent (credentials in a handshake, for example) are there under their own names, but for those that any
 * message has anyway: what a client calls `refuse` or `toString` is left out.
 */
export class ServerMessage<Data = unknown, Parameters = Readonly<Record<string, string>>> {
  /** Name of the channel; checked before anyone sees the message. */
  channel: string
  id: string | number | undefined
  clientId: string | undefined
  data: Data
  ext: Record<string, unknown> | undefined
  advice: Record<string, unknown> | undefined
  /** Channels of a subscribe or unsubscribe message. */
  subscription: string[] | undefined
  connectionType: string | undefined
  /** What the template that the listener was added to binds: `{ id: '5' }` of `/rooms/{id}` for `/rooms/5`. */
  parameters: Parameters = NO_PARAMETERS as Parameters;
  [field: string]: unknown

  readonly #reply: Reply
  readonly #batch: Batch
  readonly #overfull: boolean
  #holdFor = 0
  #lazy = false

  /** @internal */
  constructor (raw: Message, batch = NO_BATCH) {
    this.#batch = batch
    this.channel = raw.channel as string
    this.id = raw.id ?? undefined
    this.clientId = raw.clientId ?? undefined
    this.data = raw.data as Data
    this.ext = (raw.ext ?? undefined) as Record<string, unknown> | undefined
    this.advice = (raw.advice ?? undefined) as Record<string, unknown> | undefined
    this.subscription = typeof raw.subscription === 'string' ? [raw.subscription] : raw.subscription?.slice()
    this.connectionType = raw.connectionType ?? undefined
    const fields = Object.keys(raw)
    this.#overfull = fields.length > MOST_FIELDS
    if (!this.#overfull) {
      for (const field of fields) {
        // A member, own or inherited, is never what a client says.
        if (!(field in this)) this[field] = (raw as Record<string, unknown>)[field]
      }
    }

    this.#reply = {}
    if (this.id !== undefined) this.#reply.id = this.id
    if (raw.channel !== undefined) this.#reply.channel = raw.channel
    if (raw.subscription != null) this.#reply.subscription = raw.subscription
  }

  /** Whether a broadcast may wait for others to leave with, as on a lazy channel. For listeners and extensions to set. */
  get lazy (): boolean {
    return this.#lazy
  }

  set lazy (lazy: boolean) {
    this.#lazy = lazy
  }

  /** The reply that the client will get. */
  get reply (): Reply {
    return this.#reply
  }

  /** The error of a message that is no message whatever it says; undefined if it may be one. @internal */
  get fault (): string | undefined {
    if (this.#overfull) return '400:max_fields:message_invalid'
    // B23 knows letters and digits only; clients in use do not.
    return typeof this.id === 'string' && this.id.length > LONGEST_ID ? '405::message_id_invalid' : undefined
  }

  /** What it came with. @internal */
  get batch (): Batch {
    return this.#batch
  }

  /** How long a transport may hold this connect, in ms. @internal */
  get holdFor (): number {
    return this.#holdFor
  }

  set holdFor (milliseconds: number) {
    this.#holdFor = milliseconds
  }

  /** Lets go of what is not needed any more when the message is held: a client decides how much that is. @internal */
  shed (): void {
    for (const field of Object.keys(this)) if (!KEPT.has(field)) delete this[field]
    this.data = undefined as Data
    this.ext = this.advice = this.subscription = undefined
  }

  /** Makes the reply tell that the message goes no further, unless who stopped it has said why. @internal */
  veto (): void {
    if (this.#reply.successful !== false || this.#reply.error === undefined) this.refuse('404::message_deleted')
  }

  /** Makes the reply an unsuccessful one. @internal */
  refuse (error: string): void {
    this.#reply.successful = false
    this.#reply.error = error
  }
}

/** Whether objects and arrays are nested deeper than `levels` in `value`. */
export function isDeeperThan (value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  if (Array.isArray(value)) {
    // By index: going over the names of the items costs ten times as much.
    for (let i = 0; i < value.length; i++) if (isDeeperThan(value[i], levels - 1)) return true
    return false
  }
  for (const key in value) {
    if (isDeeperThan((value as Record<string, unknown>)[key], levels - 1)) return true
  }
  return false
}
