import { TypeCompiler, type ValueError } from '@sinclair/typebox/compiler'
import { Message, MessageBatch, type RequestBody } from '../../schemas/message.js'

const batch = TypeCompiler.Compile(MessageBatch)
const single = TypeCompiler.Compile(Message)

const HANDSHAKE = '/meta/handshake'

/** What is wrong with a value that should be a message or an array of messages; undefined if nothing is. */
export function faultIn (body: unknown): ValueError | undefined {
  const check = Array.isArray(body) ? batch : single
  return check.Check(body) ? undefined : check.Errors(body).First()
}

/** B9: a single message counts as an array of one. B45: a handshake stands alone, what came with it is ignored. */
export function messagesOf (body: RequestBody): Message[] {
  const messages = Array.isArray(body) ? body : [body]
  const handshake = messages.length > 1 ? messages.find(message => message.channel === HANDSHAKE) : undefined
  return handshake === undefined ? messages : [handshake]
}

/**
 * Reads JSON as the application's Fastify instance does it.
 * @throws an error with a status code
 */
export type ReadJson = (text: string) => unknown

/** The messages of all `message` parameters, each of which is one message or an array of them (B81, B84). */
export function readParameters (parameters: URLSearchParams, readJson: ReadJson): unknown[] {
  const messages: unknown[] = []
  for (const text of parameters.getAll('message')) {
    const value = readJson(text)
    // Not by spreading: a client decides how long the array is.
    for (const message of Array.isArray(value) ? value : [value]) messages.push(message)
  }
  return messages
}
