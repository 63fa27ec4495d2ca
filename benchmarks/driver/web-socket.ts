// A WebSocket client straight on sockets, for the reason that http-client.ts gives: the less the driver does, the less the
// servers wait for it.

import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { HOST } from '../peers/control.js'
import { FrameReader, OPCODE, frame } from './frames.js'

const END_OF_HEAD = '\r\n\r\n'
const SWITCHING = /^HTTP\/1\.1 101 /

export interface Listener {
  /** One text frame. */
  receive: (text: string) => void
  /** The connection has ended, by whomever. */
  end: (error: Error) => void
}

export class WebSocket {
  readonly #socket: Socket
  #listener: Listener | undefined
  #ended: Error | undefined
  #unheard: string[] = []

  private constructor (socket: Socket) {
    this.#socket = socket
  }

  /** Resolves when the server has switched protocols. */
  static open (port: number, path: string): Promise<WebSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: HOST, noDelay: true })
      socket.on('error', reject)
      socket.write([
        `GET ${path} HTTP/1.1`,
        `Host: ${HOST}:${port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`
      ].join('\r\n') + END_OF_HEAD)

      let received = Buffer.alloc(0)
      socket.on('data', function readHead (chunk) {
        received = Buffer.concat([received, chunk])
        const endOfHead = received.indexOf(END_OF_HEAD)
        if (endOfHead === -1) return
        const head = received.toString('latin1', 0, endOfHead)
        if (!SWITCHING.test(head)) {
          socket.destroy(new Error(`no WebSocket: ${head.split('\r\n')[0]}`))
          return
        }
        socket.off('data', readHead)
        const opened = new WebSocket(socket)
        opened.#start(received.subarray(endOfHead + END_OF_HEAD.length))
        resolve(opened)
      })
    })
  }

  /** Hears everything that the server has sent since it switched protocols. */
  listen (listener: Listener): void {
    this.#listener = listener
    for (const text of this.#unheard.splice(0)) listener.receive(text)
    if (this.#ended !== undefined) listener.end(this.#ended)
  }

  /** One frame for each text, all in one write. */
  send (...texts: string[]): void {
    const frames = texts.map(text => frame(OPCODE.text, text))
    this.#socket.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames))
  }

  destroy (): void {
    this.#socket.destroy()
  }

  #start (rest: Buffer): void {
    const reader = new FrameReader((opcode, text) => this.#receive(opcode, text))
    this.#socket.on('data', chunk => {
      try {
        reader.read(chunk)
      } catch (error) {
        this.#socket.destroy(error as Error)
      }
    })
    this.#socket.on('error', error => this.#end(error))
    this.#socket.on('close', () => this.#end(new Error('the server closed the connection')))
    if (rest.length > 0) reader.read(rest)
  }

  #receive (opcode: number, text: string): void {
    if (opcode === OPCODE.ping) this.#socket.write(frame(OPCODE.pong, text))
    else if (opcode === OPCODE.close) this.#socket.destroy(new Error(`the server closed the connection: ${text.slice(2)}`))
    else if (this.#listener === undefined) this.#unheard.push(text)
    else this.#listener.receive(text)
  }

  #end (error: Error): void {
    if (this.#ended !== undefined) return
    this.#ended = error
    this.#listener?.end(error)
  }
}
