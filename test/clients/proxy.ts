import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

export interface ProxySettings {
  /** Answers upgrade requests with 403. */
  refuseUpgrades?: boolean
  /** Milliseconds after which a WebSocket is cut, and how often that happens. */
  cuts?: { after: number, times: number }
}

const UPGRADE = /^upgrade: *websocket/im
const REFUSAL = 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'

/** A TCP proxy whose other side can change, and which can be cut: the network between a client and its server. */
export class Proxy {
  url = ''
  /** Number of the upgrade requests that came. */
  upgrades = 0
  /** What the server wrote into WebSockets that were cut. */
  lost = ''
  /** A WebSocket was cut, and the server has noticed. */
  onCut: () => void = () => {}

  readonly #settings: ProxySettings
  readonly #sockets = new Set<Socket>()
  #cutsLeft: number
  #target: number | undefined

  constructor (settings: ProxySettings) {
    this.#settings = settings
    this.#cutsLeft = settings.cuts?.times ?? 0
  }

  static async start (t: Test, settings: ProxySettings = {}): Promise<Proxy> {
    const proxy = new Proxy(settings)
    const server = createServer(client => { proxy.#accept(client) })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => { proxy.cut(); server.close() })
    proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cometd`
    return proxy
  }

  /** Leads new connections to `port`. */
  leadTo (port: number): void {
    this.#target = port
  }

  /** Breaks all connections and lets none through until `leadTo`. */
  cut (): void {
    this.#target = undefined
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept (client: Socket): void {
    this.#track(client)
    client.once('data', head => {
      client.pause()
      const upgrades = UPGRADE.test(head.toString('latin1'))
      if (upgrades) this.upgrades++
      if (this.#target === undefined) client.destroy()
      else if (upgrades && this.#settings.refuseUpgrades === true) client.end(REFUSAL)
      else this.#lead(client, head as Buffer, this.#target, upgrades)
    })
  }

  #lead (client: Socket, head: Buffer, target: number, upgrades: boolean): void {
    const upstream = this.#track(connect(target, '127.0.0.1'))
    upstream.write(head)
    client.pipe(upstream).pipe(client)
    const clientGone = (): void => { upstream.destroy() }
    client.on('close', clientGone)
    upstream.on('close', () => client.destroy())
    const { cuts } = this.#settings
    if (cuts === undefined || !upgrades) return
    const timer = setTimeout(() => {
      if (this.#cutsLeft-- <= 0) return
      client.off('close', clientGone)
      this.#sever(client, upstream)
    }, cuts.after)
    client.on('close', () => clearTimeout(timer))
  }

  // The client is gone at once, with all that came until now. The server sees it when it next writes: that is what gets lost.
  #sever (client: Socket, upstream: Socket): void {
    client.unpipe(upstream)
    upstream.unpipe(client)
    client.end()
    client.resume()
    upstream.on('data', chunk => {
      this.lost += chunk.toString('latin1')
      upstream.end()
    })
    upstream.resume()
    upstream.on('end', () => { this.onCut() })
  }

  #track (socket: Socket): Socket {
    this.#sockets.add(socket)
    return socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {})
  }
}
