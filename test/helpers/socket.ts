import { once as nodeOnce } from 'node:events'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { type ClientOptions, WebSocket } from 'ws'
import type { ServerSession } from '../../plugin/index.js'
import { once, type Wire } from './harness.js'
import { listen } from './http.js'

/** A client that knows only the wire, over a WebSocket of its own. */
export class SocketClient {
  readonly ws: WebSocket
  /** The frames that came: the messages of each. */
  readonly frames: Wire[][] = []
  /** Resolves with the code and the reason when the socket is closed. */
  readonly closed: Promise<{ code: number, reason: string }>
  clientId = ''
  readonly #app: FastifyInstance
  // Each gives whether it has found what it waits for.
  #waiting: Array<() => boolean> = []
  #id = 0

  constructor (app: FastifyInstance, url: string, options?: ClientOptions) {
    this.#app = app
    this.ws = new WebSocket(url.replace('http', 'ws'), options)
    this.ws.on('message', data => {
      this.frames.push(JSON.parse((data as Buffer).toString()))
      this.#waiting = this.#waiting.filter(hasFound => !hasFound())
    })
    this.ws.on('error', () => {})
    this.closed = new Promise(resolve => this.ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() })))
  }

  /** An open socket to the application, which begins to listen if it does not. */
  static async open (app: FastifyInstance, options?: ClientOptions & { path?: string }): Promise<SocketClient> {
    const origin = app.server.listening ? app.listeningOrigin : await listen(app)
    const client = new SocketClient(app, origin + (options?.path ?? '/cometd'), options)
    await nodeOnce(client.ws, 'open')
    return client
  }

  /** An open socket with a session. */
  static async join (app: FastifyInstance, options?: ClientOptions): Promise<SocketClient> {
    const client = await SocketClient.open(app, options)
    await client.handshake()
    return client
  }

  get session (): ServerSession {
    return this.#app.cometd.getServerSession(this.clientId) as ServerSession
  }

  get messages (): Wire[] {
    return this.frames.flat()
  }

  /** The data of the events that came on `channel`. */
  events (channel: string): unknown[] {
    return this.messages.filter(message => message['channel'] === channel && 'data' in message).map(({ data }) => data)
  }

  raw (body: unknown): void {
    this.ws.send(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body))
  }

  /** Sends one message with an id and the clientId. Resolves with the reply of that id. */
  async send (message: Wire): Promise<Wire> {
    const id = String(++this.#id)
    this.raw([{ id, clientId: this.clientId, ...message }])
    return await this.reply(id)
  }

  async reply (id: string): Promise<Wire> {
    return await this.until(() => this.messages.find(message => message['id'] === id))
  }

  /** Resolves with what `found` gives once that is truthy; it is asked with each frame that comes. */
  async until<T> (found: () => T | undefined | false): Promise<T> {
    return await new Promise(resolve => {
      const hasFound = (): boolean => {
        const value = found()
        if (value === undefined || value === false) return false
        resolve(value)
        return true
      }
      if (!hasFound()) this.#waiting.push(hasFound)
    })
  }

  async handshake (fields: Wire = {}): Promise<Wire> {
    const reply = await this.send({ channel: '/meta/handshake', clientId: undefined, version: '1.0', supportedConnectionTypes: ['websocket'], ...fields })
    if (reply['clientId'] !== undefined) this.clientId = reply['clientId']
    return reply
  }

  async connect (fields: Wire = {}): Promise<Wire> {
    return await this.send({ channel: '/meta/connect', connectionType: 'websocket', ...fields })
  }

  /** Sends a connect; resolves when the server holds it. */
  async hold (fields: Wire = {}): Promise<{ answer: Promise<Wire> }> {
    const suspended = once(this.session, 'suspended')
    const answer = this.connect(fields)
    await suspended
    return { answer }
  }

  async subscribe (subscription: string | string[]): Promise<Wire> {
    return await this.send({ channel: '/meta/subscribe', subscription })
  }

  async publish (channel: string, data: unknown): Promise<Wire> {
    return await this.send({ channel, data })
  }

  /** Resolves when everything that the server has written so far has come. */
  async caughtUp (): Promise<void> {
    this.ws.ping()
    await nodeOnce(this.ws, 'pong')
  }

  /** The TCP socket beneath, which ws keeps to itself. */
  get tcp (): Socket {
    return (this.ws as unknown as { _socket: Socket })._socket
  }
}

/** Breaks the client's connection. Resolves when the server has noticed. */
export async function drop (app: FastifyInstance, client: SocketClient): Promise<void> {
  const serverSide = serverSideOf(app, client)
  const noticed = nodeOnce(serverSide, 'close')
  client.ws.terminate()
  await noticed
}

const accepted = new WeakMap<FastifyInstance, Map<number, { ws: WebSocket, tcp: Socket }>>()

/** To be called before the first socket is opened: remembers the server's sides of the sockets. */
export function remember (app: FastifyInstance): void {
  const sockets = new Map<number, { ws: WebSocket, tcp: Socket }>()
  accepted.set(app, sockets)
  app.websocketServer.on('connection', (ws, request) => { sockets.set(request.socket.remotePort as number, { ws, tcp: request.socket }) })
}

export function serverSideOf (app: FastifyInstance, client: SocketClient): WebSocket {
  return sidesOf(app, client)?.ws as WebSocket
}

/** The TCP socket beneath the server's side. */
export function serverTcpOf (app: FastifyInstance, client: SocketClient): Socket {
  return sidesOf(app, client)?.tcp as Socket
}

function sidesOf (app: FastifyInstance, client: SocketClient): { ws: WebSocket, tcp: Socket } | undefined {
  return accepted.get(app)?.get(client.tcp.localPort as number)
}
