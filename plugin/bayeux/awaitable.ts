/** A value that is there now, or a promise of it. */
export type Awaitable<T> = T | Promise<T>

export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** Goes on with a value: at once if it is there, so that synchronous work is answered in the same tick. */
export function andThen<T, R> (value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isThenable(value) ? (value as Promise<T>).then(next) : next(value)
}

/** Takes the items one after the other for as long as `step` says true. Gives whether all were taken. */
export function everyInTurn<T> (items: readonly T[], step: (item: T) => Awaitable<boolean>, from = 0): Awaitable<boolean> {
  for (let index = from; index < items.length; index++) {
    const goOn = step(items[index] as T)
    if (isThenable(goOn)) {
      return (goOn as Promise<boolean>).then(result => result && everyInTurn(items, step, index + 1))
    }
    if (!goOn) return false
  }
  return true
}

/** Keeps tasks in the order in which they came, although some of them wait for a promise. Tasks must not reject. */
export class Lane {
  #last: Promise<unknown> | undefined

  run<T> (task: () => Awaitable<T>): Awaitable<T> {
    const result = this.#last === undefined ? task() : this.#last.then(task)
    if (!isThenable(result)) return result
    const last = result.then(() => { if (this.#last === last) this.#last = undefined })
    this.#last = last
    return result
  }

  /** Whether a task is waiting, so that the next one has to. */
  get busy (): boolean {
    return this.#last !== undefined
  }
}
