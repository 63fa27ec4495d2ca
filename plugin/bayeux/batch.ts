/** What the messages of one request, or of one WebSocket message, have in common. */
export class Batch {
  /** Bytes that each of them came with, on the average. */
  readonly bytesEach: number
  /** Whether nothing in them is nested too deep; false if that has not been looked at. */
  readonly shallow: boolean
  /** Whether one of them has tried to authenticate its client. */
  authenticates = false

  constructor (messages: number, bytes: number, shallow = false) {
    this.bytesEach = bytes / messages
    this.shallow = shallow
  }
}

/** Of messages that came in no request: those of local sessions. */
export const NO_BATCH = new Batch(1, 0)
