import type { FastifyInstance, FastifyRequest } from 'fastify'
import createError from '@fastify/error'
import { readParameters, type ReadJson } from './transports/batch.js'

type Done = (err: Error | null, body?: unknown) => void
type Parse = (request: FastifyRequest | undefined, body: string, done: Done) => void

const UnsupportedMediaType = createError('FST_ERR_CTP_INVALID_MEDIA_TYPE', 'Unsupported Media Type', 415)

/**
 * What bodies the routes read: JSON, also under the name `text/json` and without any content type, and forms with `message`
 * parameters (B81). For this scope only; the application's own parsers stay as they are.
 */
export function addContentTypes (fastify: FastifyInstance, readJson: ReadJson): void {
  const json = jsonParser(fastify)

  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser(['application/json', 'text/json'], { parseAs: 'string' }, json as never)
  fastify.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, ((request: FastifyRequest, body: string, done: Done) => {
    let messages: unknown[]
    try {
      messages = readParameters(new URLSearchParams(body), readJson)
    } catch (err) {
      return done(err as Error)
    }
    done(null, messages)
  }) as never)
  fastify.addContentTypeParser('*', { parseAs: 'string' }, ((request: FastifyRequest, body: string, done: Done) => {
    if (request.headers['content-type'] === undefined) json(request, body, done)
    else done(new UnsupportedMediaType())
  }) as never)
}

/** Fastify's own JSON parser with the application's settings, as a function. */
export function jsonReader (fastify: FastifyInstance): ReadJson {
  const json = jsonParser(fastify)
  return text => {
    let value: unknown
    json(undefined, text, (err, read) => {
      if (err !== null) throw err
      value = read
    })
    return value
  }
}

function jsonParser (fastify: FastifyInstance): Parse {
  const { onProtoPoisoning, onConstructorPoisoning } = fastify.initialConfig as Required<FastifyInstance['initialConfig']>
  // Its type allows for an asynchronous parser, which the default one is not.
  return fastify.getDefaultJsonParser(onProtoPoisoning, onConstructorPoisoning) as unknown as Parse
}
