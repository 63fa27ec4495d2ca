import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, FastifySchemaCompiler, RouteShorthandOptions } from 'fastify'
import type { WebSocket } from 'ws'
import { RequestBody } from '../schemas/message.js'
import { LONGEST_TIMER } from '../schemas/options.js'
import { LongPollingRoute } from '../schemas/openapi.js'
import { errors } from './errors.js'
import type { CheckedOptions } from './options.js'
import { faultIn } from './transports/batch.js'
import { CallbackPolling } from './transports/callback-polling.js'
import { LongPolling } from './transports/long-polling.js'
import type { Polling } from './transports/polling.js'
import { WebSocketTransport } from './transports/websocket.js'
import { addCookies, gate, UPGRADE } from './upgrades.js'

type Handler = (request: FastifyRequest, reply: FastifyReply) => void

// @fastify/swagger leaves such routes out; its types are not there without it.
const HIDDEN = { hide: true } as FastifySchema

// What @fastify/swagger shows in place of the schema of a route. In the schema, descriptions of answers would be what Fastify
// writes errors by, those of the application's error handler, too.
const DOCUMENTED = { swaggerTransform: ({ url }: { url: string }) => ({ schema: LongPollingRoute, url }) }

// TypeBox's own checks in place of Ajv: nothing is coerced, defaulted or removed.
const validatorCompiler: FastifySchemaCompiler<FastifySchema> = () => (body: unknown) => {
  const fault = faultIn(body)
  if (fault === undefined) return { value: body }
  // Fastify takes the list that Ajv gives, and formats it as the application wants; its type knows of an Error only.
  return { error: [{ instancePath: fault.path, message: fault.message }] as unknown as Error }
}

const unknownTransport: Handler = () => { throw new errors.COMETD_ERR_TRANSPORT_UNKNOWN() }

type Transports = ReadonlyArray<Polling | WebSocketTransport>

/** The routes of long-polling. */
export function addPostRoutes (fastify: FastifyInstance, options: CheckedOptions, transports: Transports): void {
  const longPolling = transports.find(transport => transport instanceof LongPolling)
  const handler: Handler = longPolling === undefined ? unknownTransport : (request, reply) => longPolling.handle(request, reply, request.body as RequestBody)
  const { path, openapi } = options.registration
  const settings = { ...settingsOf(fastify, options), validatorCompiler }
  const hidden = { ...settings, schema: { ...HIDDEN, body: RequestBody } }
  const shown = { ...settings, schema: { body: RequestBody }, config: { ...DOCUMENTED, ...settings.config } }
  fastify.post(path, openapi && longPolling !== undefined ? shown : hidden, handler)
  fastify.post(below(path), hidden, handler)
}

/** The routes of WebSocket and callback-polling. A plain GET of `path` is answered clearly. */
export function addGetRoutes (fastify: FastifyInstance, options: CheckedOptions, transports: Transports): void {
  const callbackPolling = transports.find(transport => transport instanceof CallbackPolling)
  const webSocket = transports.find(transport => transport instanceof WebSocketTransport)
  const handler: Handler = callbackPolling === undefined ? unknownTransport : (request, reply) => callbackPolling.call(request, reply)
  const route = { ...getRoute(fastify, options), handler } as const
  const { path } = options.registration
  if (webSocket !== undefined) addCookies(fastify, webSocket.browsers)
  const upgraded = {
    ...route,
    onRequest: [gate(options, webSocket?.browsers), ...[route.onRequest ?? []].flat()],
    ...(webSocket !== undefined && {
      wsHandler: (ws: WebSocket, request: FastifyRequest) => {
        // When the application closes, the CometD server says its last words before it closes them.
        fastify.websocketServer.clients.delete(ws)
        webSocket.accept(ws, request)
      }
    })
  }
  fastify.route({ ...upgraded, url: path })
  // The plain ones below are the application's without callback-polling: it may serve files there.
  if (webSocket !== undefined) fastify.route({ ...upgraded, url: below(path), constraints: { ...route.constraints, ...UPGRADE } })
  if (callbackPolling !== undefined) fastify.route({ ...route, url: below(path) })
}

/** What the GET routes have in common. */
export function getRoute (fastify: FastifyInstance, options: CheckedOptions): RouteShorthandOptions & { method: 'GET' } {
  return { ...settingsOf(fastify, options), method: 'GET', schema: HIDDEN, exposeHeadRoute: false }
}

/** The URL of what is below `path`. */
export function below (path: string, name = '*'): string {
  return path === '/' ? `/${name}` : `${path}/${name}`
}

function settingsOf (fastify: FastifyInstance, { server, registration }: CheckedOptions): RouteShorthandOptions {
  const { routeOptions = {}, bodyLimit, logLevel } = registration
  return {
    ...handlerTimeout(fastify, server),
    ...(logLevel !== undefined && { logLevel }),
    ...routeOptions,
    ...(bodyLimit !== undefined && { bodyLimit })
  }
}

// A time limit of the whole application for its handlers must not cut a held connect.
function handlerTimeout (fastify: FastifyInstance, { timeout, maxClientTimeout }: CheckedOptions['server']): { handlerTimeout?: number } {
  // Not yet in Fastify's types.
  const { handlerTimeout: limit = 0 } = fastify.initialConfig as { handlerTimeout?: number }
  return limit > 0 ? { handlerTimeout: Math.min(limit + Math.max(timeout, maxClientTimeout), LONGEST_TIMER) } : {}
}
