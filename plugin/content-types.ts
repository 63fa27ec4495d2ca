import type { FastifyInstance, FastifyRequest } from 'fastify'
import createError from '@fastify/error'

type Done = (err: Error | null, body?: unknown) => void

const UnsupportedMediaType = createError('FST_ERR_CTP_INVALID_MEDIA_TYPE', 'Unsupported Media Type', 415)

/**
 * What bodies the routes read: JSON, also under the name `text/json` and without any content type, and forms with `message`
 * parameters (B81). For this scope only; the application's own parsers stay as they are.
 */
export function addContentTypes (fastify: FastifyInstance): void {
  const { onProtoPoisoning, onConstructorPoisoning } = fastify.initialConfig as Required<FastifyInstance['initialConfig']>
  // Its type allows for an asynchronous parser, which the default one is not.
  const json = fastify.getDefaultJsonParser(onProtoPoisoning, onConstructorPoisoning) as unknown as
    (request: FastifyRequest, body: string, done: Done) => void

  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser(['application/json', 'text/json'], { parseAs: 'string' }, json as never)
  fastify.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, ((request: FastifyRequest, body: string, done: Done) => {
    const messages: unknown[] = []
    for (const text of new URLSearchParams(body).getAll('message')) {
      let failure: Error | null = null
      json(request, text, (err, value) => {
        failure = err
        // Not by spreading: a client decides how long the array is.
        for (const message of Array.isArray(value) ? value : [value]) messages.push(message)
      })
      if (failure !== null) return done(failure)
    }
    done(null, messages)
  }) as never)
  fastify.addContentTypeParser('*', { parseAs: 'string' }, ((request: FastifyRequest, body: string, done: Done) => {
    if (request.headers['content-type'] === undefined) json(request, body, done)
    else done(new UnsupportedMediaType())
  }) as never)
}
