/** What the messages of one request, or of one WebSocket message, have in common. */
export class Batch {
  /** Bytes that each of them came with, on the average. */
  readonly bytesEach: number
  /** Whether one of them has tried to authenticate its client. */
  authenticates = false

  constructor (messages: number, bytes: number) {
    this.bytesEach = bytes / messages
  }
}

/** Of messages that came in no request: those of local sessions. */
export const NO_BATCH = new Batch(1, 0)
