export type TransportName = 'websocket' | 'long-polling'

/** A client library that we did not write, as the tests use it. */
export interface Peer {
  /** Resolves with the clientId when the handshake succeeded. Later handshakes are the library's own business. */
  open: () => Promise<string>
  /** The name of the transport in use. */
  transport: () => string | undefined | Promise<string>
  /** Resolves when the server confirmed; rejects when it refused. Holds over later handshakes. */
  subscribe: (channel: string, listener: (data: unknown, channel: string) => void) => Promise<() => Promise<void>>
  /** Resolves when the server accepted; rejects when it refused. */
  publish: (channel: string, data: unknown) => Promise<void>
  batch: (messages: () => void) => void
  close: () => Promise<void>
  /** It sends again what may have arrived. */
  repeats?: boolean
  /** It comes back when the server disconnects it: only a failure keeps it away. */
  comesBack?: boolean
  /** Characters of the largest message that it takes over WebSocket. */
  largest?: number
}

/** Makes a client that uses the best of these transports that works. */
export type MakePeer = (url: string, transports: TransportName[]) => Peer
