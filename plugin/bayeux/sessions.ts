import type { MessageContext } from './context.js'
import { diagnostics } from './diagnostics.js'
import { type Frame, freeze } from './frame.js'
import type { ServerMessage } from './message.js'
import { isSameUser } from './identity.js'
import { errorOfEnd } from './refusals.js'
import type { CometDServer } from './server.js'
import { CAUSES, type RemovalReason, type ServerSession } from './session.js'

/** What a client comes with that wants to use a session. */
export interface Proof {
  /** What it knows: one of these has to be what the session is bound to. */
  readonly keys: readonly string[]
  /** Who it is, as the hooks of the application say; not an object: they do not. */
  readonly user: unknown
  /** Whether it has a connection of its own. A session without a binding can only be used over one: anybody can send a request. */
  readonly connected: boolean
}

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
   * nothing, unless the session is bound to nothing else: see `Proof`.
   */
  find (id: string | undefined, proof: Proof): ServerSession | undefined {
    if (id === undefined) return undefined
    const session = this.#byId.get(id) ?? this.#farewells.get(id)
    // Nobody outside has a local one.
    if (session === undefined || session.local || !this.#isProved(session, proof)) return undefined
    return isSameUser(session.user, proof.user) ? session : undefined
  }

  /** Whether there is a session of that id that the client cannot use since it lacks what the session is bound to. */
  isKeptFrom (id: string | undefined, proof: Proof): boolean {
    const session = id === undefined ? undefined : this.#byId.get(id)
    return session !== undefined && !session.local && !this.#isProved(session, proof)
  }

  /** The limit that keeps one more session out, if one does. */
  limitFor (session: ServerSession): string | undefined {
    if (session.local) return undefined
    const { options, parties } = this.#server
    if (this.#byId.size >= options.maxSessions) return 'max_sessions'
    if (parties.count(session.address, 'sessions') >= options.maxSessionsPerAddress) return 'max_sessions_per_address'
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
    if (session.party !== undefined) this.#server.parties.leave(session.party, 'sessions')
    this.#server.clock.cancel(session)
    const { outlet } = session
    if (farewell !== undefined && outlet === undefined) session.push(farewell)
    if (session.held) session.release(reason === 'disconnect' && farewell !== undefined ? 'disconnected' : CAUSES[reason])
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
  async close (): Promise<void> {
    this.#farewells.clear()
    await this.#server.turns.each(this.all, session => { this.remove(session, 'close') })
  }

  #isProved ({ binding }: ServerSession, { keys, connected }: Proof): boolean {
    if (this.#server.options.trustClientSession) return true
    return binding === undefined ? connected : keys.includes(binding.key)
  }

  // Until its next connect, which is told.
  #remember (session: ServerSession): void {
    if (session.local) return
    this.#farewells.set(session.id, session)
    this.#server.clock.schedule(session, session.patience)
  }
}
