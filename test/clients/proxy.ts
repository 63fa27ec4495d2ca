import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP proxy whose other side can change, and which can be cut: the network between a client and its server. */
export interface Proxy {
  url: string
  /** Leads new connections to `port`. */
  leadTo: (port: number) => void
  /** Breaks all connections and lets none through until `leadTo`. */
  cut: () => void
}

export async function startProxy (t: Test): Promise<Proxy> {
  let target: number | undefined
  const sockets = new Set<Socket>()
  const track = (socket: Socket): Socket => {
    sockets.add(socket)
    return socket.on('close', () => sockets.delete(socket)).on('error', () => {})
  }
  const server = createServer(client => {
    track(client)
    if (target === undefined) return client.destroy()
    const upstream = track(connect(target, '127.0.0.1'))
    client.pipe(upstream).pipe(client)
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
  })
  const cut = (): void => {
    target = undefined
    for (const socket of sockets) socket.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { cut(); server.close() })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/cometd`, leadTo: port => { target = port }, cut }
}
