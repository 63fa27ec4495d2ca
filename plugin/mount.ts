import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { TimeSource } from './bayeux/clock.js'
import { CometDServer } from './bayeux/server.js'
import { addContentTypes } from './content-types.js'
import type { CheckedOptions } from './options.js'
import { addRoutes } from './routes.js'
import { LongPolling } from './transports/long-polling.js'

const systemTime: TimeSource = {
  now: () => performance.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: handle => clearTimeout(handle as NodeJS.Timeout)
}

// 160 bits (B22).
const newId = (): string => randomBytes(20).toString('hex')

/** A server with its transports, not yet reachable. */
export interface Assembly {
  server: CometDServer
  longPolling: LongPolling
}

/** Builds the server and its transports. */
export function assemble (options: CheckedOptions, log: FastifyBaseLogger): Assembly {
  const server = new CometDServer(options.server, {
    time: options.registration.clock ?? systemTime,
    log,
    newId,
    random: Math.random,
    defer: setImmediate
  })
  const longPolling = new LongPolling(server, newId)
  server.addTransport(longPolling)
  return { server, longPolling }
}

/** Makes the server reachable through `fastify`, which is a scope of its own. */
export function mount (fastify: FastifyInstance, options: CheckedOptions, { server, longPolling }: Assembly): void {
  addContentTypes(fastify)
  addRoutes(fastify, options, longPolling)
  fastify.addHook('onReady', async () => warnOfShortTimeouts(fastify, options))
  fastify.addHook('preClose', async () => await server.close())
}

function warnOfShortTimeouts (fastify: FastifyInstance, { server }: CheckedOptions): void {
  const { connectionTimeout = 0 } = fastify.initialConfig
  if (connectionTimeout > 0 && connectionTimeout <= server.timeout) {
    fastify.log.warn({ connectionTimeout, timeout: server.timeout }, 'connectionTimeout ends held connects before the CometD timeout does')
  }
}
