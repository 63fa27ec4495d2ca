import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { AsyncResource } from 'node:async_hooks'
import type { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import type { Message, RequestBody } from '../../schemas/message.js'
import type { ServerOptions } from '../../schemas/options.js'
import { andThen, type Awaitable, everyInTurn, isThenable, Lane } from '../bayeux/awaitable.js'
import type { Timed } from '../bayeux/clock.js'
import type { MessageContext } from '../bayeux/context.js'
import type { Frame } from '../bayeux/frame.js'
import { type Reply, ServerMessage } from '../bayeux/message.js'
import { settle } from '../bayeux/meta/connect.js'
import { receive } from '../bayeux/receive.js'
import type { Outlet, ReleaseCause, RemovalReason, ServerSession } from '../bayeux/session.js'
import { faultIn, messagesOf } from './batch.js'
import { HeldConnect, type Holder } from './held-connect.js'
import { Payload } from './payloads.js'
import { replyText } from './reply-text.js'
import { SocketWriter } from './socket-writer.js'
import type { WebSocketTransport } from './websocket.js'

/** RFC 6455, 7.4.1. */
export const GOING_AWAY = 1001
export const CLOSED = 'server closed'

const NO_FRAMES: readonly Frame[] = []
const NORMAL = 1000
const UNSUPPORTED_DATA = 1003
const INVALID_PAYLOAD = 1007
const POLICY_VIOLATION = 1008
const TOO_BIG = 1009

/** One WebSocket. It serves one session at a time. */
export class Connection extends AsyncResource implements Holder, Outlet, Timed {
  tick = -1
  due = 0
  awaited = false
  flushing = false

  readonly #transport: WebSocketTransport
  readonly #ws: WebSocket
  readonly #log: FastifyBaseLogger
  readonly #context: MessageContext
  readonly #key: string | undefined
  readonly #userAgent: string | undefined
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

  constructor (transport: WebSocketTransport, ws: WebSocket, request: FastifyRequest, context: MessageContext) {
    super('fastify-cometd.socket')
    this.#transport = transport
    this.#ws = ws
    this.#log = request.log
    this.#context = context
    this.#key = transport.browsers.keyOf(request)
    this.#userAgent = request.headers['user-agent']
    this.#writer = new SocketWriter(ws, request.raw.socket as Socket | undefined, () => this.#onWritten())
    // ws closes the socket by itself after an error.
    ws.removeAllListeners('error')
    ws.on('error', err => { this.#log.debug({ err }, 'WebSocket failed') })
    ws.on('message', (data, isBinary) => { this.runInAsyncScope(this.#receive, this, data, isBinary) })
    ws.on('close', () => { this.runInAsyncScope(this.#left, this) })
    transport.server.clock.schedule(this, this.#options.handshakeTimeout)
  }

  /** The time for a handshake, or for a message, is over. */
  onTime (): void {
    if (this.#session === undefined) this.close(POLICY_VIOLATION, 'handshake timeout')
    else this.close(GOING_AWAY, 'idle timeout')
  }

  /** Sends what is queued and what was answered, as far as the socket takes it. */
  flush (): void {
    if (this.#closed || this.#writer.gone) return
    if (this.#closing !== undefined && this.#busy === 0) return this.#finish(this.#closing)
    while (this.#isWritable) {
      if (this.#replies.length === 0 && !this.#hasEvents) return
      this.#send(this.#take(this.#answersConnect ? Infinity : this.#options.highWaterMark))
    }
    this.#stalled = true
    this.#regulate()
  }

  /** Closes the socket when what is being processed is answered, and what is queued is sent. */
  close (code: number, reason: string): void {
    if (this.#closing !== undefined) return
    this.#closing = { code, reason }
    this.#transport.server.flushLater(this)
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
    if (farewell !== undefined) this.#do(this.#outgoing.run(() => { this.#replies.push(farewell.message) }))
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
    if (isBinary) return this.#violate(UNSUPPORTED_DATA, 'binary message')
    if ((data as Buffer).length > this.#transport.maxMessageSize) return this.#violate(TOO_BIG, 'message too big')
    this.#transport.server.counters.bytesIn += (data as Buffer).length
    let body: unknown
    try {
      body = this.#transport.readJson((data as Buffer).toString())
    } catch {
      return this.#violate(INVALID_PAYLOAD, 'malformed JSON')
    }
    const fault = faultIn(body)
    if (fault !== undefined) return this.#violate(POLICY_VIOLATION, 'not Bayeux messages')
    const messages = messagesOf(body as RequestBody)
    if (messages.length > this.#options.maxMessages) return this.#violate(POLICY_VIOLATION, 'too many messages')

    if (this.#session !== undefined) this.#transport.server.clock.schedule(this, this.#options.idleTimeout)
    const alone = messages.length === 1
    this.#do(this.#incoming.run(() => everyInTurn(messages, raw => andThen(this.#process(raw, alone), () => true))))
  }

  #process (raw: Message, alone: boolean): Awaitable<void> {
    const message = new ServerMessage(raw)
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
      return this.#answer(session, message, connected)
    })
  }

  #handshake (message: ServerMessage): Awaitable<void> {
    const { server, browsers } = this.#transport
    const session = server.newSession(browsers.of(this.#key), this.#userAgent)
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
    const frames = session.take(replies, this.#context)
    reply['x-messages'] = frames.length
    const limit = this.#options.messagesPerFrame
    this.#writer.together(() => {
      this.#write(new Payload(replies.map(reply => replyText(reply, this.#log))), NO_FRAMES)
      for (const some of limit > 0 ? chunks(frames, limit) : [frames]) this.#write(this.#transport.payloads.of(some), some)
    })
  }

  // One session to a socket: once it has one, other ids are refused.
  #sessionOf ({ clientId }: ServerMessage): ServerSession | undefined {
    const bound = this.#session
    if (bound !== undefined) return clientId === undefined || clientId === bound.id ? bound : undefined
    return this.#options.requireHandshakePerConnection ? undefined : this.#transport.server.sessions.find(clientId, this.#key)
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
    this.#transport.server.flushLater(this)
  }

  #mayHold (session: ServerSession): boolean {
    if (session.removed || session.outlet !== this) return false
    return session.pushes || session.batching || !session.urgent
  }

  #answer (session: ServerSession | undefined, message: ServerMessage, connects: boolean): Awaitable<void> {
    const { server } = this.#transport
    return this.#outgoing.run(() => andThen(server.extendReply(session, message.reply, this.#context), reply => {
      if (reply !== null) this.#reply(reply)
      if (!connects) return
      this.#answersConnect = true
      session?.armExpiry()
    }))
  }

  #reply (reply: Reply): void {
    if (reply.successful === false) {
      this.#transport.server.counters.refused(reply.error)
      this.#log.debug({ session: this.#session?.id }, 'message refused')
    }
    this.#replies.push(reply)
  }

  // Counts what is going on: the socket is not read meanwhile, and not closed before.
  #do (work: Awaitable<unknown>): void {
    const { server } = this.#transport
    if (!isThenable(work)) return server.flushLater(this)
    this.#busy++
    this.#regulate()
    ;(work as Promise<unknown>).then(() => {
      this.#busy--
      this.#regulate()
      server.flushLater(this)
    })
  }

  get #mayTake (): boolean {
    const session = this.#session
    return session !== undefined && this.#greeted && !session.batching && (session.pushes || this.#answersConnect)
  }

  get #hasEvents (): boolean {
    return this.#mayTake && (this.#session as ServerSession).queueLength > 0
  }

  #take (bytes: number): readonly Frame[] {
    return this.#mayTake ? (this.#session as ServerSession).take(this.#replies, this.#context, bytes) : NO_FRAMES
  }

  #send (frames: readonly Frame[]): void {
    const replies = this.#replies
    this.#answersConnect = false
    // A listener of 'queueDrain' may have removed them all.
    if (frames.length === 0 && replies.length === 0) return
    const limit = this.#options.messagesPerFrame
    if (replies.length === 0 && (limit === 0 || frames.length <= limit)) return this.#write(this.#transport.payloads.of(frames), frames)
    this.#replies = []
    if (limit > 0) return this.#sendInSmallFrames(frames, replies, limit)
    this.#write(new Payload([...frames.map(({ json }) => json), ...replies.map(reply => replyText(reply, this.#log))]), frames)
  }

  #write (payload: Payload, frames: readonly Frame[]): void {
    this.#transport.server.counters.bytesOut += payload.bytes
    this.#writer.write(payload, frames)
  }

  #sendInSmallFrames (frames: readonly Frame[], replies: readonly Reply[], limit: number): void {
    this.#writer.together(() => {
      for (const some of chunks(frames, limit)) this.#write(this.#transport.payloads.of(some), some)
      for (const some of chunks(replies, limit)) this.#write(new Payload(some.map(reply => replyText(reply, this.#log))), NO_FRAMES)
    })
  }

  // The last that is sent: however full the socket is, it gets what is left.
  #finish ({ code, reason }: { code: number, reason: string }): void {
    this.#answersConnect = true
    this.#send(this.#take(Infinity))
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

  #left (): void {
    this.#closed = true
    this.#transport.forget(this)
    const session = this.#session
    if (session === undefined) return
    const held = this.#held
    this.#held = undefined
    session.lose(this, held, this.#writer.takeUnsent())
  }
}

function chunks<T> (items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}
