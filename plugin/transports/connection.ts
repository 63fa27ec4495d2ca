import type { FastifyRequest } from 'fastify'
import { AsyncResource } from 'node:async_hooks'
import type { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import type { Message, RequestBody } from '../../schemas/message.js'
import type { ServerOptions } from '../../schemas/options.js'
import { andThen, type Awaitable, everyInTurn, isThenable, Lane } from '../bayeux/awaitable.js'
import { Batch } from '../bayeux/batch.js'
import type { Timed } from '../bayeux/clock.js'
import type { MessageContext } from '../bayeux/context.js'
import { settle } from '../bayeux/endings.js'
import { Frame, thaw } from '../bayeux/frame.js'
import { type Reply, ServerMessage } from '../bayeux/message.js'
import { partyAddress } from '../bayeux/parties.js'
import { fitting } from '../bayeux/queue.js'
import { receive } from '../bayeux/receive.js'
import { SafeLog } from '../bayeux/safe-log.js'
import type { Outlet, ReleaseCause, RemovalReason, ServerSession } from '../bayeux/session.js'
import type { Proof } from '../bayeux/sessions.js'
import { errors } from '../errors.js'
import { faultIn, isShallow, messagesOf } from './batch.js'
import { userOf } from './exchange.js'
import { HeldConnect, type Holder } from './held-connect.js'
import { Payload } from './payloads.js'
import { replyText } from './reply-text.js'
import { SocketWriter } from './socket-writer.js'
import type { WebSocketTransport } from './websocket.js'

/** RFC 6455, 7.4.1. */
export const GOING_AWAY = 1001
export const CLOSED = 'server closed'

const NO_FRAMES: readonly Frame[] = []
// Bytes: the answer to a connect with advice and what extensions add.
const ROOM_FOR_REPLIES = 1_024
// Bytes that any client takes.
const SMALL = 16_384
const NORMAL = 1000
const UNSUPPORTED_DATA = 1003
const INVALID_PAYLOAD = 1007
const POLICY_VIOLATION = 1008
const TOO_BIG = 1009
const INTERNAL_ERROR = 1011

/** One WebSocket. It serves one session at a time. */
export class Connection extends AsyncResource implements Holder, Outlet, Timed {
  tick = -1
  due = 0
  awaited = false
  flushing = false

  readonly #transport: WebSocketTransport
  readonly #ws: WebSocket
  readonly #log: SafeLog
  readonly #context: MessageContext
  readonly #proof: Proof
  readonly #writer: SocketWriter
  readonly #incoming = new Lane()
  readonly #outgoing = new Lane()
  // What is being processed, and the replies that are still with an extension.
  #busy = 0
  #session: ServerSession | undefined
  // Whether the client has read its clientId: messages are pushed from the first one on that it sends with it.
  #greeted = false
  #held: HeldConnect | undefined
  #replies: Reply[] = []
  #answersConnect = false
  #closing: { code: number, reason: string } | undefined
  #closed = false
  #stalled = false
  // Bytes of the largest WebSocket message, and the first event in it; small ones do not count.
  #largest = SMALL
  #largestFrame: WeakRef<Frame> | undefined

  constructor (transport: WebSocketTransport, ws: WebSocket, request: FastifyRequest, context: MessageContext) {
    super('fastify-cometd.socket')
    this.#transport = transport
    this.#ws = ws
    this.#log = new SafeLog(request.log)
    this.#context = context
    this.#proof = { keys: transport.browsers.keysOf(request), user: userOf(request), connected: true }
    this.#writer = new SocketWriter(ws, request.raw.socket as Socket | undefined, () => this.#onWritten())
    // ws closes the socket by itself after an error.
    ws.removeAllListeners('error')
    ws.on('error', err => { this.#log.debug({ err }, 'WebSocket failed') })
    ws.on('message', (data, isBinary) => { this.runInAsyncScope(this.#receive, this, data, isBinary) })
    ws.on('close', code => { this.runInAsyncScope(this.#left, this, code) })
    transport.server.clock.schedule(this, this.#options.handshakeTimeout)
  }

  /** The time for a handshake, or for a message, is over. */
  onTime (): void {
    if (this.#session === undefined) this.close(POLICY_VIOLATION, 'handshake timeout')
    else this.close(GOING_AWAY, 'idle timeout')
  }

  /** Sends what is queued and what was answered, as far as the socket takes it. */
  flush (): void {
    this.#guard(() => {
      if (this.#closed || this.#writer.gone) return
      if (this.#closing !== undefined && this.#busy === 0) return this.#finish(this.#closing)
      while (this.#isWritable) {
        if (this.#replies.length === 0 && !this.#hasEvents) return
        this.#send()
      }
      this.#stalled = true
      this.#regulate()
    })
  }

  /** Closes the socket when what is being processed is answered, and what is queued is sent. */
  close (code: number, reason: string): void {
    if (this.#closing !== undefined) return
    this.#closing = { code, reason }
    this.#transport.server.turns.flushLater(this)
  }

  /** Gives the socket up. */
  terminate (): void {
    this.#ws.terminate()
  }

  leave (): void {
    const session = this.#session as ServerSession
    this.#session = undefined
    const unsent = this.#writer.takeUnsent()
    session.restore(unsent)
    if (unsent.length > 0) this.terminate()
    else this.close(NORMAL, 'session continued elsewhere')
  }

  end (reason: RemovalReason, farewell: Frame | undefined): void {
    if (farewell !== undefined) this.#do(this.#outgoing.run(() => { this.#replies.push(thaw(farewell)) }))
    if (reason === 'close') this.close(GOING_AWAY, CLOSED)
    else this.close(NORMAL, 'session ended')
  }

  /** The held connect was let go. */
  resume (held: HeldConnect, cause: ReleaseCause): void {
    this.#held = undefined
    // The client has given it up: it waits for the newer one only.
    if (cause === 'displaced') return
    settle(this.#transport.server, this.#session as ServerSession, held.message, cause)
    const answered = this.#answer(this.#session, held.message, true)
    // Messages have waited for the end of the turn already.
    if (cause === 'messages' && !isThenable(answered)) this.flush()
    else this.#do(answered)
  }

  get #options (): ServerOptions {
    return this.#transport.server.options
  }

  get #isWritable (): boolean {
    return this.#writer.buffered <= this.#options.highWaterMark
  }

  #receive (data: RawData, isBinary: boolean): void {
    if (this.#closing !== undefined) return
    this.#transport.server.counters.bytesIn += (data as Buffer).length
    // Read when its turn has come: until then, it takes no more memory than it came with.
    this.#do(this.#incoming.run(() => this.#guard(() => this.#read(data as Buffer, isBinary))))
  }

  #read (data: Buffer, isBinary: boolean): Awaitable<unknown> {
    if (this.#closing !== undefined) return
    if (isBinary) return this.#violate(UNSUPPORTED_DATA, 'binary message')
    if (data.length > this.#transport.maxMessageSize) return this.#violate(TOO_BIG, 'message too big')
    let body: unknown
    try {
      body = this.#transport.readJson(data.toString())
    } catch (err) {
      if (err instanceof errors.COMETD_ERR_TOO_MANY_MESSAGES) return this.#violate(POLICY_VIOLATION, 'too many messages')
      if (err instanceof errors.COMETD_ERR_TOO_MANY_VALUES) return this.#violate(POLICY_VIOLATION, 'too many values')
      return this.#violate(INVALID_PAYLOAD, 'malformed JSON')
    }
    const fault = faultIn(body)
    if (fault !== undefined) return this.#violate(POLICY_VIOLATION, 'not Bayeux messages')
    if (this.#session !== undefined) this.#transport.server.clock.schedule(this, this.#options.idleTimeout)
    const messages = messagesOf(body as RequestBody)
    // Old clients send an empty array to tell that they are there.
    if (messages.length === 0) return this.#session?.armExpiry()
    const batch = new Batch(messages.length, data.length, isShallow(body as object))
    const alone = messages.length === 1
    return everyInTurn(messages, raw => andThen(this.#process(raw, batch, alone), () => true))
  }

  #process (raw: Message, batch: Batch, alone: boolean): Awaitable<void> {
    const message = new ServerMessage(raw, batch)
    if (raw.channel === '/meta/handshake') return this.#handshake(message)

    const { server } = this.#transport
    const session = this.#sessionOf(message)
    const connects = raw.channel === '/meta/connect'
    if (session?.removed === false) this.#serve(session, connects)
    return andThen(receive(server, session, message, this.#context), () => {
      const connected = connects && message.reply.successful === true
      if (connected && alone && message.holdFor > 0 && this.#mayHold(session as ServerSession)) {
        this.#held = new HeldConnect(this.#transport, this, message, this.#context, this)
        session?.hold(this.#held, message.holdFor)
        return
      }
      if (message.reply.successful === false && session?.heedless) this.#violate(POLICY_VIOLATION, 'publishing too fast')
      return this.#answer(session, message, connected)
    })
  }

  #handshake (message: ServerMessage): Awaitable<void> {
    const { server, browsers } = this.#transport
    const { keys, user } = this.#proof
    const { ip, headers } = this.#context.request as FastifyRequest
    // injectWS has none.
    const address = partyAddress(ip as string | undefined)
    const session = server.newSession({ binding: browsers.ofSound(keys, address), address, user, userAgent: headers['user-agent'] })
    return andThen(receive(server, session, message, this.#context), () => {
      if (session.state === 'handshaken' && !this.#closed) this.#bind(session, false)
      return andThen(this.#answer(session, message, false), () => {
        if (session.allowMessageDeliveryDuringHandshake && session === this.#session) this.#welcome(session)
        this.flush()
      })
    })
  }

  // What was delivered during the handshake follows its reply, which says how much it is.
  #welcome (session: ServerSession): void {
    const reply = this.#replies.find(({ channel, successful }) => channel === '/meta/handshake' && successful === true)
    if (reply === undefined || session.queueLength === 0) return
    const replies = this.#replies
    this.#replies = []
    const frames = session.take(replies, this.#context, this.#options.highWaterMark)
    reply['x-messages'] = frames.length
    this.#writer.together(() => {
      this.#writeReplies(replies.map(reply => replyText(reply, this.#log)))
      this.#writeEvents(frames)
    })
  }

  // One session to a socket: once it has one, other ids are refused.
  #sessionOf ({ clientId }: ServerMessage): ServerSession | undefined {
    const bound = this.#session
    if (bound !== undefined) return clientId === undefined || clientId === bound.id ? bound : undefined
    return this.#options.requireHandshakePerConnection ? undefined : this.#transport.server.sessions.find(clientId, this.#proof)
  }

  #bind (session: ServerSession, greeted: boolean): void {
    const { server } = this.#transport
    const former = this.#session
    const held = this.#held
    this.#held = undefined
    this.#session = session
    this.#greeted = greeted
    server.clock.schedule(this, this.#options.idleTimeout)
    session.serveBy(this)
    if (former === undefined) return
    // A second handshake on the same socket: the client has given up the session that it had.
    former.lose(this, held, this.#writer.takeUnsent())
    server.sessions.remove(former, 'disconnect', this.#context)
  }

  #serve (session: ServerSession, connects: boolean): void {
    if (this.#closed) return
    if (session !== this.#session) this.#bind(session, true)
    if (connects) session.release('displaced')
    if (this.#greeted) return
    this.#greeted = true
    this.#transport.server.turns.flushLater(this)
  }

  #mayHold (session: ServerSession): boolean {
    if (session.removed || session.outlet !== this) return false
    return session.pushes || session.batching || !session.urgent
  }

  #answer (session: ServerSession | undefined, message: ServerMessage, connects: boolean): Awaitable<void> {
    const { server } = this.#transport
    return this.#outgoing.run(() => this.#guard(() => andThen(server.extendReply(session, message.reply, this.#context), reply => {
      if (reply !== null) this.#reply(reply)
      if (!connects) return
      this.#answersConnect = true
      session?.armExpiry()
    })) as Awaitable<void>)
  }

  #reply (reply: Reply): void {
    if (reply.successful === false) {
      const code = this.#transport.server.counters.refused(reply.error)
      this.#log.debug({ session: this.#session?.id, codes: [code] }, 'message refused')
    }
    this.#replies.push(reply)
  }

  // Counts what is going on: the socket is not read meanwhile, and not closed before.
  #do (work: Awaitable<unknown>): void {
    const { server } = this.#transport
    if (!isThenable(work)) return server.turns.flushLater(this)
    this.#busy++
    this.#regulate()
    ;(work as Promise<unknown>).then(() => {
      this.#busy--
      this.#regulate()
      server.turns.flushLater(this)
    })
  }

  get #mayTake (): boolean {
    const session = this.#session
    return session !== undefined && this.#greeted && !session.batching && (session.pushes || this.#answersConnect)
  }

  get #hasEvents (): boolean {
    return this.#mayTake && (this.#session as ServerSession).queueLength > 0
  }

  // Events first; replies with the last of them, as far as they are pushed. `bytes`: what is taken of the queue.
  #send (bytes = this.#options.bytesPerFrame): void {
    const session = this.#mayTake ? this.#session : undefined
    const replies = this.#replies
    // Events and the reply that confirms them are to come together or not at all.
    const room = replies.length === 0 ? bytes : bytes - Math.min(ROOM_FOR_REPLIES, bytes / 2)
    const frames = session?.take(replies, this.#context, room) ?? NO_FRAMES
    if (session?.pushes && session.queueLength > 0) return this.#writeEvents(frames)
    this.#answersConnect = false
    this.#replies = []
    if (replies.length === 0) return this.#writeEvents(frames)
    const texts = replies.map(reply => replyText(reply, this.#log))
    const payload = new Payload([...frames.map(({ json }) => json), ...texts])
    const { messagesPerFrame, bytesPerFrame } = this.#options
    if (messagesPerFrame === 0 && payload.bytes <= bytesPerFrame) return this.#write(payload, frames)
    this.#writer.together(() => {
      this.#writeEvents(frames)
      this.#writeReplies(texts)
    })
  }

  #writeEvents (frames: readonly Frame[]): void {
    const { payloads } = this.#transport
    if (frames.length < 2) {
      // A listener of 'queueDrain' may have removed them all.
      if (frames.length === 1) this.#write(payloads.of(frames), frames)
      return
    }
    this.#writer.together(() => { for (const some of this.#portions(frames)) this.#write(payloads.of(some), some) })
  }

  #writeReplies (texts: readonly string[]): void {
    for (const some of this.#portions(texts.map(text => new Frame(text)))) this.#write(new Payload(some.map(({ json }) => json)), NO_FRAMES)
  }

  // What goes into one WebSocket message each.
  #portions (frames: readonly Frame[]): ReadonlyArray<readonly Frame[]> {
    const { messagesPerFrame, bytesPerFrame } = this.#options
    const portions: Array<readonly Frame[]> = []
    for (let from = 0; from < frames.length;) {
      const count = fitting(frames, bytesPerFrame, true, from)
      const to = from + (messagesPerFrame > 0 ? Math.min(count, messagesPerFrame) : count)
      portions.push(frames.slice(from, to))
      from = to
    }
    return portions
  }

  #write (payload: Payload, frames: readonly Frame[]): void {
    this.#transport.server.counters.bytesOut += payload.bytes
    if (payload.bytes > this.#largest) this.#remember(payload, frames)
    this.#writer.write(payload, frames)
  }

  // Should the client not take it, that is worth a word.
  #remember ({ bytes }: Payload, [first]: readonly Frame[]): void {
    this.#largest = bytes
    this.#largestFrame = first && new WeakRef(first)
  }

  // The last that is sent: however full the socket is, it gets what is left.
  #finish ({ code, reason }: { code: number, reason: string }): void {
    this.#answersConnect = true
    this.#send(Infinity)
    this.#closed = true
    this.#ws.resume()
    this.#ws.close(code, reason)
  }

  #onWritten (): void {
    if (!this.#stalled || !this.#isWritable) return
    this.#stalled = false
    this.#regulate()
    this.flush()
  }

  // A client that does not take its answers, or whose messages are still being processed, is not listened to.
  #regulate (): void {
    if (this.#busy > 0 || this.#stalled) this.#ws.pause()
    else this.#ws.resume()
  }

  #violate (code: number, reason: string): void {
    this.#log.debug({ session: this.#session?.id, code, reason }, 'WebSocket closed')
    this.close(code, reason)
  }

  #left (code: number): void {
    this.#closed = true
    this.#transport.forget(this)
    const session = this.#session
    if (session === undefined) return
    if (code === TOO_BIG) this.#couldNotTake(session)
    const held = this.#held
    this.#held = undefined
    session.lose(this, held, this.#writer.takeUnsent())
  }

  // Its client closed the socket since a WebSocket message was too large for it. If it is the same one again, that has no end.
  #couldNotTake (session: ServerSession): void {
    const frame = this.#largestFrame?.deref()
    if (frame !== undefined && session.untaken?.deref() === frame) {
      this.#transport.server.rareLog.warn({ session: session.id, bytes: this.#largest, option: 'bytesPerFrame' }, 'a client closes its WebSocket again and again since what it is sent is too large for it')
    }
    session.untaken = this.#largestFrame
  }

  // What fails here must not end the process: it is the end of this socket.
  #guard (work: () => unknown): Awaitable<unknown> {
    try {
      const done = work()
      return isThenable(done) ? Promise.resolve(done).catch(err => this.#fail(err)) : done
    } catch (err) {
      return this.#fail(err)
    }
  }

  #fail (err: unknown): void {
    this.#transport.server.log.error({ err }, 'WebSocket closed: an internal error')
    if (this.#closing?.code === INTERNAL_ERROR) this.terminate()
    else this.close(INTERNAL_ERROR, 'internal error')
  }
}
