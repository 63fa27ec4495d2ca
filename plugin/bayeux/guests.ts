import { errors } from '../errors.js'
import { type Awaitable, andThen, isThenable } from './awaitable.js'
import type { Clock, Timed } from './clock.js'
import type { ContextStore, MessageContext } from './context.js'
import type { Log } from './environment.js'

// How deep the application's code may call itself through the server: a listener that publishes what it listens to has no end.
const DEEPEST = 64

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
  readonly #defer: (code: () => void) => void
  #depth = 0

  /** @param defer runs code later in this turn of the event loop */
  constructor (clock: Clock, log: Log, context: ContextStore, limits: { readonly maxProcessing: number }, defer: (code: () => void) => void) {
    this.#clock = clock
    this.#log = log
    this.#context = context
    this.#limits = limits
    this.#defer = defer
  }

  /** Asks `code` for a result. `what` names it in the log. */
  ask (what: string, code: UserFunction, self: unknown, args: readonly unknown[], context: MessageContext | undefined): Awaitable<unknown | Failure> {
    try {
      const result = this.#call(context, () => this.#invoke(what, code, self, args))
      return isThenable(result) ? this.#await(what, result) : result
    } catch (err) {
      return this.#threw(what, err)
    }
  }

  /** Tells `listeners` of something. Their results are not waited for. */
  tell (event: string, listeners: readonly UserFunction[], args: readonly unknown[], context?: MessageContext): void {
    if (listeners.length === 0) return
    // Telling can wait: so listeners that end one session after the other, each within the last, come to all of them.
    if (this.#depth >= DEEPEST) return this.#defer(() => this.tell(event, listeners, args, context))
    for (const listener of listeners) this.#tell(`listener of '${event}'`, listener, args, context)
  }

  /** Asks `listeners` for a decision that cannot wait. The first that has one decides; failures are logged and count as none. */
  decide<T> (event: string, listeners: ReadonlyArray<(...args: never[]) => T>, args: readonly unknown[], context: MessageContext | undefined): T | undefined {
    for (const listener of listeners) {
      try {
        const decision = now(`the listener of '${event}'`, this.#call(context, () => (listener as (...args: unknown[]) => T)(...args)))
        if (decision !== undefined) return decision
      } catch (err) {
        this.#threw(`listener of '${event}'`, err)
      }
    }
    return undefined
  }

  /** Calls a callback of the application, of which nothing more is expected. */
  callBack<T> (callback: Callback<T>, error: unknown, result?: T): void {
    this.#tell('callback', callback, error === undefined ? [undefined, result] : [error])
  }

  /** Runs `task` for a caller who may want its outcome, or what it throws, by callback. */
  tellCaller (task: () => Awaitable<boolean>, callback: Callback<boolean> | undefined): Awaitable<boolean> {
    if (callback === undefined) return task()
    let outcome: Awaitable<boolean>
    try {
      outcome = task()
    } catch (err) {
      this.callBack(callback, err)
      return false
    }
    return andThen(outcome, result => {
      this.callBack(callback, undefined, result)
      return result
    })
  }

  #tell (what: string, code: UserFunction, args: readonly unknown[], context?: MessageContext): void {
    try {
      const result = this.#call(context, () => (code as Answer)(...args))
      if (isThenable(result)) this.#logRejection(what, result)
    } catch (err) {
      this.#threw(what, err)
    }
  }

  #call<T> (context: MessageContext | undefined, code: () => T): T {
    if (this.#depth >= DEEPEST) throw new errors.COMETD_ERR_CALLS_NESTED(DEEPEST)
    this.#depth++
    try {
      return this.#context.run(context, code)
    } finally {
      this.#depth--
    }
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
      // Not every thenable keeps the promise of never throwing.
      Promise.resolve(result).then(settle, err => settle(this.#threw(what, err)))
    })
  }

  #logRejection (what: string, result: PromiseLike<unknown>): void {
    Promise.resolve(result).then(undefined, err => this.#threw(what, err))
  }

  #threw (what: string, err: unknown): Failure {
    this.#log.error({ err }, `${what} failed`)
    return THREW
  }
}

/**
 * What application code gave where nobody waits.
 * @throws COMETD_ERR_HANDLER_INVALID if it is a promise, whose failure then ends nothing
 */
export function now<T> (what: string, value: T): T {
  if (!isThenable(value)) return value
  Promise.resolve(value).catch(() => {})
  throw new errors.COMETD_ERR_HANDLER_INVALID(what, 'synchronous')
}
