import { errors } from '../errors.js'
import type { OutgoingMessage } from './message.js'

/** A message for clients in its final form, written as JSON once however many sessions it goes to. */
export interface Frame {
  readonly message: Readonly<OutgoingMessage>
  readonly json: string
  /** Length of the JSON text in UTF-8. */
  readonly bytes: number
  /** How long it may wait for others to leave with, in ms; undefined: not at all. */
  readonly lazyTimeout: number | undefined
}

/**
 * Writes `message` as JSON.
 * @throws COMETD_ERR_DATA_INVALID if JSON cannot hold it (a cycle, a BigInt).
 */
export function freeze (message: Readonly<OutgoingMessage>, lazyTimeout?: number): Frame {
  let json: string
  try {
    json = JSON.stringify(message)
  } catch (cause) {
    throw Object.assign(new errors.COMETD_ERR_DATA_INVALID(message.channel, (cause as Error).message), { cause })
  }
  return { message: Object.freeze(message), json, bytes: Buffer.byteLength(json), lazyTimeout }
}

/** A copy of the message that can be changed without changing it for others. */
export function thaw (frame: Frame): OutgoingMessage {
  return JSON.parse(frame.json) as OutgoingMessage
}
