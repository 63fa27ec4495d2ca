import { errors } from '../errors.js'
import type { OutgoingMessage } from './message.js'

/**
 * A message for clients in its final form: JSON text, written once however many sessions it goes to. Nothing else of it is kept
 * while it waits: parsed, it may take twenty times as much memory.
 */
export class Frame {
  readonly json: string
  /** Length of the JSON text in UTF-8: what it weighs on the wire. */
  readonly bytes: number
  /** How long it may wait for others to leave with, in ms; undefined: not at all. */
  readonly lazyTimeout: number | undefined
  #message: WeakRef<Readonly<OutgoingMessage>> | undefined

  constructor (json: string, lazyTimeout?: number) {
    this.json = json
    this.bytes = Buffer.byteLength(json)
    this.lazyTimeout = lazyTimeout
  }

  /** Bytes of memory that the text takes: V8 keeps one with characters beyond Latin-1 in two bytes for each. */
  get weight (): number {
    return this.bytes === this.json.length ? this.bytes : Math.max(this.bytes, 2 * this.json.length)
  }

  /** The message, for those who look at it; the same object for all who do at the same time. */
  get message (): Readonly<OutgoingMessage> {
    let message = this.#message?.deref()
    if (message === undefined) {
      message = Object.freeze(thaw(this))
      this.#message = new WeakRef(message)
    }
    return message
  }
}

/**
 * Writes `message` as JSON.
 * @throws COMETD_ERR_DATA_INVALID if JSON cannot hold it (a cycle, a BigInt).
 */
export function freeze (message: Readonly<OutgoingMessage>, lazyTimeout?: number): Frame {
  try {
    return new Frame(JSON.stringify(message), lazyTimeout)
  } catch (cause) {
    throw Object.assign(new errors.COMETD_ERR_DATA_INVALID(message.channel, (cause as Error).message), { cause })
  }
}

/** A copy of the message that can be changed without changing it for others. */
export function thaw (frame: Frame): OutgoingMessage {
  return JSON.parse(frame.json) as OutgoingMessage
}
