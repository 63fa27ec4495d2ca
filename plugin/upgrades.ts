import websocket, { type WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server } from 'node:http'
import { Socket } from 'node:net'
import { errors } from './errors.js'
import { internal } from './internals.js'
import { asksForWebSocket, type Claim, doorOf } from './neighbours.js'
import type { CheckedOptions } from './options.js'
import { checkOrigin } from './origins.js'
import type { Browsers } from './transports/browser.js'
import { urlMatch } from './url-match.js'

// Compression costs memory for each socket, and CPU for each message and socket: these settings keep both small.
const DEFLATE = { threshold: 1024, concurrencyLimit: 10, serverNoContextTakeover: true }

/** The constraint of a route that takes upgrade requests only. Others with the same URL are left to the application. */
export const UPGRADE = { cometdUpgrade: 'websocket' } as const

/** Bytes of a WebSocket message. */
export function maxMessageSize (fastify: FastifyInstance, { registration }: CheckedOptions): number {
  return registration.maxMessageSize ?? registration.bodyLimit ?? fastify.initialConfig.bodyLimit as number
}

/**
 * Makes `scope` take upgrade requests, by @fastify/websocket: that of the application if it has it, else one of the scope's own.
 * @throws COMETD_ERR_OPTION_INVALID if there are options for it, but it belongs to the application
 */
export async function addUpgrades (fastify: FastifyInstance, scope: FastifyInstance, options: CheckedOptions): Promise<void> {
  if (!options.registration.transports.includes('websocket')) return
  if (!scope.hasConstraintStrategy('cometdUpgrade')) scope.addConstraintStrategy({ name: 'cometdUpgrade', storage: () => new Map(), deriveConstraint: upgradeOf })
  // A plugin further up leaves the decorators of the instance, but those of requests stay in its own scope.
  if (fastify.hasDecorator('websocketServer') && fastify.hasRequestDecorator('ws')) checkShared(fastify, options)
  else await addOwn(fastify, scope, options)
}

// Node has `upgrade` in a request; that of injectWS has none. It is no upgrade if nobody is there to take it.
function upgradeOf (request: IncomingMessage & { upgrade?: boolean }): string | undefined {
  return request.upgrade !== false && asksForWebSocket(request) ? UPGRADE.cometdUpgrade : undefined
}

function checkShared (fastify: FastifyInstance, options: CheckedOptions): void {
  const { perMessageDeflate, protocol } = options.registration
  const maxPayload = maxMessageSize(fastify, options)
  if (perMessageDeflate !== false) throw new errors.COMETD_ERR_OPTION_INVALID('perMessageDeflate', 'the application has registered @fastify/websocket, with options of its own')
  if (protocol !== undefined) throw new errors.COMETD_ERR_OPTION_INVALID('protocol', 'the application has registered @fastify/websocket, with options of its own')
  const { maxPayload: shared = 0 } = fastify.websocketServer.options
  if (shared === 0 || shared > maxPayload) fastify.log.warn({ maxPayload: shared, maxMessageSize: maxPayload }, 'the maxPayload of @fastify/websocket is more than a CometD client may send')
}

async function addOwn (fastify: FastifyInstance, scope: FastifyInstance, options: CheckedOptions): Promise<void> {
  const { path, perMessageDeflate, protocol } = options.registration
  const emitter = new EventEmitter()
  const server: WebsocketPluginOptions['options'] = {
    maxPayload: maxMessageSize(fastify, options),
    ...(protocol !== undefined && { handleProtocols: () => protocol }),
    perMessageDeflate: perMessageDeflate === false ? false : { ...DEFLATE, ...(perMessageDeflate as object) },
    // The upgrade requests of the HTTP server are not all ours.
    server: emitter as Server
  }
  // When the application closes, nothing comes in any more before the rest is closed: hooks run in the order in which they are added.
  claim(scope, { covers: urlMatch(scope, `${scope.prefix}/${path}`), emitter })
  closeRefused(scope, emitter, options)
  // In the scope, its hooks run for our routes only.
  await scope.register(websocket, { options: server })
  fastify.decorate('websocketServer', scope.websocketServer)
  fastify.decorate('injectWS', scope.injectWS)
  fastify.addHook('onRoute', function ({ url, websocket, wsHandler }) {
    // @fastify/websocket of the application may be in the scope of the route.
    if ((websocket || wsHandler) && !this.hasRequestDecorator('ws')) throw new errors.COMETD_ERR_WEBSOCKET_MISSING(url)
  })
}

function claim (scope: FastifyInstance, claim: Claim): void {
  const door = doorOf(scope.server)
  door.add(claim)
  scope.addHook('preClose', async () => door.remove(claim))
  // For `localhost`, Fastify makes a server for each of its addresses, which passes all upgrade requests on.
  scope.addHook('onListen', async () => {
    for (const server of internal<EventEmitter[]>(scope, 'fastify.serverBindings', [])) door.watch(server)
  })
}

// Nobody reads from a socket whose upgrade was refused: its end would not be noticed. ws ends the timeout when it takes over.
function closeRefused (scope: FastifyInstance, emitter: EventEmitter, { server }: CheckedOptions): void {
  const waiting = new Set<Socket>()
  emitter.on('upgrade', ({ socket }: IncomingMessage) => {
    // A request of injectWS has none.
    if (!(socket instanceof Socket)) return
    waiting.add(socket)
    socket.setTimeout(server.handshakeTimeout, () => socket.destroy())
    socket.on('close', () => waiting.delete(socket))
  })
  scope.addHook('preClose', async () => { for (const socket of waiting) if (socket.timeout !== 0) socket.destroy() })
}

/** Lets through the upgrade requests that may become a WebSocket. Pages among them get a cookie, if they have none. */
export function gate ({ registration }: CheckedOptions, browsers: Browsers | undefined): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const { transports, allowedOrigins, protocol } = registration
  return async request => {
    if (!request.ws) return
    if (!transports.includes('websocket') || !offers(request, protocol)) throw new errors.COMETD_ERR_TRANSPORT_UNKNOWN()
    await checkOrigin(request, allowedOrigins)
    browsers?.issue(request)
  }
}

/** Has the cookies that pages get go out with the answers to their upgrade requests. */
export function addCookies ({ websocketServer }: FastifyInstance, browsers: Browsers): void {
  websocketServer.on('headers', (headers, request) => {
    const cookie = browsers.issuedTo(request)
    if (cookie !== undefined) headers.push(`Set-Cookie: ${cookie}`)
  })
}

function offers ({ headers }: FastifyRequest, protocol: string | undefined): boolean {
  return protocol === undefined || (headers['sec-websocket-protocol'] ?? '').split(',').some(offered => offered.trim() === protocol)
}
