import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { RequestBody } from '../../schemas/message.js'
import type { CometDServer, Transport } from '../bayeux/server.js'
import { errors } from '../errors.js'
import { messagesOf } from './batch.js'
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

/** Bayeux messages in HTTP requests; a `/meta/connect` is held until there is something to say (B3). */
export abstract class Polling implements Transport {
  abstract readonly name: string
  abstract readonly contentType: string
  readonly server: CometDServer
  readonly browsers: Browsers
  held = 0
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
    const { maxMessages } = this.server.options
    if (messages.length > maxMessages) throw new errors.COMETD_ERR_TOO_MANY_MESSAGES(maxMessages)
    this.#open++
    this.server.counters.bytesIn += Number(request.headers['content-length'] ?? 0)
    new Exchange(this, request, reply, messages).start()
  }

  /** An exchange is over: its answer has left, or never will. To be called once for each. */
  done (): void {
    if (--this.#open === 0) this.#whenDone?.()
  }

  async close (): Promise<void> {
    if (this.#open > 0) await new Promise<void>(resolve => { this.#whenDone = resolve })
  }

  // Fastify ends what is still open.
  abort (): void {}
}
