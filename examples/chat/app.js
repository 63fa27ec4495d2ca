import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import fastifyStatic from '@fastify/static'
import cometd from 'fastify-cometd'
import { startChat } from './chat.js'

const page = fileURLToPath(new URL('public/', import.meta.url))
const client = fileURLToPath(new URL('.', import.meta.resolve('cometd')))

// The CometD client keeps its timers in a worker made from a blob, so that background tabs stay on time.
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'", 'worker-src blob:', "object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"
].join('; ')

/**
 * The whole chat as a Fastify application: the page, the CometD client that it uses, and the CometD server.
 *
 * @param {import('fastify').FastifyServerOptions} [options] for Fastify
 */
export async function buildChat (options) {
  const app = Fastify(options)

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'content-security-policy': CONTENT_SECURITY_POLICY, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
  })

  // This is for where WebSocket does not get through. A browser opens six connections to one host: four tabs may hold one each,
  // the other two stay free for everything else.
  await app.register(cometd, { maxSessionsPerBrowser: 4 })
  startChat(app.cometd)

  await app.register(fastifyStatic, { root: page })
  await app.register(fastifyStatic, {
    root: client,
    prefix: '/vendor/cometd/',
    allowedPath: path => path.endsWith('.js'),
    decorateReply: false
  })

  return app
}
