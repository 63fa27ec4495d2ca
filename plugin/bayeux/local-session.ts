import { errors } from '../errors.js'
import type { Message } from '../../schemas/message.js'
import { type Awaitable, andThen, everyInTurn } from './awaitable.js'
import type { CallParameters, CallResult, Delivered, Published } from './channel-types.js'
import type { Timed } from './clock.js'
import { Extensions, type Outgoing } from './extensions.js'
import { type Frame, thaw } from './frame.js'
import { Failure } from './guests.js'
import { type OutgoingMessage, type Reply, ServerMessage } from './message.js'
import { receive } from './receive.js'
import type { CometDServer } from './server.js'
import type { Outlet, ServerSession } from './session.js'

/** What a local session calls with each message that comes to it: a copy of its own. */
export type LocalListener<Data = unknown> = (message: OutgoingMessage<Data>, session: LocalSession) => unknown

/** Sees the messages of a local session, replies among them. What it gives is as for other extensions. */
export interface LocalSessionExtension {
  /** To the client. */
  incoming? (session: LocalSession, message: OutgoingMessage | Reply): Awaitable<Outgoing>
  /** To the server. */
  outgoing? (session: LocalSession, message: Message): Awaitable<Outgoing>
}

interface Call extends Timed {
  settle: (message: OutgoingMessage) => void
}

/**
 * A client in the process of the server: it has a session like any other, which policies, authorizers, extensions and listeners
 * see, but no transport, and it does not expire. What is for it comes later in the same turn of the event loop.
 */
export class LocalSession {
  readonly #server: CometDServer
  readonly #hint: string
  readonly #extensions = new Extensions<LocalSessionExtension>('local session')
  readonly #listeners = new Map<string, readonly LocalListener[]>()
  readonly #subscriptions = new Map<string, readonly LocalListener[]>()
  readonly #calls = new Map<string, Call>()
  #session: ServerSession | undefined
  #lastId = 0

  /** @internal */
  constructor (server: CometDServer, hint: string) {
    this.#server = server
    this.#hint = hint
  }

  /** The server's side of it; undefined before the handshake and when it has ended. */
  get serverSession (): ServerSession | undefined {
    return this.#session
  }

  /** The session's id; undefined before the handshake and when it has ended. */
  get id (): string | undefined {
    return this.#session?.id
  }

  /** Whether it has a session. */
  get connected (): boolean {
    return this.#session !== undefined
  }

  get extensions (): LocalSessionExtension[] {
    return this.#extensions.list
  }

  addExtension (extension: LocalSessionExtension): void {
    this.#extensions.add(extension)
  }

  /** Gives whether the extension was there. */
  removeExtension (extension: LocalSessionExtension): boolean {
    return this.#extensions.remove(extension)
  }

  /**
   * Begins a session, after the end of the one that it had.
   * @param fields of the handshake, such as `ext`
   * @returns the reply; unsuccessful if the policy refused
   */
  async handshake (fields: Message = {}): Promise<Reply> {
    if (this.#session !== undefined) await this.disconnect()
    const session = this.#server.newLocalServerSession(this.#hint)
    const { connectionTypes } = this.#server
    return await this.#send(session, { ...fields, channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: connectionTypes }, () => {
      if (session.state !== 'handshaken') return
      this.#session = session
      this.#subscriptions.clear()
      session.serveBy(this.#outletOf(session))
    })
  }

