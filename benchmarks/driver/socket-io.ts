// The wire of socket.io 4 over its WebSocket transport: an Engine.IO packet a frame, most of them with a Socket.IO packet
// inside. https://socket.io/docs/v4/engine-io-protocol/, https://socket.io/docs/v4/socket-io-protocol/

import type { Member, OnEvents } from './crowd.js'
import { Pending } from './pending.js'
import type { WebSocket } from './web-socket.js'

export const SOCKET_IO_URL = '/socket.io/?EIO=4&transport=websocket'

const PING = '2'
const PONG = '3'
const CONNECT = '40'
const EVENT = '42'
const ACK = '43'
/** The id of an acknowledgement, then its arguments as JSON. */
const ACK_PARTS = /^43(\d+)\[/
/** Opening of the connection. */
const OPEN = '0'

/** One socket.io client. */
export class SocketIoClient implements Member {
  readonly #socket: WebSocket
  readonly #pending = new Pending<void>()
  #onConnected = () => {}
  #onEvents: OnEvents = () => {}

  private constructor (socket: WebSocket) {
    this.#socket = socket
  }

  static async enter (socket: WebSocket): Promise<SocketIoClient> {
    const client = new SocketIoClient(socket)
    await client.#connect()
    return client
  }

  async subscribe (channel: string): Promise<void> {
    await this.#pending.ask(1, id => this.#emit(id, ['subscribe', channel]))
  }

  async publish (channel: string, data: readonly unknown[]): Promise<void> {
    await this.#pending.ask(data.length, id => this.#emit(id, ...data.map(data => ['publish', channel, data])))
  }

  async stay (onEvents: OnEvents): Promise<never> {
    this.#onEvents = onEvents
    await this.#pending.ask(1, () => {})
    throw new Error('an acknowledgement of nothing')
  }

  #connect (): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onConnected = resolve
      this.#socket.listen({
        receive: text => this.#receive(text),
        end: error => {
          reject(error)
          this.#pending.end(error)
        }
      })
      this.#socket.send(CONNECT)
    })
  }

  #emit (id: string, ...events: unknown[][]): void {
    this.#socket.send(...events.map(event => `${EVENT}${id}${JSON.stringify(event)}`))
  }

  #receive (text: string): void {
    if (text.startsWith(EVENT)) {
      const [channel, data] = JSON.parse(text.slice(EVENT.length)) as [string, unknown]
      this.#onEvents([{ channel, data }])
    } else if (text.startsWith(ACK)) this.#pending.answer(ACK_PARTS.exec(text)?.[1])
    else if (text === PING) this.#socket.send(PONG)
    else if (text.startsWith(CONNECT)) this.#onConnected()
    else if (!text.startsWith(OPEN)) throw new Error(`an unexpected packet: ${text}`)
  }
}
