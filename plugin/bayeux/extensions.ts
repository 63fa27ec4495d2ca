import { errors } from '../errors.js'
import { type Awaitable, andThen, everyInTurn } from './awaitable.js'
import type { MessageContext } from './context.js'
import { type Callback, type Guests, LATE } from './guests.js'
import type { OutgoingMessage, Reply, ServerMessage } from './message.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

/**
 * What an extension says of an incoming message: `false` or `null` deletes it, anything else lets it go on. The client gets
 * `404::message_deleted`, or what the extension has put into `message.reply` (`successful: false` and an `error`).
 */
export type Incoming = boolean | null | undefined | void
/** What an extension says of an outgoing message: as for incoming ones; an object takes its place. */
export type Outgoing = Incoming | OutgoingMessage | Reply

/** Sees every message of the server. Functions may be synchronous, give a promise, or declare and call the callback. */
export interface ServerExtension {
  incoming? (server: CometDServer, session: ServerSession, message: ServerMessage, callback: Callback<Incoming>): Awaitable<Incoming>
  /** `sender` is who caused the message, if anybody did; `session` is null for a broadcast, which passes once for all. */
  outgoing? (server: CometDServer, sender: ServerSession | null, session: ServerSession | null, message: OutgoingMessage | Reply, callback: Callback<Outgoing>): Awaitable<Outgoing>
}

/** Sees the messages of one session, after the server's extensions. What it changes in a broadcast, it changes for that session only. */
export interface SessionExtension {
  incoming? (session: ServerSession, message: ServerMessage, callback: Callback<Incoming>): Awaitable<Incoming>
  outgoing? (sender: ServerSession | null, session: ServerSession, message: OutgoingMessage | Reply, callback: Callback<Outgoing>): Awaitable<Outgoing>
}

interface AnyExtension {
  incoming? (...args: never[]): unknown
  outgoing? (...args: never[]): unknown
}

/** The extensions of a server or of a session. The list is replaced, never changed, so it can be walked while it changes. */
export class Extensions<Extension extends AnyExtension> {
  readonly #what: string
  #list: readonly Extension[] = []
  // Outgoing messages pass the extensions in reverse.
  #outgoing: readonly Extension[] = []

  constructor (owner: 'server' | 'session' | 'local session') {
    this.#what = `${owner} extension`
  }

  get list (): Extension[] {
    return this.#list.slice()
  }

  get seeIncoming (): boolean {
    return this.#list.length > 0
  }

  get seeOutgoing (): boolean {
    return this.#outgoing.length > 0
  }

  add (extension: Extension): void {
    if (typeof extension !== 'object' || extension === null) throw new errors.COMETD_ERR_HANDLER_INVALID(`a ${this.#what}`, 'an object')
    this.#set([...this.#list, extension])
  }

  remove (extension: Extension): boolean {
    const index = this.#list.indexOf(extension)
    if (index === -1) return false
    this.#set(this.#list.toSpliced(index, 1))
    return true
  }

  /** Gives whether the message goes on; when it does not, its reply says why. */
  incoming (guests: Guests, args: readonly unknown[], message: ServerMessage, context: MessageContext | undefined): Awaitable<boolean> {
    return everyInTurn(this.#list, extension => {
      if (extension.incoming === undefined) return true
      const verdict = guests.ask(`incoming ${this.#what}`, extension.incoming, extension, [...args, message], context)
      return andThen(verdict, result => {
        if (result === LATE) message.refuse(LATE.error)
        else if (result === false || result === null) message.veto()
        else return true
        return false
      })
    })
  }

  /** Gives what is left of the message, null if it is deleted, `late` if an extension did not answer in time. */
  outgoing<T extends OutgoingMessage | Reply> (guests: Guests, args: readonly unknown[], message: T, context: MessageContext | undefined, late: T | null = null): Awaitable<T | null> {
    let current: T | null = message
    const done = everyInTurn(this.#outgoing, extension => {
      const verdict = guests.ask(`outgoing ${this.#what}`, extension.outgoing as NonNullable<Extension['outgoing']>, extension, [...args, current], context)
      return andThen(verdict, result => {
        if (result === LATE || result === false || result === null) {
          current = result === LATE ? late : null
          return false
        }
        if (isMessage(result)) current = result as T
        return true
      })
    })
    return andThen(done, () => current)
  }

  #set (list: readonly Extension[]): void {
    this.#list = list
    this.#outgoing = list.filter(extension => extension.outgoing !== undefined).reverse()
  }
}

// A failed extension has been logged, and the message goes on as it was.
function isMessage (result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'channel' in result
}
