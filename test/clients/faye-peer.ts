import { createRequire } from 'node:module'
import type { MakePeer } from './peer.js'

interface Deferrable { callback: (done: () => void) => void, errback: (failed: (err: Error) => void) => void }
interface Subscription extends Deferrable { cancel: () => void }
interface Transport { connectionType: string, close: () => void, connect?: () => void, request: () => void }
interface FayeClient {
  connect: (callback: () => void) => void
  disable: (feature: string) => void
  addExtension: (extension: { incoming: (message: { channel: string }, callback: (message: object) => void) => void }) => void
  subscribe: (channel: string, listener: (data: unknown) => void) => Subscription
  publish: (channel: string, data: unknown, options: object) => Deferrable
  disconnect: () => Deferrable | undefined
  /** From 1.1 on. */
  _dispatcher?: { clientId: string, connectionType: string, close: () => void }
  /** Until 1.0. */
  _clientId: string
  _state: number
  _transport: Transport | undefined
  transports: { websocket?: Record<string, Transport> }
}

const CONNECTED = 3

const require = createRequire(import.meta.url)

const settled = async (deferrable: Deferrable): Promise<void> => await new Promise((resolve, reject) => {
  deferrable.callback(resolve)
  deferrable.errback(reject)
})

/** All transports that a client until 1.0 uses, one after the other: each handshake makes another one. */
function transportsOf (client: FayeClient): Iterable<Transport> {
  const transports = new Set<Transport>()
  let current: Transport | undefined
  Object.defineProperty(client, '_transport', {
    configurable: true,
    get: () => current,
    set: (transport: Transport | undefined) => {
      current = transport
      if (transport !== undefined) transports.add(transport)
    }
  })
  return transports
}

/** A client of faye, of any version since 0.8. `name` is that of its package. Its handshakes go over long-polling in any case. */
export function fayePeer (name: string): MakePeer {
  const { Client } = require(name) as { Client: new (url: string, options: object) => FayeClient }
  return (url, transports) => {
    const client = new Client(url, { retry: 0.1, timeout: 5 })
    if (!transports.includes('websocket')) client.disable('websocket')
    const former = client._dispatcher === undefined ? transportsOf(client) : []
    // Before 1.2 no listener is told the channel; it is called in the same turn as this.
    let channelOfEvent = ''
    const said = new Promise<void>(resolve => client.addExtension({
      incoming: (message, callback) => {
        channelOfEvent = message.channel
        callback(message)
        if (message.channel === '/meta/disconnect') resolve()
      }
    }))
    return {
      open: async () => await new Promise(resolve => client.connect(() => resolve(client._dispatcher?.clientId ?? client._clientId))),
      transport: () => client._dispatcher?.connectionType ?? client._transport?.connectionType,
      subscribe: async (channel, listener) => {
        const subscription = client.subscribe(channel, data => listener(data, channelOfEvent))
        await settled(subscription)
        return async () => subscription.cancel()
      },
      // Before 1.1 there is no limit to attempts.
      publish: async (channel, data) => await settled(client.publish(channel, data, { attempts: 1 })),
      repeats: client._dispatcher === undefined,
      // It collects by itself what is sent in one turn.
      batch: messages => messages(),
      close: async () => {
        const connected = client._state === CONNECTED
        const disconnected = client.disconnect()
        // A client whose session the server has ended is told so, and goes on.
        if (disconnected !== undefined) await settled(disconnected).catch(() => {})
        if (client._dispatcher !== undefined) return client._dispatcher.close()
        // Until 1.0 nothing says that it is done, and what failed is sent again for ever.
        if (connected) await said
        for (const transport of [...former, ...Object.values(client.transports.websocket ?? {})]) {
          transport.request = transport.connect = () => {}
          transport.close()
        }
        client._transport = undefined
      }
    }
  }
}
