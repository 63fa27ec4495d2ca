import type { TimeSource } from '../bayeux/clock.js'

export interface TestClockOptions {
  /** What `date()` is at the beginning. Default: 2000-01-01T00:00:00.000Z. */
  date?: Date | number
}

interface Timer {
  readonly due: number
  readonly callback: () => void
}

const FIRST_DATE = Date.UTC(2000, 0, 1)
const MOST_TURNS = 100

/** A clock that stands still until it is advanced, for the option `clock`. It keeps no process alive. */
export class TestClock implements TimeSource {
  readonly #timers = new Set<Timer>()
  readonly #firstDate: number
  #now = 0
  #advanced: Promise<void> = Promise.resolve()

  /** @internal */
  constructor (date: Date | number) {
    this.#firstDate = Number(date)
  }

  /** Milliseconds since the clock was made. */
  now (): number {
    return this.#now
  }

  /** Milliseconds since 1970. */
  date (): number {
    return this.#firstDate + this.#now
  }

  /** Calls `callback` in `milliseconds`, 1 at least. Gives what `clearTimeout` takes. */
  setTimeout (callback: () => void, milliseconds: number): unknown {
    const timer: Timer = { due: this.#now + Math.max(milliseconds, 1), callback }
    this.#timers.add(timer)
    return timer
  }

  clearTimeout (handle: unknown): void {
    this.#timers.delete(handle as Timer)
  }

  /**
   * Lets time pass. What falls due is called in order, each at its time; what that brings about in memory happens before time
   * goes on and before this resolves. `advance(0)` lets happen what is under way. What takes real time is not waited for.
   * @param milliseconds 0 or more
   * @throws RangeError for any other number; rejects with what a callback throws
   */
  async advance (milliseconds: number): Promise<void> {
    if (!(milliseconds >= 0 && milliseconds < Infinity)) throw new RangeError(`a clock cannot be advanced by ${milliseconds} ms`)
    const advanced = this.#advanced.then(async () => await this.#run(milliseconds))
    this.#advanced = advanced.catch(() => {})
    await advanced
  }

  async #run (milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds
    await settle()
    for (let timer = this.#nextUntil(end); timer !== undefined; timer = this.#nextUntil(end)) {
      this.#timers.delete(timer)
      this.#now = timer.due
      timer.callback()
      await settle()
    }
    this.#now = end
  }

  #nextUntil (end: number): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.due <= end && timer.due < (next?.due ?? Infinity)) next = timer
    }
    return next
  }
}

/** Makes a clock for tests. */
export function createTestClock ({ date = FIRST_DATE }: TestClockOptions = {}): TestClock {
  return new TestClock(date)
}

// What happens in memory goes on by setImmediate from one turn of the event loop to the next: a request is read in one, what it
// publishes leaves in another. As long as such a call is pending, something is under way; with some clients that never ends.
async function settle (): Promise<void> {
  await new Promise<void>(resolve => {
    let turns = 0
    const turn = (): void => {
      const quiet = !process.getActiveResourcesInfo().includes('Immediate')
      if (quiet || ++turns === MOST_TURNS) resolve()
      else setImmediate(turn)
    }
    setImmediate(turn)
  })
}
