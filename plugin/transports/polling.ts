import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { RequestBody } from '../../schemas/message.js'
import { Batch } from '../bayeux/batch.js'
import type { Timed } from '../bayeux/clock.js'
import type { CometDServer, Transport } from '../bayeux/server.js'
import { bytesOf, isShallow, messagesOf } from './batch.js'
import type { Browsers } from './browser.js'
import { Exchange } from './exchange.js'

declare module '../bayeux/context.js' {
  interface MessageContext {
    /** The request that carried the message. Over WebSocket: the upgrade request. */
    readonly request?: FastifyRequest
    /** The reply to that request, if the transport has one for each message. */
    readonly reply?: FastifyReply
    /** Node's response beneath `reply`. */
    readonly response?: ServerResponse
  }
}

// How long an answer waits that would be asked for again at once (ms), and how many do at a time.
const DELAY = 1_000
const MOST_DELAYED = 1_000

/** Bayeux messages in HTTP requests; a `/meta/connect` is held until there is something to say (B3). */
export abstract class Polling implements Transport {
  abstract readonly name: string
  abstract readonly contentType: string
  readonly server: CometDServer
  readonly browsers: Browsers
  held = 0
  readonly #delayed = new Set<Timed>()
  #open = 0
  #whenDone: (() => void) | undefined

  constructor (server: CometDServer, browsers: Browsers) {
    this.server = server
    this.browsers = browsers
  }

  /** The answer to `request`: `json` is the array of messages. */
  abstract write (json: string, request: FastifyRequest): string

  handle (request: FastifyRequest, reply: FastifyReply, body: RequestBody): void {
    const messages = messagesOf(body)
    const bytes = bytesOf(request)
    this.server.counters.bytesIn += bytes
    this.#open++
    new Exchange(this, request, reply, messages, new Batch(messages.length, bytes, isShallow(body))).start()
  }

  /**
   * Answers later: what lacks the cookie of its session would come back at once, with a handshake, again and again. Gives whether
   * it will; if there are many already, it must be answered now.
   */
  delay (exchange: Exchange): boolean {
    this.server.rareLog.warn({ option: 'trustClientSession' }, 'connects without the cookie of their session are refused: clients that keep no cookies need trustClientSession')
    if (this.server.closed || this.#delayed.size >= MOST_DELAYED) return false
    const delayed: Timed = {
      tick: -1,
      onTime: () => {
        this.#delayed.delete(delayed)
        this.server.turns.flushLater(exchange)
      }
    }
    this.#delayed.add(delayed)
    this.server.clock.schedule(delayed, DELAY, true)
    return true
  }

  /** An exchange is over: its answer has left, or never will. To be called once for each. */
  done (): void {
    if (--this.#open === 0) this.#whenDone?.()
  }

  async close (): Promise<void> {
    for (const delayed of this.#delayed) delayed.onTime()
    if (this.#open > 0) await new Promise<void>(resolve => { this.#whenDone = resolve })
  }

  // Fastify ends what is still open.
  abort (): void {}
}
