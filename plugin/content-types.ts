import type { FastifyInstance, FastifyRequest } from 'fastify'
import createError from '@fastify/error'
import type { ServerOptions } from '../schemas/options.js'
import { errors } from './errors.js'
import type { CheckedOptions } from './options.js'
import { compositionOf } from './json-text.js'
import { checkOrigin } from './origins.js'
import { checkMessages, noteBytes, noteShallow, readParameters, type ReadJson } from './transports/batch.js'

type Done = (err: Error | null, body?: unknown) => void
type Parse = (request: FastifyRequest | undefined, body: string, done: Done) => void
type Limits = Pick<ServerOptions, 'maxMessages' | 'maxValues' | 'maxDepth'>

const UnsupportedMediaType = createError('FST_ERR_CTP_INVALID_MEDIA_TYPE', 'Unsupported Media Type', 415)

/**
 * What bodies the routes read: JSON, also under the name `text/json` and without any content type, and forms with `message`
 * parameters (B81). For this scope only; the application's own parsers stay as they are.
 */
export function addContentTypes (fastify: FastifyInstance, { server, registration }: CheckedOptions, readJson: ReadJson): void {
  // Any page can have a browser send what is no JSON, without asking first.
  const fromAnywhere = async (request: FastifyRequest): Promise<void> => await checkOrigin(request, registration.allowedOrigins)

  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser<string>(['application/json', 'text/json'], { parseAs: 'string' }, (request, body, done) => {
    noteBytes(request, body)
    let messages: unknown
    try {
      messages = readJson(body)
    } catch (err) {
      return done(err as Error)
    }
    done(null, messages)
  })
  fastify.addContentTypeParser<string>('application/x-www-form-urlencoded', { parseAs: 'string' }, async (request: FastifyRequest, body: string) => {
    await fromAnywhere(request)
    noteBytes(request, body)
    return readParameters(new URLSearchParams(body), readJson, server)
  })
  fastify.addContentTypeParser<string>('*', { parseAs: 'string' }, async (request: FastifyRequest, body: string) => {
    if (request.headers['content-type'] !== undefined) throw new UnsupportedMediaType()
    await fromAnywhere(request)
    noteBytes(request, body)
    return readJson(body)
  })
}

/**
 * Fastify's own JSON parser with the application's settings, as a function. What is more than the limits allow is refused as a
 * whole, before anything in it is looked at.
 */
export function jsonReader (fastify: FastifyInstance, limits: Limits): ReadJson {
  const json = jsonParser(fastify)
  return text => {
    const composition = text.length > LARGE ? compositionOf(text, limits.maxValues) : undefined
    if (composition !== undefined && composition.values > limits.maxValues) throw new errors.COMETD_ERR_TOO_MANY_VALUES(limits.maxValues)
    let value: unknown
    json(undefined, text, (err, read) => {
      if (err !== null) throw err
      value = read
    })
    if (Array.isArray(value)) checkMessages(value.length, text.length, limits)
    // The array, or the message alone, and the message's own fields.
    if (composition !== undefined && composition.depth <= limits.maxDepth + 1) noteShallow(value)
    return value
  }
}

// What is smaller is not worth a look before it is read.
const LARGE = 50_000

function jsonParser (fastify: FastifyInstance): Parse {
  const { onProtoPoisoning, onConstructorPoisoning } = fastify.initialConfig as Required<FastifyInstance['initialConfig']>
  // Its type allows for an asynchronous parser, which the default one is not.
  return fastify.getDefaultJsonParser(onProtoPoisoning, onConstructorPoisoning) as unknown as Parse
}
