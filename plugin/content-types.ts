import type { FastifyInstance, FastifyRequest } from 'fastify'
import createError from '@fastify/error'
import type { ServerOptions } from '../schemas/options.js'
import { errors } from './errors.js'
import type { CheckedOptions } from './options.js'
import { checkOrigin } from './origins.js'
import { noteBytes, readParameters, type ReadJson } from './transports/batch.js'

type Done = (err: Error | null, body?: unknown) => void
type Parse = (request: FastifyRequest | undefined, body: string, done: Done) => void
type Limits = Pick<ServerOptions, 'maxMessages' | 'maxValues'>

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
    let value: unknown
    json(undefined, text, (err, read) => {
      if (err !== null) throw err
      value = read
    })
    if (Array.isArray(value) && value.length > limits.maxMessages) throw new errors.COMETD_ERR_TOO_MANY_MESSAGES(limits.maxMessages)
    // The shortest that may be one too many: `{}` and a comma for each.
    if (text.length > 3 * limits.maxValues && hasMoreValues(value, limits.maxValues)) throw new errors.COMETD_ERR_TOO_MANY_VALUES(limits.maxValues)
    return value
  }
}

const NOTHING: readonly never[] = []

// Whether there are more objects and arrays: what takes much more memory than it takes text.
function hasMoreValues (root: unknown, limit: number): boolean {
  const found = [root]
  for (let i = 0; i < found.length && found.length <= limit; i++) {
    const value = found[i] ?? NOTHING
    for (const item of Array.isArray(value) ? value : Object.values(value)) {
      if (typeof item === 'object' && item !== null) found.push(item)
    }
  }
  return found.length > limit
}

function jsonParser (fastify: FastifyInstance): Parse {
  const { onProtoPoisoning, onConstructorPoisoning } = fastify.initialConfig as Required<FastifyInstance['initialConfig']>
  // Its type allows for an asynchronous parser, which the default one is not.
  return fastify.getDefaultJsonParser(onProtoPoisoning, onConstructorPoisoning) as unknown as Parse
}
