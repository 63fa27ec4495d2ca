import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { Message, RequestBody } from '../../schemas/message.js'
import type { CometDServer, Transport } from '../bayeux/server.js'
import { errors } from '../errors.js'
import { Browsers } from './browser.js'
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

const HANDSHAKE = '/meta/handshake'

/** Bayeux messages in POST requests; a `/meta/connect` is held until there is something to say (B3, B80–B83). */
export class LongPolling implements Transport {
  readonly name = 'long-polling'
  readonly server: CometDServer
  readonly browsers: Browsers
  #open = 0
  #whenDone: (() => void) | undefined

  constructor (server: CometDServer, newKey: () => string) {
    this.server = server
    this.browsers = new Browsers(server.options, newKey)
  }

  handle (request: FastifyRequest, reply: FastifyReply): void {
    const messages = messagesOf(request.body as RequestBody)
    const { maxMessages } = this.server.options
    if (messages.length > maxMessages) throw new errors.COMETD_ERR_TOO_MANY_MESSAGES(maxMessages)
    this.#open++
    new Exchange(this, request, reply, messages).start()
  }

  /** An exchange is over: its answer has left, or never will. To be called once for each. */
  done (): void {
    if (--this.#open === 0) this.#whenDone?.()
  }

  async flushed (): Promise<void> {
    if (this.#open > 0) await new Promise<void>(resolve => { this.#whenDone = resolve })
  }
}

// B9: a single message counts as an array of one. B45: a handshake stands alone, what came with it is ignored.
function messagesOf (body: RequestBody): Message[] {
  const messages = Array.isArray(body) ? body : [body]
  const handshake = messages.length > 1 ? messages.find(message => message.channel === HANDSHAKE) : undefined
  return handshake === undefined ? messages : [handshake]
}
