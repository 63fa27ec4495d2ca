import type { MessageContext } from './context.js'
import { diagnostics } from './diagnostics.js'
import { type Frame, freeze } from './frame.js'
import type { ServerMessage } from './message.js'
import { errorOfEnd } from './refusals.js'
import type { CometDServer } from './server.js'
import { CAUSES, type RemovalReason, type ServerSession } from './session.js'

/** The directory of a server: its sessions, and those that have ended and are to be told so. */
export class Sessions {
  readonly #server: CometDServer
  readonly #byId = new Map<string, ServerSession>()
  // Sessions that the server ended between two connects: the next one is told.
  readonly #farewells = new Map<string, ServerSession>()

  constructor (server: CometDServer) {
    this.#server = server
  }

  get all (): ServerSession[] {
    return [...this.#byId.values()]
  }

  get (id: string): ServerSession | undefined {
    return this.#byId.get(id)
  }

  /**
   * The session of that id for a client that comes with it, also one that is to be told of its end. The id alone is good for
   * nothing if the session is bound: then the client must have come with the key, too.
   */
  find (id: string | undefined, key: string | undefined): ServerSession | undefined {
    if (id === undefined) return undefined
    const session = this.#byId.get(id) ?? this.#farewells.get(id)
    // Nobody outside has it.
    if (session?.local) return undefined
    if (session?.binding === undefined || session.binding.key === key || this.#server.options.trustClientSession) return session
    return undefined
  }

  /** The limit that keeps one more session out, if one does. */
  limitFor (session: ServerSession): string | undefined {
    if (session.local) return undefined
    if (this.#byId.size >= this.#server.options.maxSessions) return 'max_sessions'
    return session.binding?.full ? 'max_sessions_per_cookie' : undefined
  }

  add (session: ServerSession, message: ServerMessage, context: MessageContext | undefined): void {
    this.#byId.set(session.id, session)
    session.begin()
    this.#server.counters.handshakes++
    this.#server.log.debug({ session: session.id }, 'session added')
    if (diagnostics.sessionAdded.hasSubscribers) diagnostics.sessionAdded.publish({ server: this.#server, session, message })
    this.#server.tell('sessionAdded', [session, message], context)
  }

  /** Gives whether the session was there. */
  remove (session: ServerSession, reason: RemovalReason, context?: MessageContext, farewell?: Frame): boolean {
    if (!this.#byId.delete(session.id)) return false
    this.#server.log.debug({ session: session.id, reason }, 'session removed')
    if (diagnostics.sessionRemoved.hasSubscribers) diagnostics.sessionRemoved.publish({ server: this.#server, session, reason })
    this.#server.tell('sessionRemoved', [session, reason === 'timeout', reason], context)
    session.end(reason, context)
    session.binding?.leave()
    this.#server.clock.cancel(session)
    const { outlet } = session
    if (farewell !== undefined && outlet === undefined) session.push(farewell)
    if (session.held) session.release(CAUSES[reason])
    else if (farewell !== undefined) this.#remember(session)
    outlet?.end(reason, farewell)
    return true
  }

  disconnect (session: ServerSession): boolean {
    return this.remove(session, 'disconnect', undefined, freeze({ channel: '/meta/disconnect', successful: true }))
  }

  /** Ends a session whose client is not to come back, and is told so. */
  end (session: ServerSession, reason: 'identityExpired' | 'revoked'): void {
    const { held, outlet } = session
    // It is told once: by the answer to its connect, at once if there is one, or over its socket.
    const farewell = held || outlet === undefined ? undefined : freeze({ channel: '/meta/disconnect', successful: false, error: errorOfEnd(reason) })
    const removed = this.remove(session, reason, undefined, farewell)
    if (removed && !held && outlet === undefined) this.#remember(session)
  }

  /** The time of a session has run out. */
  expire (session: ServerSession): void {
    this.#server.counters.messagesDropped += session.queueLength
    if (this.#farewells.delete(session.id)) return
    this.#server.counters.expiries++
    this.remove(session, 'timeout')
  }

  /** Takes a disconnected session for the last time. */
  bidFarewell (session: ServerSession): boolean {
    this.#server.clock.cancel(session)
    return this.#farewells.delete(session.id)
  }

  /** Ends all sessions: the server is being closed. */
  close (): void {
    for (const session of this.all) this.remove(session, 'close')
    this.#farewells.clear()
  }

  // Until its next connect, which is told.
  #remember (session: ServerSession): void {
    if (session.local) return
    this.#farewells.set(session.id, session)
    this.#server.clock.schedule(session, session.patience)
  }
}
