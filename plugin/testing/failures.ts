import type { LightMyRequestResponse } from 'fastify'
import type { Reply } from '../bayeux/message.js'

/** The server answered a whole request with something else than messages, such as the 401 of a hook. */
export class RequestFailure extends Error {
  readonly statusCode: number
  /** The answer, as text. */
  readonly body: string

  /** @internal */
  constructor ({ statusCode, body }: Pick<LightMyRequestResponse, 'statusCode' | 'body'>) {
    super(`the request was answered with HTTP status ${statusCode}: ${body}`)
    this.name = 'RequestFailure'
    this.statusCode = statusCode
    this.body = body
  }
}

/** The server answered a message with an unsuccessful reply. */
export class MessageFailure extends Error {
  readonly reply: Reply

  /** @internal */
  constructor (reply: Reply) {
    super(`the message to ${reply.channel} was refused: ${reply.error}`)
    this.name = 'MessageFailure'
    this.reply = reply
  }
}

/** The client has lost its connection: see `drop`. */
export class ConnectionFailure extends Error {
  /** @internal */
  constructor () {
    super('the client has lost its connection')
    this.name = 'ConnectionFailure'
  }
}
