import type { FastifyBaseLogger, FastifyInstance, FastifyRegisterOptions } from 'fastify'
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { addApiDocs, surroundings } from './api-docs.js'
import { describeServer } from './bayeux/asyncapi.js'
import type { TimeSource } from './bayeux/clock.js'
import { CometDServer } from './bayeux/server.js'
import { addContentTypes, jsonReader } from './content-types.js'
import type { CheckedOptions } from './options.js'
import { addExtensions } from './extensions/index.js'
import { schemaCompiler } from './schema-compiler.js'
import { addGetRoutes, addPostRoutes } from './routes.js'
import { Browsers } from './transports/browser.js'
import { CallbackPolling } from './transports/callback-polling.js'
import { LongPolling } from './transports/long-polling.js'
import { WebSocketTransport } from './transports/websocket.js'
import { addUpgrades, maxMessageSize } from './upgrades.js'

const systemTime: TimeSource = {
  now: () => performance.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: handle => clearTimeout(handle as NodeJS.Timeout)
}

// 160 bits (B22).
const newId = (): string => randomBytes(20).toString('hex')

/** Builds the server, with the extensions that the options name. */
export function buildServer (fastify: FastifyInstance, options: CheckedOptions, log: FastifyBaseLogger): CometDServer {
  const { extensions, policy = null, channels, ajv, clock: time = systemTime } = options.registration
  const server = new CometDServer(options.server, {
    time,
    log,
    date: () => time.date?.() ?? Date.now(),
    compileSchema: schemaCompiler(fastify, ajv),
    surroundings: () => surroundings(fastify, options),
    development: process.env['NODE_ENV'] !== 'production',
    application: fastify,
    newId,
    random: Math.random,
    defer: setImmediate
  })
  addExtensions(server, extensions, () => time.now())
  server.policy = policy
  for (const [name, settings] of Object.entries(channels)) server.createServerChannel(name, settings)
  return server
}

/** Makes the server reachable through `fastify`. `settings` are those of a scope: its prefix, its serializers. */
export async function mount (fastify: FastifyInstance, options: CheckedOptions, server: CometDServer, settings: FastifyRegisterOptions<object> = {}): Promise<void> {
  const browsers = new Browsers(server.options, newId)
  const readJson = jsonReader(fastify, server.options)
  const build = {
    websocket: () => new WebSocketTransport(server, browsers, readJson, maxMessageSize(fastify, options)),
    'long-polling': () => new LongPolling(server, browsers),
    'callback-polling': () => new CallbackPolling(server, browsers, readJson)
  }
  const transports = options.registration.transports.map(name => build[name]())
  for (const transport of transports) server.addTransport(transport)

  await fastify.register(async scope => {
    addContentTypes(scope, options, readJson)
    addPostRoutes(scope, options, transports)
    // Hooks of @fastify/websocket would cost each POST more than the router does.
    await scope.register(async inner => {
      await addUpgrades(fastify, inner, options)
      addGetRoutes(inner, options, transports)
      inner.addHook('preClose', async () => await server.close())
    })
    await addApiDocs(scope, options, request => describeServer(server, surroundings(fastify, options, request)))
    scope.addHook('onReady', async () => warnOfShortTimeouts(scope, options))
  }, settings)
}

function warnOfShortTimeouts (fastify: FastifyInstance, { server }: CheckedOptions): void {
  const { connectionTimeout = 0 } = fastify.initialConfig
  const { timeout, idleTimeout } = server
  if (connectionTimeout > 0 && connectionTimeout <= timeout) {
    fastify.log.warn({ connectionTimeout, timeout }, 'connectionTimeout ends held connects before the CometD timeout does')
  }
  if (idleTimeout <= timeout) {
    fastify.log.warn({ idleTimeout, timeout }, 'idleTimeout closes WebSockets before the CometD timeout answers their connects')
  }
}
