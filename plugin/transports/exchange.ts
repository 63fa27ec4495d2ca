import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ServerHttp2Stream } from 'node:http2'
import type { Message } from '../../schemas/message.js'
import { andThen, type Awaitable, everyInTurn, isThenable } from '../bayeux/awaitable.js'
import type { Batch } from '../bayeux/batch.js'
import type { MessageContext } from '../bayeux/context.js'
import { settle } from '../bayeux/endings.js'
import type { Frame } from '../bayeux/frame.js'
import { type Reply, ServerMessage } from '../bayeux/message.js'
import { partyAddress } from '../bayeux/parties.js'
import { receive } from '../bayeux/receive.js'
import { SafeLog } from '../bayeux/safe-log.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ReleaseCause, ServerSession } from '../bayeux/session.js'
import type { Proof } from '../bayeux/sessions.js'
import type { Flushable } from '../bayeux/turns.js'
import type { Browser } from './browser.js'
import { HeldConnect, type Holder } from './held-connect.js'
import type { Polling } from './polling.js'
import { replyText } from './reply-text.js'

const NO_FRAMES: readonly Frame[] = []
const NO_MESSAGES: readonly Message[] = []

/** One HTTP request and its answer. */
export class Exchange implements Holder, Flushable {
  flushing = false
  readonly request: FastifyRequest
  readonly reply: FastifyReply

  readonly #transport: Polling
  readonly #server: CometDServer
  readonly #batch: Batch
  readonly #proof: Proof
  readonly #context: MessageContext
  readonly #replies: Array<{ session: ServerSession | undefined, reply: Reply | null }> = []
  // The session whose events this answer carries: that of the first message. One answer carries the events of one session.
  #session: ServerSession | undefined
  #batched: ServerSession[] | undefined
  #messages: readonly Message[]
  #toHold: ServerMessage | undefined
  #held: HeldConnect | undefined
  #answersConnect = false
  // Whether what was delivered during the handshake follows its reply.
  #welcomes = false
  #frames = NO_FRAMES
  #watched = false
  #lacksCookie = false

  constructor (transport: Polling, request: FastifyRequest, reply: FastifyReply, messages: readonly Message[], batch: Batch) {
    this.#transport = transport
    this.#server = transport.server
    this.request = request
    this.reply = reply
    this.#messages = messages
    this.#batch = batch
    this.#proof = { keys: transport.browsers.keysOf(request), user: userOf(request), connected: false }
    this.#context = { request, reply, response: reply.raw }
  }

  start (): void {
    this.#attempt(() => andThen(
      everyInTurn(this.#messages, raw => andThen(this.#process(raw), () => true)),
      () => {
        if (this.#lacksCookie && this.#transport.delay(this)) return
        return this.#toHold === undefined ? this.#answer() : this.#holdOrAnswer(this.#toHold)
      }
    ))
  }

  /** Answers now. */
  flush (): void {
    this.#attempt(() => this.#answer())
  }

