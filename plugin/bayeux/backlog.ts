import type { Frame } from './frame.js'
import { fitting } from './queue.js'

/** What is sent again at once is so this often; afterwards, its client waits longer each time. */
const PATIENCE = 3
const SHORTEST_PAUSE = 100

/**
 * What one client was sent and has not acknowledged. The answer to each connect is a batch: what was not acknowledged before,
 * from its beginning and as much as fits, and then what is new.
 */
export class Backlog {
  // In order.
  #frames: Frame[] = []
  #bytes = 0
  #batch = 0
  // How many were acknowledged, ever.
  #acknowledged = 0
  // How many there were, ever, up to the last one in a batch. A batch that reaches as far as the one before it has no entry.
  #reaches: Array<{ readonly batch: number, readonly end: number }> = []
  #again = 0
  #repetitions = 0

  get length (): number {
    return this.#frames.length
  }

  /** What they weigh in memory. */
  get bytes (): number {
    return this.#bytes
  }

  /** The number of the last batch. */
  get batch (): number {
    return this.#batch
  }

  /** How long the client has to wait before it is sent once more what it does not acknowledge, in ms. */
  get pause (): number {
    return this.#repetitions < PATIENCE ? 0 : SHORTEST_PAUSE * 2 ** (this.#repetitions - PATIENCE)
  }

  /** The client has the batch `last`. */
  acknowledge (last: number): void {
    const later = this.#reaches.findIndex(({ batch }) => batch > last)
    const end = this.#reaches.splice(0, later === -1 ? Infinity : later).at(-1)?.end ?? 0
    const gone = this.#frames.splice(0, end - this.#acknowledged)
    this.#acknowledged += gone.length
    for (const frame of gone) this.#bytes -= frame.weight
    if (gone.length > 0) this.#repetitions = 0
  }

  /** Begins a batch, with the first frames that were not acknowledged, as many as fit into `bytes`. */
  begin (bytes: number): Frame[] {
    this.#batch++
    this.#again = fitting(this.#frames, bytes)
    if (this.#again > 0) this.#repetitions++
    return this.#frames.slice(0, this.#again)
  }

  /** Puts new frames into the batch that was begun, which has all others in it. */
  add (frames: readonly Frame[]): void {
    for (const frame of frames) {
      this.#frames.push(frame)
      this.#bytes += frame.weight
    }
    const end = this.#acknowledged + this.#again + frames.length
    if (end !== (this.#reaches.at(-1)?.end ?? this.#acknowledged)) this.#reaches.push({ batch: this.#batch, end })
  }
}
