// @ts-check
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import fastifyStatic from '@fastify/static'
import { chat } from './chat.js'

/** @import { FastifyServerOptions } from 'fastify' */
/** @import { CometDPluginOptions } from 'fastify-cometd' */

const page = fileURLToPath(new URL('public/', import.meta.url))
const client = fileURLToPath(new URL('.', import.meta.resolve('cometd')))

// The CometD client keeps its timers in a worker made from a blob, so that background tabs stay on time.
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'", 'worker-src blob:', "object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"
].join('; ')

/**
 * The whole chat as a Fastify application: the page, the CometD client that it uses, and the CometD server.
 *
 * @param {FastifyServerOptions & { cometd?: CometDPluginOptions }} [options] for Fastify, and for the CometD server
 */
export async function buildChat ({ cometd, ...options } = {}) {
  const app = Fastify(options)

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'content-security-policy': CONTENT_SECURITY_POLICY, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
  })

  // This is for where WebSocket does not get through. A browser opens six connections to one host: four tabs may hold one each,
  // the other two stay free for everything else.
  await app.register(chat, { maxSessionsPerBrowser: 4, ...cometd })

  await app.register(fastifyStatic, { root: page })
  await app.register(fastifyStatic, {
    root: client,
    prefix: '/vendor/cometd/',
    allowedPath: path => path.endsWith('.js'),
    decorateReply: false
  })

  return app
}
