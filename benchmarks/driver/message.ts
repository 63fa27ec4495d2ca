/** How the messages of a session travel. */
export type Transport = 'long-polling' | 'websocket'

/** Any Bayeux message, as far as the driver looks at it. */
export interface Message {
  id?: string
  channel: string
  clientId?: string
  successful?: boolean
  error?: string
  data?: unknown
  ext?: Record<string, unknown>
}

export const request = {
  handshake: (transport: Transport) => ({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: [transport] }),

  connect: (clientId: string, transport: Transport) => ({ channel: '/meta/connect', clientId, connectionType: transport }),

  /** Some servers hold the first connect and some don't; asked not to wait, all answer it at once. */
  firstConnect: (clientId: string, transport: Transport) => ({ ...request.connect(clientId, transport), advice: { timeout: 0 } }),

  subscribe: (clientId: string, channel: string) => ({ channel: '/meta/subscribe', clientId, subscription: channel }),

  publish: (clientId: string, channel: string, data: readonly unknown[]) => data.map(data => ({ channel, clientId, data }))
}

/** Events carry data, and maybe the id of whoever published them; replies carry no data. */
export function isEvent ({ data }: Message): boolean {
  return data !== undefined
}

/** @throws if the reply says that its request failed */
export function checkSuccessful ({ channel, successful, error }: Message): void {
  if (successful !== true) throw new Error(`${channel} failed: ${error}`)
}

/** @throws if the reply to a handshake gives no clientId */
export function clientIdOf ({ clientId }: Message): string {
  if (clientId === undefined) throw new Error('a handshake reply without a clientId')
  return clientId
}
