import type { CometD, Message, SubscriptionHandle } from 'cometd'
import type { Peer, TransportName } from './peer.js'

/** cometd 7 says it by a function. */
type AnyTransport = { type?: string, getType?: () => string } | null

/** The official client, of any version. */
export function cometdPeer (client: CometD, url: string, transports: TransportName[]): Peer {
  const subscriptions = new Set<(resubscribe: boolean) => void>()
  client.configure({ url, backoffIncrement: 50, logLevel: 'warn' })
  for (const type of client.getTransportTypes()) {
    if (!transports.includes(type as TransportName)) client.unregisterTransport(type)
  }
  const transport = (): string | undefined => {
    const used = client.getTransport() as AnyTransport
    return used?.type ?? used?.getType?.()
  }
  let opened = false
  client.addListener('/meta/handshake', (reply: Message) => {
    // After its next handshake the client would have forgotten that WebSocket is refused, and retry it for ever.
    if (reply.successful === true && transport() !== 'websocket') client.unregisterTransport('websocket')
    // A new session knows nothing of the subscriptions of the old one.
    if (reply.successful === true && opened) client.batch(() => { for (const subscribe of subscriptions) subscribe(true) })
  })
  return {
    open: async () => await new Promise((resolve, reject) => client.handshake((reply: Message) => {
      if (reply.successful === true) {
        opened = true
        resolve(reply.clientId as string)
      // What only the transport failed to do is tried again, with another one.
      } else if (reply.error !== undefined) reject(new Error(reply.error))
    })),
    transport,
    subscribe: async (channel, listener) => await new Promise((resolve, reject) => {
      let handle: SubscriptionHandle
      const subscribe = (): void => {
        handle = client.subscribe(channel, (message: Message) => listener(message.data, message.channel), (reply: Message) => {
          if (reply.successful !== true) return reject(new Error(reply.error))
          subscriptions.add(subscribe)
          resolve(async () => await new Promise(resolve => {
            subscriptions.delete(subscribe)
            client.unsubscribe(handle, () => resolve())
          }))
        })
      }
      subscribe()
    }),
    publish: async (channel, data) => await new Promise((resolve, reject) => client.publish(channel, data, (reply: Message) => {
      if (reply.successful === true) resolve()
      else reject(new Error(reply.error))
    })),
    batch: messages => client.batch(messages),
    close: async () => await new Promise(resolve => {
      if (client.isDisconnected()) resolve()
      else client.disconnect(() => resolve())
    })
  }
}
