import { AsyncResource } from 'node:async_hooks'
import type { MessageContext } from '../bayeux/context.js'
import type { ServerMessage } from '../bayeux/message.js'
import type { Hold, ReleaseCause } from '../bayeux/session.js'

/** Who answers a held connect. */
export interface Holder {
  resume (held: HeldConnect, cause: ReleaseCause): void
}

/** A held `/meta/connect`. What happens when it is let go belongs to its own message, not to the one that lets it go. */
export class HeldConnect implements Hold {
  readonly transport: { held: number }
  readonly message: ServerMessage
  readonly context: MessageContext
  readonly #holder: Holder
  readonly #scope: AsyncResource

  constructor (transport: { held: number }, holder: Holder, message: ServerMessage, context: MessageContext, scope = new AsyncResource('fastify-cometd.connect')) {
    this.transport = transport
    this.#holder = holder
    this.#scope = scope
    this.message = message
    this.context = context
  }

  release (cause: ReleaseCause): void {
    this.#scope.runInAsyncScope(this.#holder.resume, this.#holder, this, cause)
  }
}