  /** Calls `listener` with what comes on a channel, or on those that a wildcard matches, also without a subscription. */
  addListener<Name extends string> (channel: Name, listener: LocalListener<Delivered<Name>>): void {
    add(this.#listeners, channel, listener as LocalListener)
  }

  /** Gives whether the listener was there. */
  removeListener<Name extends string> (channel: Name, listener: LocalListener<Delivered<Name>>): boolean {
    return remove(this.#listeners, channel, listener as LocalListener)
  }

  /** Subscribes to a channel or a wildcard, and calls `listener` with what comes. Gives the reply. */
  async subscribe<Name extends string> (channel: Name, listener: LocalListener<Delivered<Name>>): Promise<Reply> {
    return await this.#send(this.#session, { channel: '/meta/subscribe', subscription: channel }, ({ successful }) => {
      if (successful) add(this.#subscriptions, channel, listener as LocalListener)
    })
  }

  /** Takes `listener` away, and the subscription with the last one. Gives the reply, or undefined if none was needed. */
  async unsubscribe<Name extends string> (channel: Name, listener: LocalListener<Delivered<Name>>): Promise<Reply | undefined> {
    if (!remove(this.#subscriptions, channel, listener as LocalListener) || this.#subscriptions.has(channel)) return undefined
    return await this.#send(this.#session, { channel: '/meta/unsubscribe', subscription: channel })
  }

  /** Publishes `data` as a client does. Gives the reply. */
  async publish<Name extends string> (channel: Name, data: Published<Name>): Promise<Reply> {
    return await this.#send(this.#session, { channel, data: data ?? null })
  }

  /**
   * Calls the service that `server.remoteCall(target, …)` offers.
   * @param timeout ms
   * @returns its result
   * @throws COMETD_ERR_REMOTE_CALL_FAILED, with what the service says in `data`
   */
  async remoteCall<Name extends string> (target: Name, parameters?: CallParameters<Name>, timeout = this.#server.options.maxProcessing): Promise<CallResult<Name>> {
    const id = this.#nextId()
    const result = new Promise<OutgoingMessage>(resolve => {
      const call: Call = { tick: -1, settle: resolve, onTime: () => { this.#settle(id, { channel: '', successful: false, data: '406::timeout' }) } }
      this.#calls.set(id, call)
      this.#server.clock.schedule(call, timeout, true)
    })
    await this.#send(this.#session, { channel: `/service/${target}`, data: parameters ?? null }, ({ successful, error }) => {
      if (successful !== true) this.#settle(id, { channel: '', successful: false, data: error })
    }, id)
    const { successful, data } = await result
    if (successful === false) throw Object.assign(new errors.COMETD_ERR_REMOTE_CALL_FAILED(target), { data })
    return data as CallResult<Name>
  }

  /** Sends together what `code`, which may be asynchronous, causes for this session. Gives what `code` gives. */
  batch<T> (code: () => T): T {
    return this.#session === undefined ? code() : this.#session.batch(code)
  }

  /** Ends the session. Gives the reply. */
  async disconnect (): Promise<Reply> {
    return await this.#send(this.#session, { channel: '/meta/disconnect' })
  }

  #outletOf (session: ServerSession): Outlet {
    const flush = (): void => {
      if (session.batching) return
      for (const frame of session.take([], {})) this.#deliver(frame)
    }
    const end = (): void => {
      this.#session = undefined
      for (const id of this.#calls.keys()) this.#settle(id, { channel: '', successful: false, data: '402::session_unknown' })
    }
    return { flushing: false, flush, leave: end, end }
  }

  #nextId (): string {
    return String(++this.#lastId)
  }

  #settle (id: string, message: OutgoingMessage): void {
    const call = this.#calls.get(id)
    if (call === undefined) return
    this.#calls.delete(id)
    this.#server.clock.cancel(call)
    call.settle(message)
  }

  async #send (session: ServerSession | undefined, fields: Message & { channel: string }, then?: (reply: Reply) => void, id = this.#nextId()): Promise<Reply> {
    const reply = await this.#exchange(session, { ...fields, id }) ?? { id, channel: fields.channel, successful: false, error: '404::message_deleted' }
    then?.(reply)
    return reply
  }

  // Gives null if an extension deleted the message or its reply.
  async #exchange (session: ServerSession | undefined, raw: Message): Promise<Reply | null> {
    const left = await this.#extend('outgoing', raw)
    if (left === null) return null
    const message = new ServerMessage(left as Message)
    await receive(this.#server, session, message, undefined)
    const reply = await this.#server.extendReply(session, message.reply, undefined)
    return reply === null ? null : await this.#extend('incoming', reply) as Reply | null
  }

  // Gives what is left of a message, null if it is deleted. One that a failed extension had goes on as it was.
  #extend (way: 'incoming' | 'outgoing', message: object): Awaitable<object | null> {
    let current: object | null = message
    const done = everyInTurn(this.#extensions.list, extension => {
      const code = extension[way]
      if (code === undefined) return true
      return andThen(this.#server.guests.ask(`${way} local session extension`, code, extension, [this, current], undefined), said => {
        if (said === false || said === null) current = null
        else if (typeof said === 'object' && !(said instanceof Failure)) current = said
        return current !== null
      })
    })
    return andThen(done, () => current)
  }

  #deliver (frame: Frame): void {
    const extended = this.#extend('incoming', thaw(frame))
    andThen(extended, left => {
      if (left === null) return
      const message = left as OutgoingMessage
      if (typeof message['id'] === 'string') this.#settle(message['id'], message)
      const names = [message.channel, ...this.#server.channels.locate(message.channel)?.wildNames ?? []]
      const listeners = names.flatMap(name => [...this.#subscriptions.get(name) ?? [], ...this.#listeners.get(name) ?? []])
      this.#server.guests.tell('message', listeners, [message, this])
    })
  }
}

function add (lists: Map<string, readonly LocalListener[]>, channel: string, listener: LocalListener): void {
  lists.set(channel, [...lists.get(channel) ?? [], listener])
}

function remove (lists: Map<string, readonly LocalListener[]>, channel: string, listener: LocalListener): boolean {
  const list = lists.get(channel) ?? []
  const index = list.indexOf(listener)
  if (index === -1) return false
  if (list.length === 1) lists.delete(channel)
  else lists.set(channel, list.toSpliced(index, 1))
  return true
}
