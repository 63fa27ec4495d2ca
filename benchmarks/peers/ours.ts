import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { HOST, PATH, serve } from './control.js'

/** Serves an application with the plugin. */
export async function serveOurs (options: CometDPluginOptions = {}): Promise<void> {
  await serve(async ({ holdTimeoutMs }) => {
    const app = Fastify()
    await app.register(cometd, { path: PATH, timeout: holdTimeoutMs, ...options })
    await app.listen({ port: 0, host: HOST })
    return {
      port: (app.server.address() as AddressInfo).port,
      async close () { await app.close() }
    }
  })
}
