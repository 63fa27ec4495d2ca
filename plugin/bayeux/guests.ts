import { errors } from '../errors.js'
import { type Awaitable, andThen, isThenable } from './awaitable.js'
import type { Clock, Timed } from './clock.js'
import type { ContextStore, MessageContext } from './context.js'
import type { Log } from './environment.js'

/** Node's callback: an error, or undefined or null and a result. */
export type Callback<T> = (error?: unknown, result?: T) => void

// Functions of the application are called with arguments that their own types describe.
type UserFunction = (...args: never[]) => unknown
type Answer = (...args: unknown[]) => unknown

/** Why the application's code gave no result. */
export class Failure {
  readonly error: string

  constructor (error: string) {
    this.error = error
  }
}

const THREW = new Failure('500::internal_error')
/** The code did not answer within `maxProcessing`. */
export const LATE = new Failure('503::processing_timeout')

/**
 * Calls the application's code: listeners, policies, extensions. They may be synchronous, give a promise, or declare a last
 * callback parameter; may throw, and may never answer. A failure is logged here and never thrown through.
 */
export class Guests {
  readonly #clock: Clock
  readonly #log: Log
  readonly #context: ContextStore
  readonly #limits: { readonly maxProcessing: number }

  constructor (clock: Clock, log: Log, context: ContextStore, limits: { readonly maxProcessing: number }) {
    this.#clock = clock
    this.#log = log
    this.#context = context
    this.#limits = limits
  }

  /** Asks `code` for a result. `what` names it in the log. */
  ask (what: string, code: UserFunction, self: unknown, args: readonly unknown[], context: MessageContext | undefined): Awaitable<unknown | Failure> {
    try {
      const result = this.#context.run(context, () => this.#invoke(what, code, self, args))
      return isThenable(result) ? this.#await(what, result) : result
    } catch (err) {
      return this.#threw(what, err)
    }
  }

  /** Tells `listeners` of something. Their results are not waited for. */
  tell (event: string, listeners: readonly UserFunction[], args: readonly unknown[], context?: MessageContext): void {
    for (const listener of listeners) {
      try {
        const result = this.#context.run(context, () => (listener as Answer)(...args))
        if (isThenable(result)) this.#logRejection(`listener of '${event}'`, result)
      } catch (err) {
        this.#threw(`listener of '${event}'`, err)
      }
    }
  }

  /** Asks `listeners` for a decision that cannot wait. The first that has one decides; failures are logged and count as none. */
  decide<T> (event: string, listeners: ReadonlyArray<(...args: never[]) => T>, args: readonly unknown[], context: MessageContext | undefined): T | undefined {
    for (const listener of listeners) {
      try {
        const decision = this.#context.run(context, () => (listener as (...args: unknown[]) => T)(...args))
        if (decision !== undefined) return decision
      } catch (err) {
        this.#threw(`listener of '${event}'`, err)
      }
    }
    return undefined
  }

  #invoke (what: string, code: UserFunction, self: unknown, args: readonly unknown[]): unknown {
    if (code.length <= args.length) return Reflect.apply(code, self, args)

    let answer: { error: unknown, result: unknown } | undefined
    let answered = (error: unknown, result: unknown): void => { answer = { error, result } }
    const returned = Reflect.apply(code as Answer, self, [...args, (error: unknown, result: unknown) => answered(error, result)])
    if (isThenable(returned)) this.#logRejection(what, returned)
    if (answer !== undefined) {
      if (answer.error != null) throw answer.error
      return answer.result
    }
    return new Promise((resolve, reject) => {
      answered = (error, result) => error == null ? resolve(result) : reject(error)
      // A callback that never comes because its async function failed need not be waited for.
      if (isThenable(returned)) returned.then(undefined, () => resolve(THREW))
    })
  }

  #await (what: string, result: PromiseLike<unknown>): Promise<unknown | Failure> {
    return new Promise(resolve => {
      const limit = this.#limits.maxProcessing
      const deadline: Timed = {
        tick: -1,
        onTime: () => {
          this.#log.error({ err: new errors.COMETD_ERR_PROCESSING_TIMEOUT(what, limit) }, `${what} was cut off`)
          resolve(LATE)
        }
      }
      this.#clock.schedule(deadline, limit, true)
      const settle = (value: unknown): void => {
        this.#clock.cancel(deadline)
        resolve(value)
      }
      result.then(settle, err => settle(this.#threw(what, err)))
    })
  }

  #logRejection (what: string, result: PromiseLike<unknown>): void {
    result.then(undefined, err => this.#threw(what, err))
  }

  #threw (what: string, err: unknown): Failure {
    this.#log.error({ err }, `${what} failed`)
    return THREW
  }
}

/** Runs `task` for a caller who may want its outcome, or what it throws, by callback. */
export function tellCaller (task: () => Awaitable<boolean>, callback: Callback<boolean> | undefined): Awaitable<boolean> {
  if (callback === undefined) return task()
  let outcome: Awaitable<boolean>
  try {
    outcome = task()
  } catch (err) {
    callback(err)
    return false
  }
  return andThen(outcome, result => {
    callback(undefined, result)
    return result
  })
}
