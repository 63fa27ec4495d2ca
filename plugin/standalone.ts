import Fastify, { type FastifyInstance } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Duplex, Readable } from 'node:stream'
import type { CometDServer } from './bayeux/server.js'
import { errors } from './errors.js'
import { buildServer, mount } from './mount.js'
import { checkOptions, type CometDPluginOptions } from './options.js'

/** What `createCometDServer(options)` takes: the plugin's options, but for those of its routes. */
export type StandaloneOptions = Omit<CometDPluginOptions, 'path' | 'routeOptions'>

/** A CometD server for an HTTP server that is not Fastify's. */
export interface StandaloneCometDServer extends CometDServer {
  /** Handles one request: `http.createServer(server.handle)`. */
  handle: (request: IncomingMessage, response: ServerResponse) => void
  /** Handles one upgrade request, which becomes a WebSocket: `httpServer.on('upgrade', server.upgrade)`. */
  upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

type RequestWithBody = IncomingMessage & { body?: unknown }

/**
 * A CometD server without a Fastify application around it; inside it has one of its own. Each call makes an independent server.
 * It logs warnings and errors to standard output; `logLevel` sets more or less.
 * @throws COMETD_ERR_OPTION_INVALID
 */
export function createCometDServer (options: StandaloneOptions = {}): StandaloneCometDServer {
  const checked = checkOptions({ ...options, path: '/' })
  const app = Fastify({
    logger: { level: checked.registration.logLevel ?? 'warn' },
    // Whatever path the HTTP server sends here is meant for this server.
    rewriteUrl: () => '/'
  })
  const server = buildServer(app, checked, app.log)
  app.register(async scope => {
    scope.addHook('preParsing', async (request, _reply, payload) => readAlready(request.raw) ?? payload)
    await mount(scope, checked, server)
  })
  app.setNotFoundHandler(() => { throw new errors.COMETD_ERR_TRANSPORT_UNKNOWN() })
  const whenReady = afterBoot(app)
  return Object.assign(server, {
    handle: whenReady((request: IncomingMessage, response: ServerResponse) => app.routing(request, response)),
    upgrade: whenReady((request: IncomingMessage, socket: Duplex, head: Buffer) => {
      // @fastify/websocket, if it is there, listens to the application's own server, which does not listen to a port.
      if (!app.server.emit('upgrade', request, socket, head)) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    })
  })
}

function afterBoot (app: FastifyInstance): <Args extends unknown[]>(handle: (...args: Args) => void) => (...args: Args) => void {
  let ready = false
  const booted = app.ready().then(() => { ready = true })
  return handle => (...args) => {
    if (ready) handle(...args)
    else booted.then(() => handle(...args))
  }
}

// A body that something before this server (a body parser of Express, say) has read, as the stream that it was.
function readAlready (request: RequestWithBody): Readable | undefined {
  const { body } = request
  if (body === undefined) return undefined
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
  return Object.assign(Readable.from([text], { objectMode: false }), { receivedEncodedLength: Number(request.headers['content-length']) })
}
