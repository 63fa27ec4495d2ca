import type { Frame } from './frame.js'

/** The messages that wait for a client, in order. */
export class FrameQueue {
  #frames: Frame[] = []
  #bytes = 0
  #due = false

  get length (): number {
    return this.#frames.length
  }

  /** Of JSON. */
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

  hasRoomFor (frame: Frame, { maxQueue, maxQueueBytes }: { readonly maxQueue: number, readonly maxQueueBytes: number }): boolean {
    return this.#frames.length < maxQueue && this.#bytes + frame.bytes <= maxQueueBytes
  }

  push (frame: Frame): void {
    this.#frames.push(frame)
    this.#bytes += frame.bytes
    if (frame.lazyTimeout === undefined) this.#due = true
  }

  /** Puts frames in front of all others. */
  putBack (frames: readonly Frame[]): void {
    this.#frames = [...frames, ...this.#frames]
    for (const frame of frames) this.#bytes += frame.bytes
    this.#due = true
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
      this.#due = false
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
