import type { FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import type { CometDServer, Transport } from '../bayeux/server.js'
import type { ReadJson } from './batch.js'
import type { Browsers } from './browser.js'
import { CLOSED, Connection, GOING_AWAY } from './connection.js'
import { Payloads } from './payloads.js'

/** Bayeux messages in WebSocket messages, which leave as soon as they are there (B2). */
export class WebSocketTransport implements Transport {
  readonly name = 'websocket'
  held = 0
  readonly server: CometDServer
  readonly browsers: Browsers
  readonly payloads: Payloads
  readonly readJson: ReadJson
  /** Bytes. */
  readonly maxMessageSize: number
  readonly #connections = new Set<Connection>()
  #whenDone: (() => void) | undefined

  constructor (server: CometDServer, browsers: Browsers, readJson: ReadJson, maxMessageSize: number) {
    this.server = server
    this.browsers = browsers
    this.readJson = readJson
    this.maxMessageSize = maxMessageSize
    this.payloads = new Payloads(code => server.turns.later(code))
  }

  accept (ws: WebSocket, request: FastifyRequest): void {
    // One context for all its messages, entered once.
    const context = { request }
    const connection = this.server.runIn(context, () => new Connection(this, ws, request, context))
    this.#connections.add(connection)
    if (this.server.closed) connection.close(GOING_AWAY, CLOSED)
  }

  /** The socket of this connection is closed. */
  forget (connection: Connection): void {
    this.server.clock.cancel(connection)
    this.#connections.delete(connection)
    if (this.#connections.size === 0) this.#whenDone?.()
  }

  async close (): Promise<void> {
    for (const connection of this.#connections) connection.close(GOING_AWAY, CLOSED)
    if (this.#connections.size > 0) await new Promise<void>(resolve => { this.#whenDone = resolve })
  }

  abort (): void {
    for (const connection of this.#connections) connection.terminate()
  }
}
