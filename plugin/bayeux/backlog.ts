import type { Frame } from './frame.js'
import { fitting } from './queue.js'

/** What is sent again at once is so this often; afterwards, its client waits longer each time. */
const PATIENCE = 3
const SHORTEST_PAUSE = 100

/** What one client was sent and has not acknowledged, by batches: the answer to each connect closes one. */
export class Backlog {
  // Both in order, one entry for a message.
  #frames: Frame[] = []
  #batches: number[] = []
  #bytes = 0
  #batch = 0
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

  /** The client has everything up to the batch `last`. */
  acknowledge (last: number): void {
    const count = this.#batches.findIndex(batch => batch > last)
    const gone = this.#frames.splice(0, count === -1 ? this.#frames.length : count)
    this.#batches.splice(0, gone.length)
    for (const frame of gone) this.#bytes -= frame.weight
    if (gone.length > 0) this.#repetitions = 0
  }

  /** Begins a batch, with the first frames that were not acknowledged, as many as fit into `bytes`. */
  begin (bytes: number): Frame[] {
    this.#batch++
    if (this.#frames.length > 0) this.#repetitions++
    return this.#frames.slice(0, fitting(this.#frames, bytes))
  }

  /** Puts frames into the batch that was begun. */
  add (frames: readonly Frame[]): void {
    for (const frame of frames) {
      this.#frames.push(frame)
      this.#batches.push(this.#batch)
      this.#bytes += frame.weight
    }
  }
}
