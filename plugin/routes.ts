import { TypeCompiler, type ValueError } from '@sinclair/typebox/compiler'
import type { FastifyInstance, FastifySchema, FastifySchemaCompiler, RouteShorthandOptions } from 'fastify'
import { Message, MessageBatch, RequestBody } from '../schemas/message.js'
import { errors } from './errors.js'
import type { CheckedOptions } from './options.js'
import type { LongPolling } from './transports/long-polling.js'

const batch = TypeCompiler.Compile(MessageBatch)
const single = TypeCompiler.Compile(Message)

// @fastify/swagger leaves such routes out; its types are not there without it.
const HIDDEN = { hide: true } as FastifySchema

// TypeBox's own checks in place of Ajv: nothing is coerced, defaulted or removed.
const validatorCompiler: FastifySchemaCompiler<FastifySchema> = () => (body: unknown) => {
  const check = Array.isArray(body) ? batch : single
  if (check.Check(body)) return { value: body }
  const { path, message } = check.Errors(body).First() as ValueError
  // Fastify takes the list that Ajv gives, and formats it as the application wants; its type knows of an Error only.
  return { error: [{ instancePath: path, message }] as unknown as Error }
}

/** The routes of the long-polling transport. */
export function addRoutes (fastify: FastifyInstance, { server, registration }: CheckedOptions, transport: LongPolling): void {
  const { path, routeOptions = {}, bodyLimit, logLevel } = registration
  const options: RouteShorthandOptions = {
    ...handlerTimeout(fastify, server),
    ...(logLevel !== undefined && { logLevel }),
    ...routeOptions,
    ...(bodyLimit !== undefined && { bodyLimit })
  }
  const post: RouteShorthandOptions = {
    ...options,
    schema: { ...HIDDEN, body: RequestBody },
    validatorCompiler
  }
  const below = path === '/' ? '/*' : `${path}/*`
  for (const url of [path, below]) fastify.post(url, post, (request, reply) => transport.handle(request, reply))
  // A plain GET is answered clearly; clients that poll by GET or upgrade ask here first.
  fastify.get(path, { ...options, schema: HIDDEN, exposeHeadRoute: false }, () => { throw new errors.COMETD_ERR_TRANSPORT_UNKNOWN() })
}

// A time limit of the whole application for its handlers must not cut a held connect.
function handlerTimeout (fastify: FastifyInstance, { timeout, maxClientTimeout }: CheckedOptions['server']): { handlerTimeout?: number } {
  // Not yet in Fastify's types.
  const { handlerTimeout: limit = 0 } = fastify.initialConfig as { handlerTimeout?: number }
  return limit > 0 ? { handlerTimeout: limit + Math.max(timeout, maxClientTimeout) } : {}
}
