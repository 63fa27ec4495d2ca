const CODE = /^\d{3}(?=:)/

/** What a server has done since it was made. Numbers only grow, but for the present ones that the server adds. */
export class Counters {
  handshakes = 0
  expiries = 0
  messagesIn = 0
  messagesOut = 0
  /** Messages that were queued, or to be queued, and will never be sent. */
  messagesDropped = 0
  bytesIn = 0
  bytesOut = 0
  mostQueuedMessages = 0
  mostQueuedBytes = 0
  sweeps = 0
  lastSweepTime = 0
  longestSweepTime = 0
  /** By the three digits that an error begins with. */
  readonly refusals = new Map<string, number>()

  /** A message was refused. Gives the code of the error. */
  refused (error: unknown): string {
    const code = (typeof error === 'string' ? CODE.exec(error)?.[0] : undefined) ?? 'other'
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
    return code
  }

  /** @param milliseconds how long it took */
  swept (milliseconds: number): void {
    this.sweeps++
    this.lastSweepTime = milliseconds
    this.longestSweepTime = Math.max(this.longestSweepTime, milliseconds)
  }

  /** What waits for a session is about to become less. Not noted for each message: then every delivery would pay for it. */
  queued ({ length, bytes }: { readonly length: number, readonly bytes: number }): void {
    if (length > this.mostQueuedMessages) this.mostQueuedMessages = length
    if (bytes > this.mostQueuedBytes) this.mostQueuedBytes = bytes
  }
}
