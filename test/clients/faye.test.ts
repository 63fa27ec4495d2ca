import { createRequire } from 'node:module'
import t from 'tap'
import { converse, type Peer } from './conversation.js'

interface Subscription extends PromiseLike<void> { cancel: () => void, withChannel: (listener: (channel: string, data: unknown) => void) => Subscription }
interface FayeClient {
  connect: (callback: () => void) => void
  disable: (feature: string) => void
  subscribe: (channel: string) => Subscription
  publish: (channel: string, data: unknown, options: object) => PromiseLike<unknown>
  disconnect: () => PromiseLike<unknown> | undefined
  _dispatcher: { clientId: string }
}
const { Client } = createRequire(import.meta.url)('faye') as { Client: new (url: string, options: object) => FayeClient }

function fayePeer (url: string): Peer {
  const client = new Client(url, { retry: 0.1, timeout: 5 })
  client.disable('websocket')
  return {
    open: async () => await new Promise(resolve => client.connect(() => resolve(client._dispatcher.clientId))),
    subscribe: async (channel, listener) => {
      const subscription = client.subscribe(channel).withChannel((channel, data) => listener(data, channel))
      await subscription
      return async () => subscription.cancel()
    },
    publish: async (channel, data) => { await client.publish(channel, data, { attempts: 1 }) },
    // It collects by itself what is sent in one turn.
    batch: messages => messages(),
    // A client whose session the server has ended is told so.
    close: async () => { await client.disconnect()?.then(undefined, () => {}) }
  }
}

t.test('faye 1.4', async t => {
  await converse(t, fayePeer)
})
