import websocket, { type WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest, RawServerBase } from 'fastify'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errors } from './errors.js'
import { asksForWebSocket } from './neighbours.js'
import type { CheckedOptions } from './options.js'

// Compression costs memory for each socket, and CPU for each message and socket: these settings keep both small.
const DEFLATE = { threshold: 1024, concurrencyLimit: 10, serverNoContextTakeover: true }

/** The constraint of a route that takes upgrade requests only. Others with the same URL are left to the application. */
export const UPGRADE = { cometdUpgrade: 'websocket' } as const

const listening = new WeakSet<RawServerBase>()

/** Bytes of a WebSocket message. */
export function maxMessageSize (fastify: FastifyInstance, { registration }: CheckedOptions): number {
  return registration.maxMessageSize ?? registration.bodyLimit ?? fastify.initialConfig.bodyLimit as number
}

/**
 * Makes the application take upgrade requests, by @fastify/websocket, unless it does so already.
 * @throws COMETD_ERR_OPTION_INVALID if there are options for it, but it belongs to the application
 */
export async function addUpgrades (fastify: FastifyInstance, options: CheckedOptions): Promise<void> {
  const { transports, perMessageDeflate, protocol } = options.registration
  if (!transports.includes('websocket')) return
  const maxPayload = maxMessageSize(fastify, options)
  if (!fastify.hasConstraintStrategy('cometdUpgrade')) fastify.addConstraintStrategy({ name: 'cometdUpgrade', storage: () => new Map(), deriveConstraint: upgradeOf })
  if (fastify.hasDecorator('websocketServer')) {
    if (perMessageDeflate !== false) throw new errors.COMETD_ERR_OPTION_INVALID('perMessageDeflate', 'the application has registered @fastify/websocket, with options of its own')
    if (protocol !== undefined) throw new errors.COMETD_ERR_OPTION_INVALID('protocol', 'the application has registered @fastify/websocket, with options of its own')
    const { maxPayload: shared = 0 } = fastify.websocketServer.options
    if (shared === 0 || shared > maxPayload) fastify.log.warn({ maxPayload: shared, maxMessageSize: maxPayload }, 'the maxPayload of @fastify/websocket is more than a CometD client may send')
    return
  }
  const server: WebsocketPluginOptions['options'] = {
    maxPayload,
    ...(protocol !== undefined && { handleProtocols: () => protocol }),
    perMessageDeflate: perMessageDeflate === false ? false : { ...DEFLATE, ...(perMessageDeflate as object) }
  }
  // Of several scopes with a plugin of their own one takes the upgrade requests. All know such a request when they see it.
  if (listening.has(fastify.server)) server.server = new EventEmitter() as Server
  else closeRefused(fastify, options)
  listening.add(fastify.server)
  await fastify.register(websocket, { options: server })
}

// Node has `upgrade` in a request; that of injectWS has none. It is no upgrade if nobody is there to take it.
function upgradeOf (request: IncomingMessage & { upgrade?: boolean }): string | undefined {
  return request.upgrade !== false && asksForWebSocket(request) ? UPGRADE.cometdUpgrade : undefined
}

// Nobody reads from a socket whose upgrade was refused: its end would not be noticed. ws ends the timeout when it takes over.
function closeRefused (fastify: FastifyInstance, { server }: CheckedOptions): void {
  const waiting = new Set<Socket>()
  fastify.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    // One of injectWS is a stream.
    if (!(socket instanceof Socket)) return
    waiting.add(socket)
    socket.setTimeout(server.handshakeTimeout, () => socket.destroy())
    socket.on('close', () => waiting.delete(socket))
  })
  fastify.addHook('preClose', async () => { for (const socket of waiting) if (socket.timeout !== 0) socket.destroy() })
}

/** Lets through the upgrade requests that may become a WebSocket. */
export function gate ({ registration }: CheckedOptions): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const { transports, allowedOrigins, protocol } = registration
  return async request => {
    if (!request.ws) return
    if (!transports.includes('websocket') || !offers(request, protocol)) throw new errors.COMETD_ERR_TRANSPORT_UNKNOWN()
    if (!await isAllowed(request, allowedOrigins)) throw new errors.COMETD_ERR_ORIGIN_FORBIDDEN()
  }
}

function offers ({ headers }: FastifyRequest, protocol: string | undefined): boolean {
  return protocol === undefined || (headers['sec-websocket-protocol'] ?? '').split(',').some(offered => offered.trim() === protocol)
}

async function isAllowed (request: FastifyRequest, allowed: CheckedOptions['registration']['allowedOrigins']): Promise<boolean> {
  const { origin } = request.headers
  if (typeof allowed === 'function') return await allowed.call(request.server, origin, request)
  if (origin === undefined || allowed === '*') return true
  return allowed === 'same-host' ? isSameHost(origin, request.host) : allowed.includes(origin)
}

function isSameHost (origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const page = new URL(origin)
  const here = `${page.protocol}//${host}`
  return URL.canParse(here) && new URL(here).host === page.host
}
