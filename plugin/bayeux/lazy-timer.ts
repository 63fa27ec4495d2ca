import type { Clock, Timed } from './clock.js'

/** When the lazy messages of a session leave at the latest. */
export class LazyTimer implements Timed {
  tick = -1
  due = 0
  readonly #session: { onLazyTime: () => void }

  constructor (session: { onLazyTime: () => void }) {
    this.#session = session
  }

  /** Makes the appointment, unless there is an earlier one. */
  schedule (clock: Clock, milliseconds: number): void {
    if (this.tick === -1 || clock.now() + milliseconds < this.due) clock.schedule(this, milliseconds)
  }

  onTime (): void {
    this.#session.onLazyTime()
  }
}
