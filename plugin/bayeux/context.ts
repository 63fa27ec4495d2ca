import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * What belongs to the message that is being processed. Empty outside a message. The transport that carried the message fills
 * it: see the augmentation in transports/polling.ts.
 */
export interface MessageContext {}

const NOTHING: MessageContext = Object.freeze({})

/** Follows a message through the application's code: its promises, timers and callbacks. */
export class ContextStore {
  readonly #storage = new AsyncLocalStorage<MessageContext>()

  get current (): MessageContext {
    return this.#storage.getStore() ?? NOTHING
  }

  /** Runs `code` as part of the message that `context` belongs to; without one, as part of the message already running. */
  run<T> (context: MessageContext | undefined, code: () => T): T {
    return context === undefined || this.#storage.getStore() === context ? code() : this.#storage.run(context, code)
  }
}
