import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { Server as SecureServer } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { COMPONENT_FILES, page, POLICY, SCRIPT, STYLE } from './api-docs-page.js'
import type { AsyncApiDocument, Surroundings } from './bayeux/asyncapi.js'
import { errors } from './errors.js'
import type { CheckedOptions } from './options.js'
import { below, getRoute } from './routes.js'

const COMPONENT = '@asyncapi/react-component'

type Handler = (request: FastifyRequest, reply: FastifyReply) => void

/**
 * The routes of the document, if the options want them. `describe` makes it for whoever asks.
 * @throws COMETD_ERR_OPTION_INVALID if a package is missing that the page needs
 */
export async function addApiDocs (fastify: FastifyInstance, options: CheckedOptions, describe: (request: FastifyRequest) => AsyncApiDocument): Promise<void> {
  const { path, asyncapi: { json = false, docs = false } } = options.registration
  const add = (scope: FastifyInstance, url: string, handler: Handler): void => { scope.route({ ...getRoute(fastify, options), url: below(path, url), handler } as RouteOptions) }
  const sendDocument: Handler = (request, reply) => send(reply, 'application/json', JSON.stringify(describe(request)))
  if (json) add(fastify, 'asyncapi.json', sendDocument)
  if (!docs) return

  const { default: fastifyStatic } = await need('@fastify/static', async () => await import('@fastify/static'))
  const root = await need(COMPONENT, () => fileURLToPath(new URL('.', import.meta.resolve(`${COMPONENT}/package.json`))))
  await fastify.register(async scope => {
    // The application may have its own, with settings of its own.
    await scope.register(fastifyStatic, { root, serve: false })
    add(scope, 'docs', (request, reply) => {
      reply.header('content-security-policy', POLICY)
      // The application may ignore trailing slashes.
      send(reply, 'text/html', page(/^[^?]*\/(\?|$)/.test(request.url) ? '' : 'docs/'))
    })
    add(scope, 'docs/page.js', (_request, reply) => send(reply, 'text/javascript', SCRIPT))
    add(scope, 'docs/page.css', (_request, reply) => send(reply, 'text/css', STYLE))
    add(scope, 'docs/asyncapi.json', sendDocument)
    for (const [name, file] of COMPONENT_FILES) add(scope, `docs/${name}`, (_request, reply) => { reply.header('x-content-type-options', 'nosniff').sendFile(file) })
  })
}

function send (reply: FastifyReply, type: string, text: string): void {
  reply.headers({ 'content-type': `${type}; charset=utf-8`, 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' }).send(text)
}

async function need<T> (name: string, load: () => T | Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw Object.assign(new errors.COMETD_ERR_OPTION_INVALID('asyncapi.docs', `the page needs the package ${name}, which cannot be loaded`), { cause })
  }
}

/** What the server cannot know of itself. `fastify` is the instance that the plugin was registered on. */
export function surroundings (fastify: FastifyInstance, options: CheckedOptions, request?: FastifyRequest): Surroundings {
  const { asyncapi, path } = options.registration
  const [host, secure] = (request && placeOfRequest(request)) ?? placeOfListener(fastify)
  const pathname = `/${fastify.prefix}/${options.prefix}/${path}`.replaceAll(/\/+/g, '/').replace(/(.)\/$/, '$1')
  return {
    info: asyncapi.info,
    servers: asyncapi.servers ?? serversAt(options, host, secure, pathname),
    securitySchemes: {
      cookie: { type: 'httpApiKey', in: 'cookie', name: options.server.browserCookieName, description: 'What a session is bound to. The server sets it with the answer to the first handshake.' },
      ...asyncapi.securitySchemes
    },
    schemas: Object.values(fastify.getSchemas())
  }
}

type Place = readonly [host: string, secure: boolean]

function serversAt ({ registration }: CheckedOptions, host: string, secure: boolean, pathname: string): Surroundings['servers'] {
  const polling = registration.transports.filter(name => name !== 'websocket')
  return {
    ...(registration.transports.includes('websocket') && { websocket: { host, pathname, protocol: secure ? 'wss' : 'ws', title: 'WebSocket', description: 'Bayeux messages in WebSocket messages.' } }),
    ...(polling.length > 0 && { http: { host, pathname, protocol: secure ? 'https' : 'http', title: polling.join(', '), description: 'Bayeux messages in HTTP requests and their answers.' } })
  }
}

// What a client says may be no host at all.
function placeOfRequest ({ host, protocol }: FastifyRequest): Place | undefined {
  const origin = `${protocol}://${host}`
  return URL.canParse(origin) ? [new URL(origin).host, protocol === 'https'] : undefined
}

function placeOfListener (fastify: FastifyInstance): Place {
  const secure = fastify.server instanceof SecureServer
  const listener = fastify.addresses().find(address => typeof address === 'object')
  if (listener === undefined) return ['localhost', secure]
  const { address, family, port } = listener
  const host = ['0.0.0.0', '::'].includes(address) ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return [new URL(`${secure ? 'https' : 'http'}://${host}:${port}`).host, secure]
}
