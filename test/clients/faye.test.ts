import { createRequire } from 'node:module'
import t from 'tap'
import type { MakePeer } from './peer.js'
import { testClient } from './scenarios.js'

interface Subscription extends PromiseLike<void> { cancel: () => void, withChannel: (listener: (channel: string, data: unknown) => void) => Subscription }
interface FayeClient {
  connect: (callback: () => void) => void
  disable: (feature: string) => void
  subscribe: (channel: string) => Subscription
  publish: (channel: string, data: unknown, options: object) => PromiseLike<unknown>
  disconnect: () => PromiseLike<unknown> | undefined
  _dispatcher: { clientId: string, connectionType: string, close: () => void }
}
const { Client } = createRequire(import.meta.url)('faye') as { Client: new (url: string, options: object) => FayeClient }

// Its handshakes go over long-polling in any case.
const fayePeer: MakePeer = (url, transports) => {
  const client = new Client(url, { retry: 0.1, timeout: 5 })
  if (!transports.includes('websocket')) client.disable('websocket')
  return {
    open: async () => await new Promise(resolve => client.connect(() => resolve(client._dispatcher.clientId))),
    transport: () => client._dispatcher.connectionType,
    subscribe: async (channel, listener) => {
      const subscription = client.subscribe(channel).withChannel((channel, data) => listener(data, channel))
      await subscription
      return async () => subscription.cancel()
    },
    publish: async (channel, data) => { await client.publish(channel, data, { attempts: 1 }) },
    // It collects by itself what is sent in one turn.
    batch: messages => messages(),
    close: async () => {
      // A client whose session the server has ended is told so, and goes on.
      await client.disconnect()?.then(undefined, () => {})
      client._dispatcher.close()
    }
  }
}

testClient(t, 'faye 1.4', fayePeer, {
  // It opens its WebSocket before it has the cookie that its handshake over long-polling gives it.
  trustClientSession: true,
  // It gives a connect up, and all that is under way with it, when a fifth more than this is over.
  timeout: 1_000
})
