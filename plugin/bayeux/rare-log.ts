import type { Clock } from './clock.js'
import type { Log } from './environment.js'

const RARELY = 60_000

/** Warnings of what may happen many times a second: each is written once a minute. */
export class RareLog {
  readonly #log: Log
  readonly #clock: Clock
  readonly #written = new Map<string, number>()

  constructor (log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** @param text one of few */
  warn (details: object, text: string): void {
    const now = this.#clock.now()
    if (now - (this.#written.get(text) ?? -Infinity) < RARELY) return
    this.#written.set(text, now)
    this.#log.warn(details, text)
  }
}
