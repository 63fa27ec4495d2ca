import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { type Test } from 'tap'
import cometd, { type CometDPluginOptions, type CometDServer } from '../../plugin/index.js'
import { createTestClient, createTestClock, type TestClient, type TestClientOptions, type TestClock, type WireMessage } from '../../plugin/testing.js'

export interface Kit {
  app: FastifyInstance
  cometd: CometDServer
  clock: TestClock
  /** A client that has not done its handshake. */
  client: (options?: TestClientOptions) => TestClient
  /** A client with a session and a held connect. */
  open: (options?: TestClientOptions, handshake?: WireMessage) => Promise<TestClient>
}

/** An application with the plugin, on a clock of its own, for tests whose subject is not the wire. */
export async function startKit (t: Test, options: CometDPluginOptions = {}, { prepare, ...fastify }: FastifyServerOptions & { prepare?: (app: FastifyInstance) => unknown } = {}): Promise<Kit> {
  // What is left of the options lets the compiler think of HTTP/2, too.
  const app = Fastify(fastify) as unknown as FastifyInstance
  t.teardown(async () => await app.close())
  const clock = createTestClock()
  await prepare?.(app)
  await app.register(cometd, { clock, ...options })
  const client = (clientOptions?: TestClientOptions): TestClient => createTestClient(app, clientOptions)
  return {
    app,
    cometd: app.cometd,
    clock,
    client,
    open: async (clientOptions, handshake) => {
      const opened = client(clientOptions)
      t.match(await opened.handshake(handshake), { successful: true })
      return opened
    }
  }
}
