import type { CometD, Message, SubscriptionHandle } from 'cometd'
import type { Peer } from './conversation.js'

/** The official client, of any version. */
export function cometdPeer (client: CometD, url: string): Peer {
  const subscriptions = new Set<(resubscribe: boolean) => void>()
  client.configure({ url, backoffIncrement: 50, logLevel: 'warn' })
  client.unregisterTransport('websocket')
  client.unregisterTransport('callback-polling')
  let opened = false
  client.addListener('/meta/handshake', (reply: Message) => {
    // A new session knows nothing of the subscriptions of the old one.
    if (reply.successful === true && opened) client.batch(() => { for (const subscribe of subscriptions) subscribe(true) })
  })
  return {
    open: async () => await new Promise((resolve, reject) => client.handshake((reply: Message) => {
      opened = true
      if (reply.successful === true) resolve(reply.clientId as string)
      else reject(new Error(reply.error))
    })),
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
