import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectSecurely, type TlsOptions } from 'node:tls'
import { type Test } from 'tap'

export interface RawAnswer { status: number, headers: Record<string, string>, body: string }

const KEY = Buffer.from('00112233445566778899aabbccddeeff', 'hex')

/** TLS without certificates, for a server and a client that trust each other. */
export const serverTls: TlsOptions = { ciphers: 'PSK', maxVersion: 'TLSv1.2', pskCallback: () => KEY }
export const clientTls = { ciphers: 'PSK', maxVersion: 'TLSv1.2', pskCallback: () => ({ psk: KEY, identity: 'test' }), checkServerIdentity: () => undefined as never } as const

/** What a client writes that would like to go on with another protocol. */
export const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n'
export const WEBSOCKET = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

/** The head of a request, and its body if there is one. */
export function written (line: string, headers: string, body?: string): string {
  const length = body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  return `${line} HTTP/1.1\r\nHost: test\r\n${headers}${length}\r\n${body ?? ''}`
}

/** One connection, on which a test writes what it likes. */
export class RawClient {
  readonly socket: Socket
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>
  #text = ''

  constructor (t: Test, socket: Socket) {
    this.socket = socket.setEncoding('latin1')
    socket.on('data', (text: string) => { this.#text += text })
    socket.on('error', () => {})
    this.closed = new Promise(resolve => socket.on('close', () => resolve()))
    t.teardown(() => socket.destroy())
  }

  static async open (t: Test, origin: string): Promise<RawClient> {
    const { protocol, hostname, port } = new URL(origin)
    const secure = protocol === 'https:'
    const socket = secure ? connectSecurely({ ...clientTls, host: hostname, port: Number(port) }) : connect(Number(port), hostname)
    await once(socket, secure ? 'secureConnect' : 'connect')
    return new RawClient(t, socket)
  }

  write (text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** The next answer. Rejects if the connection ends without one. */
  async answer (): Promise<RawAnswer> {
    for (;;) {
      const head = this.#text.indexOf('\r\n\r\n')
      if (head >= 0) {
        const [status, ...lines] = this.#text.slice(0, head).split('\r\n') as [string, ...string[]]
        const headers = Object.fromEntries(lines.map(line => [line.split(':')[0]?.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])) as Record<string, string>
        const end = head + 4 + Number(headers['content-length'] ?? 0)
        if (this.#text.length >= end) {
          const body = this.#text.slice(head + 4, end)
          this.#text = this.#text.slice(end)
          return { status: Number(status.split(' ')[1]), headers, body }
        }
      }
      await Promise.race([once(this.socket, 'data'), this.closed.then(() => { throw new Error(`closed after: ${this.#text}`) })])
    }
  }

  /** Writes, and gives the next answer. */
  async send (text: string): Promise<RawAnswer> {
    this.write(text)
    return await this.answer()
  }
}
