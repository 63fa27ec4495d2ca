import type { Log } from './environment.js'

/** How long work that could be divided may keep the event loop from all others, in ms. */
export const LONGEST_SLICE = 10

/** Something that has messages to send. */
export interface Flushable {
  /** Whether it is to be flushed later in this turn. */
  flushing: boolean
  flush (): void
}

/**
 * What is left for later in this turn of the event loop, so that what is brought about together leaves together. If that is
 * much, it is done in slices, in order, and others have their turns in between.
 */
export class Turns {
  readonly #defer: (code: () => void) => void
  readonly #now: () => number
  readonly #log: Log
  #waiting: Flushable[] = []
  #scheduled = false

  /**
   * @param defer runs code later in this turn of the event loop, or at the beginning of the next
   * @param now ms
   * @param log learns of what fails; it must not
   */
  constructor (defer: (code: () => void) => void, now: () => number, log: Log) {
    this.#defer = defer
    this.#now = now
    this.#log = log
  }

  /** Runs `code` later in this turn of the event loop, or at the beginning of the next. */
  later (code: () => void): void {
    this.#defer(code)
  }

  /** Flushes later in this turn. */
  flushLater (flushable: Flushable): void {
    if (flushable.flushing) return
    flushable.flushing = true
    this.#waiting.push(flushable)
    this.#schedule()
  }

  /** Calls `step` with each item, in slices. Resolves when that is done. `step` must not throw. */
  async each<T> (items: readonly T[], step: (item: T) => void): Promise<void> {
    let end = this.#now() + LONGEST_SLICE
    for (const item of items) {
      step(item)
      if (this.#now() <= end) continue
      await new Promise<void>(resolve => this.#defer(resolve))
      end = this.#now() + LONGEST_SLICE
    }
  }

  #schedule (): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#defer(() => this.#flush())
  }

  #flush (): void {
    const flushables = this.#waiting
    this.#waiting = []
    this.#scheduled = false
    const end = this.#now() + LONGEST_SLICE
    for (let i = 0; i < flushables.length; i++) {
      this.#flushOne(flushables[i] as Flushable)
      // Time is not looked at for each: that would cost as much as what is flushed.
      if (i % 8 !== 7 || this.#now() <= end) continue
      this.#waiting = flushables.slice(i + 1).concat(this.#waiting)
      break
    }
    if (this.#waiting.length > 0) this.#schedule()
  }

  #flushOne (flushable: Flushable): void {
    flushable.flushing = false
    try {
      flushable.flush()
    } catch (err) {
      this.#log.error({ err }, 'messages could not be sent')
    }
  }
}