  /** The held connect was let go. */
  resume (held: HeldConnect, cause: ReleaseCause): void {
    this.#unhold()
    if (cause === 'displaced') {
      this.reply.code(this.#server.options.duplicateMetaConnectHttpResponseCode).send('')
      return
    }
    settle(this.#server, this.#session as ServerSession, held.message, cause)
    // What lets go of many at once must not answer all of them at once; messages have had their turn already. Who disconnects is
    // told first that its connect has ended.
    if (cause === 'messages' || cause === 'removed') this.flush()
    else this.#server.turns.flushLater(this)
  }

  #process (raw: Message): Awaitable<void> {
    const message = new ServerMessage(raw, this.#batch)
    if (raw.channel === '/meta/handshake') return this.#handshake(message)

    const session = this.#server.sessions.find(message.clientId, this.#proof)
    const connects = raw.channel === '/meta/connect'
    const alone = this.#messages.length === 1
    if (session !== undefined) {
      if (connects) this.#takeOver(session)
      // What the other messages bring about rides in this answer rather than in that of a held connect (B77).
      if (!(connects && alone)) this.#startBatch(session)
      this.#session ??= session
    } else if (connects && alone) {
      this.#lacksCookie = this.#server.sessions.isKeptFrom(message.clientId, this.#proof)
    }
    const received = receive(this.#server, session, message, this.#context)
    // What takes its time must not keep from its session what others send.
    if (isThenable(received)) this.#endBatches()
    return andThen(received, () => {
      this.#replies.push({ session, reply: message.reply })
      if (!connects || message.reply.successful !== true) return
      this.#answersConnect = true
      if (alone && message.holdFor > 0) this.#toHold = message
    })
  }

  #handshake (message: ServerMessage): Awaitable<void> {
    const { browsers } = this.#transport
    const address = partyAddress(this.request.ip)
    const { keys, user } = this.#proof
    const browser = browsers.of(keys, address)
    const session = this.#server.newSession({ binding: browser, address, user, userAgent: this.request.headers['user-agent'] })
    return andThen(receive(this.#server, session, message, this.#context), () => {
      this.#replies.push({ session, reply: message.reply })
      if (session.state === 'handshaken' && session.allowMessageDeliveryDuringHandshake && session.queueLength > 0) {
        this.#session = session
        this.#welcomes = true
      }
      if (session.state === 'handshaken' && !keys.includes(browser.key)) browsers.setCookie(this.request, this.reply, browser)
    })
  }

  // A newer connect displaces an older one (B57), also one over a WebSocket: the client has fallen back to polling.
  #takeOver (session: ServerSession): void {
    session.release('displaced')
    if (!session.removed) session.serveBy(undefined)
  }

  #startBatch (session: ServerSession): void {
    this.#batched ??= []
    if (this.#batched.includes(session)) return
    session.startBatch()
    this.#batched.push(session)
  }

  #holdOrAnswer (message: ServerMessage): Awaitable<void> {
    const session = this.#session as ServerSession
    if (session.removed || this.#isGone || (session.urgent && !session.batching)) return this.#answer()
    const browser = browserOf(session)
    if (browser?.mayHold(this.#overHttp2) === false) {
      this.#makePoll(session, message.reply)
      return this.#answer()
    }
    browser?.hold(this.#overHttp2)
    this.#held = new HeldConnect(this.#transport, this, message, this.#context)
    this.#watch()
    // The request is as large as its client likes, and may be held for a long time.
    this.#messages = NO_MESSAGES
    ;(this.request as { body: unknown }).body = undefined
    session.hold(this.#held, message.holdFor)
  }

  // The browser has as many held connects as it may: this client has to poll (B34, B88).
  #makePoll (session: ServerSession, reply: Reply): void {
    const { options } = this.#server
    const interval = options.multiSessionInterval
    if (interval > 0) {
      reply.advice = { ...reply.advice, ...this.#server.advice('retry', interval), 'multiple-clients': true }
      session.told = { timeout: options.timeout, interval, connectionType: this.#transport.name }
    } else {
      reply.successful = false
      reply.error = '403:max_sessions_per_browser:connect_denied'
      reply.advice = { ...reply.advice, ...this.#server.advice('none'), 'multiple-clients': true }
    }
  }

  #unhold (): void {
    this.#held = undefined
    browserOf(this.#session as ServerSession)?.letGo(this.#overHttp2)
  }

  #answer (): Awaitable<void> {
    const extended = everyInTurn(this.#replies, entry => andThen(this.#server.extendReply(entry.session, entry.reply as Reply, this.#context), reply => {
      entry.reply = reply
      return true
    }))
    return andThen(extended, () => this.#send())
  }

  #send (): void {
    const session = this.#session
    if (this.#isGone) {
      session?.armExpiry()
      return this.#end()
    }
    const replies = this.#replies.map(({ reply }) => reply).filter(reply => reply !== null)
    if (session !== undefined && this.#takes(session, replies)) this.#frames = session.take(replies, this.#context, this.#most(session))
    if (this.#welcomes && replies[0] !== undefined) replies[0]['x-messages'] = this.#frames.length
    this.#logRefusals(replies)
    if (this.#frames.length > 0 || this.#answersConnect || this.#server.closed) this.#watch()
    const text = this.#transport.write(this.#write(replies), this.request)
    this.#server.counters.bytesOut += Buffer.byteLength(text)
    // Clients take no other status for an answer, whatever a hook has set.
    this.reply.code(200).header('content-type', this.#transport.contentType).send(text)
    // Counted from when the answer has left; until then, from now.
    if (this.#answersConnect) session?.armExpiry()
    this.#end()
  }

  // What follows a handshake has to be counted in its reply, which an extension may have deleted.
  #takes (session: ServerSession, replies: readonly Reply[]): boolean {
    return this.#welcomes ? replies.length > 0 : this.#answersConnect || !session.metaConnectDeliveryOnly
  }

  // Bytes of the queue that the answer takes along: what is left is for the next, if there is one.
  #most (session: ServerSession): number {
    return session.removed || this.#server.closed ? Infinity : this.#server.options.highWaterMark
  }

  #endBatches (): void {
    if (this.#batched !== undefined) for (const session of this.#batched) session.endBatch()
    this.#batched = undefined
  }

  // Nothing may be left open, whatever became of the answer.
  #end (): void {
    this.#endBatches()
    if (!this.#watched) this.#transport.done()
  }

  #watch (): void {
    if (this.#watched) return
    this.#watched = true
    const { raw } = this.reply
    raw.on('close', () => this.#left(isSuccess(raw.statusCode) && raw.writableEnded && !wasCutOff(this.request, this.reply)))
  }

  #left (complete: boolean): void {
    const session = this.#session as ServerSession
    if (this.#held !== undefined) {
      session.abandon(this.#held)
      this.#unhold()
    }
    if (!complete && this.#frames.length > 0) session.restore(this.#frames)
    this.#frames = NO_FRAMES
    if (this.#answersConnect) session.armExpiry()
    this.#transport.done()
  }

  get #overHttp2 (): boolean {
    return http2StreamOf(this.reply) !== undefined
  }

  // The client has gone, or somebody else has answered.
  get #isGone (): boolean {
    const { raw } = this.reply
    return this.reply.sent || raw.destroyed || http2StreamOf(this.reply)?.destroyed === true
  }

  #write (replies: readonly Reply[]): string {
    const events = this.#frames.map(({ json }) => json)
    const answers = replies.map(reply => replyText(reply, this.#server.log))
    return `[${(this.#welcomes ? [...answers, ...events] : [...events, ...answers]).join()}]`
  }

  // One line a request, without anything that the client wrote.
  #logRefusals (replies: readonly Reply[]): void {
    const refused = replies.filter(reply => reply.successful === false)
    if (refused.length === 0) return
    const codes = new Set(refused.map(({ error }) => this.#server.counters.refused(error)))
    const log = new SafeLog(this.request.log)
    log.info({ session: this.#session?.id, refused: refused.length, codes: [...codes] }, 'messages refused')
  }

  // What fails here is not a message but the request: it gets an HTTP error, and nothing stays open.
  #attempt (work: () => Awaitable<void>): void {
    const failed = (err: unknown): void => {
      this.#session?.restore(this.#frames)
      this.#frames = NO_FRAMES
      this.#end()
      this.reply.send(err)
    }
    try {
      const done = work()
      if (isThenable(done)) (done as Promise<void>).catch(failed)
    } catch (err) {
      failed(err)
    }
  }
}

/** Who sends the request, as the hooks of the application say. */
export function userOf (request: FastifyRequest): unknown {
  return (request as { user?: unknown }).user
}

function isSuccess (statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300
}

// A session that began on a socket without the cookie has none.
function browserOf ({ binding }: ServerSession): Browser | undefined {
  return binding as Browser | undefined
}

function http2StreamOf ({ raw }: FastifyReply): ServerHttp2Stream | undefined {
  return (raw as { stream?: ServerHttp2Stream }).stream
}

// Node counts a response as finished even if it broke off in the middle.
function wasCutOff (request: FastifyRequest, reply: FastifyReply): boolean {
  const stream = http2StreamOf(reply)
  return stream === undefined ? request.raw.socket.destroyed : stream.aborted || stream.rstCode !== 0
}
