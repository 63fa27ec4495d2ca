import { TypeCompiler, type ValueError } from '@sinclair/typebox/compiler'
import type { FastifyRequest } from 'fastify'
import { Message, MessageBatch, type RequestBody } from '../../schemas/message.js'
import { errors } from '../errors.js'

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

/** The messages of all `message` parameters, each of which is one message or an array of them (B81, B84); undefined if there are none. */
export function readParameters (parameters: URLSearchParams, readJson: ReadJson, { maxMessages }: { readonly maxMessages: number }): unknown[] | undefined {
  const messages: unknown[] = []
  if (!parameters.has('message')) return undefined
  for (const text of parameters.getAll('message')) {
    const value = readJson(text)
    // Not by spreading: a client decides how long the array is.
    for (const message of Array.isArray(value) ? value : [value]) messages.push(message)
    checkMessages(messages.length, Infinity, { maxMessages })
  }
  return messages
}

// No message is shorter that names its channel and its session. Small batches are nobody's burden.
const SHORTEST_MESSAGE = 20
const SMALL_BATCH = 10

/**
 * Refuses a batch of more messages than there may be, or than there can be in so many bytes.
 * @throws COMETD_ERR_TOO_MANY_MESSAGES
 */
export function checkMessages (count: number, bytes: number, { maxMessages }: { readonly maxMessages: number }): void {
  const most = Math.min(maxMessages, Math.max(SMALL_BATCH, Math.floor(bytes / SHORTEST_MESSAGE)))
  if (count > most) throw new errors.COMETD_ERR_TOO_MANY_MESSAGES(most)
}

const shallow = new WeakSet<object>()

/** Remembers of what was read that nothing in it is nested too deep. */
export function noteShallow (body: unknown): void {
  if (typeof body === 'object' && body !== null) shallow.add(body)
}

/** Whether nothing in it is known to be nested too deep. */
export function isShallow (body: object): boolean {
  return shallow.has(body)
}

const sizes = new WeakMap<FastifyRequest, number>()

/** Remembers how large the body of a request is that does not say so itself. */
export function noteBytes (request: FastifyRequest, body: string): void {
  if (request.headers['content-length'] === undefined) sizes.set(request, Buffer.byteLength(body))
}

/** Bytes that the messages of a request came with. */
export function bytesOf (request: FastifyRequest): number {
  return Number(request.headers['content-length'] ?? sizes.get(request) ?? request.url.length)
}
