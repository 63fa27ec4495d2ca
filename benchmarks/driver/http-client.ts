// HTTP/1.1 as far as the driver needs it, straight on sockets. A client that does more (node:http, fetch) takes longer over a
// request than the servers do: then they wait for it most of the time, and what is measured is the cost of waking up.

import { connect, type Socket } from 'node:net'
import { HOST, PATH } from '../peers/control.js'
import type { Message } from './message.js'

export interface HttpReply {
  status: number
  /** Whether the server closes the connection. */
  closes: boolean
  /** `name=value` of the cookie that the reply sets. */
  cookie: string | undefined
  messages: Message[]
}

const END_OF_HEAD = '\r\n\r\n'
const STATUS = /^HTTP\/1\.1 (\d+)/
const CONTENT_LENGTH = /\r\ncontent-length: (\d+)/i
const CLOSES = /\r\nconnection: close/i
const SET_COOKIE = /\r\nset-cookie: ([^;\r]+)/i

/** Posts to one server over as many kept-alive connections as there are requests at a time. */
export class HttpClient {
  readonly #port: number
  readonly #connections = new Set<Connection>()
  readonly #free: Connection[] = []

  constructor (port: number) {
    this.#port = port
  }

  async post (body: string, cookie: string | undefined, contentType = 'application/json'): Promise<HttpReply> {
    const connection = this.#free.pop() ?? this.#open()
    const reply = await connection.exchange([
      `POST ${PATH} HTTP/1.1`,
      `Host: ${HOST}:${this.#port}`,
      `Content-Type: ${contentType}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...cookie === undefined ? [] : [`Cookie: ${cookie}`]
    ].join('\r\n') + END_OF_HEAD + body)
    if (this.#connections.has(connection) && !reply.closes) this.#free.push(connection)
    return reply
  }

  /** Drops every connection; the requests that are held fail. */
  destroy (): void {
    for (const connection of this.#connections) connection.destroy()
  }

  #open (): Connection {
    const connection = new Connection(connect({ port: this.#port, host: HOST, noDelay: true }), () => {
      this.#connections.delete(connection)
      const index = this.#free.indexOf(connection)
      if (index !== -1) this.#free.splice(index, 1)
    })
    this.#connections.add(connection)
    return connection
  }
}

interface Waiting {
  resolve: (reply: HttpReply) => void
  reject: (error: Error) => void
}

/** One connection, with at most one request at a time. */
class Connection {
  readonly #socket: Socket
  #received = ''
  #waiting: Waiting | undefined

  constructor (socket: Socket, onClose: () => void) {
    this.#socket = socket
    // One character a byte, so that lengths can be compared; the driver sends and expects ASCII only.
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => this.#receive(chunk))
    socket.on('error', error => this.#fail(error))
    socket.on('close', () => {
      onClose()
      this.#fail(new Error('the server closed the connection'))
    })
  }

  exchange (request: string): Promise<HttpReply> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#socket.write(request)
    })
  }

  destroy (): void {
    this.#socket.destroy()
  }

  #receive (chunk: string): void {
    this.#received += chunk
    const endOfHead = this.#received.indexOf(END_OF_HEAD)
    if (endOfHead === -1) return
    const head = this.#received.slice(0, endOfHead)
    const length = CONTENT_LENGTH.exec(head)?.[1]
    if (length === undefined) return this.#fail(new Error(`a reply without Content-Length: ${head}`))
    const body = this.#received.slice(endOfHead + END_OF_HEAD.length)
    if (body.length >= Number(length)) this.#complete(head, body)
  }

  #complete (head: string, body: string): void {
    this.#received = ''
    const status = Number(STATUS.exec(head)?.[1])
    const cookie = SET_COOKIE.exec(head)?.[1]
    try {
      const messages = status === 200 ? JSON.parse(body) as Message[] : []
      this.#waiting?.resolve({ status, closes: CLOSES.test(head), cookie, messages })
      this.#waiting = undefined
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #fail (error: Error): void {
    this.#waiting?.reject(error)
    this.#waiting = undefined
    this.#socket.destroy()
  }
}
