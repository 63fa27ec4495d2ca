import Fastify, { type FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { HOST, PATH, serve } from './control.js'

// A driver is one client that does what very many do.
const UNBOUNDED = { maxPublishRate: 1e9, maxPublishBurst: 1e9, maxPublishByteRate: 1e9, maxPublishByteBurst: 1e9 }
const CHANNEL = '/benchmark/hostile'

function declare (app: FastifyInstance, count: number): void {
  // Rules that might be asked about wildcards.
  for (let i = 0; i < count; i++) app.cometd.createServerChannel(`/d/${i % 100}/${i}`, { subscribe: () => true })
}

/** Serves an application with the plugin. */
export async function serveOurs (options: CometDPluginOptions = {}): Promise<void> {
  await serve(async ({ holdTimeoutMs, declare: declared }) => {
    const app = Fastify()
    await app.register(cometd, { path: PATH, timeout: holdTimeoutMs, ...UNBOUNDED, ...options })
    declare(app, declared)
    await app.listen({ port: 0, host: HOST })
    return {
      port: (app.server.address() as AddressInfo).port,
      async close () { await app.close() },
      broadcast (each) {
        app.cometd.createServerChannel(CHANNEL).publish(null, 'to all')
        if (each) for (const session of app.cometd.getServerChannel(CHANNEL)?.subscribers ?? []) session.deliver(null, CHANNEL, session.id)
      },
      async declare (count) {
        const other = Fastify()
        await other.register(cometd)
        const before = process.cpuUsage()
        declare(other, count)
        const { user, system } = process.cpuUsage(before)
        await other.close()
        return user + system
      }
    }
  })
}
