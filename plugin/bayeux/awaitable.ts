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
export function everyInTurn<T> (items: Iterable<T>, step: (item: T) => Awaitable<boolean>): Awaitable<boolean> {
  return goOnInTurn(items[Symbol.iterator](), step)
}

function goOnInTurn<T> (items: Iterator<T>, step: (item: T) => Awaitable<boolean>): Awaitable<boolean> {
  for (let next = items.next(); next.done !== true; next = items.next()) {
    const goOn = step(next.value)
    if (isThenable(goOn)) return (goOn as Promise<boolean>).then(result => result && goOnInTurn(items, step))
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
}

/** Has what follows something begin in the order in which that began, although some of it waits for a promise. */
export class Sequence {
  readonly #whenIdle: () => void
  #last: Promise<unknown> | undefined

  /** @param whenIdle is called when nothing waits any more */
  constructor (whenIdle: () => void) {
    this.#whenIdle = whenIdle
  }

  /** Calls `next` with `value` once it is there and what came before has been called. `value` must not reject, nor `next` throw. */
  async andThen<T, R> (value: Awaitable<T>, next: (value: T) => Awaitable<R>): Promise<R> {
    // In an object: what `next` gives is not waited for by what comes after it.
    const called = Promise.all([value, this.#last]).then(([value]) => ({ given: next(value) }))
    this.#last = called
    const { given } = await called
    if (this.#last === called) this.#whenIdle()
    return await given
  }
}
