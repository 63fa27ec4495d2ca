import type { Frame } from './frame.js'

/** The messages that wait for a client, in order. */
export class FrameQueue {
  #frames: Frame[] = []
  #bytes = 0

  get length (): number {
    return this.#frames.length
  }

  /** Of JSON. */
  get bytes (): number {
    return this.#bytes
  }

  hasRoomFor (frame: Frame, { maxQueue, maxQueueBytes }: { readonly maxQueue: number, readonly maxQueueBytes: number }): boolean {
    return this.#frames.length < maxQueue && this.#bytes + frame.bytes <= maxQueueBytes
  }

  push (frame: Frame): void {
    this.#frames.push(frame)
    this.#bytes += frame.bytes
  }

  /** Puts frames in front of all others. */
  putBack (frames: readonly Frame[]): void {
    this.#frames = [...frames, ...this.#frames]
    for (const frame of frames) this.#bytes += frame.bytes
  }

  /** There must be one. */
  dropOldest (): void {
    this.#bytes -= (this.#frames.shift() as Frame).bytes
  }

  /** Takes all frames, or the first ones until they have at least `bytes`. */
  take (bytes: number): Frame[] {
    const frames = this.#frames
    if (this.#bytes <= bytes) {
      this.#frames = []
      this.#bytes = 0
      return frames
    }
    let count = 0
    let taken = 0
    while (taken < bytes) taken += (frames[count++] as Frame).bytes
    this.#frames = frames.slice(count)
    this.#bytes -= taken
    return frames.slice(0, count)
  }
}
