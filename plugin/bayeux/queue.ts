import type { Frame } from './frame.js'

/** The messages that wait for a client, in order. */
export class FrameQueue {
  #frames: Frame[] = []
  #bytes = 0
  #due = false

  get length (): number {
    return this.#frames.length
  }

  /** What they weigh in memory. */
  get bytes (): number {
    return this.#bytes
  }

  /** Whether there is something that is to be sent as soon as it can be. */
  get due (): boolean {
    return this.#due && this.#frames.length > 0
  }

  /** Nothing that is there waits any longer. */
  hurry (): void {
    this.#due = true
  }

  push (frame: Frame): void {
    this.#frames.push(frame)
    this.#bytes += frame.weight
    if (frame.lazyTimeout === undefined) this.#due = true
  }

  /** Puts frames in front of all others. */
  putBack (frames: readonly Frame[]): void {
    this.#frames = [...frames, ...this.#frames]
    for (const frame of frames) this.#bytes += frame.weight
    this.#due = true
  }

  /** There must be one. */
  dropOldest (): void {
    this.#bytes -= (this.#frames.shift() as Frame).weight
  }

  /** Gives how many there were. */
  clear (): number {
    return this.take(Infinity).length
  }

  /** Takes the first frames that fit together into `bytes` on the wire; the first one, whatever it weighs, if `atLeastOne`. */
  take (bytes: number, atLeastOne = true): Frame[] {
    const frames = this.#frames
    if (this.#bytes + frames.length + 1 <= bytes) {
      this.#frames = []
      this.#bytes = 0
      this.#due = false
      return frames
    }
    const count = fitting(frames, bytes, atLeastOne)
    const taken = frames.slice(0, count)
    this.#frames = frames.slice(count)
    for (const frame of taken) this.#bytes -= frame.weight
    return taken
  }
}

/** How many of the frames, beginning with that of the number `from`, fit into an array of `bytes`. */
export function fitting (frames: readonly Frame[], bytes: number, atLeastOne = true, from = 0): number {
  let to = from
  // One for the brackets and each comma.
  for (let left = bytes - 1; to < frames.length; to++) {
    left -= (frames[to] as Frame).bytes + 1
    if (left < 0 && !(atLeastOne && to === from)) break
  }
  return to - from
}
