import { PATH } from '../peers/control.js'
import { Crowd, type Entrance, type Member } from './crowd.js'
import { HttpClient } from './http-client.js'
import type { Transport } from './message.js'
import type { ServerProcess } from './server-process.js'
import { Session } from './session.js'
import { SOCKET_IO_URL, SocketIoClient } from './socket-io.js'
import { SocketSession } from './socket-session.js'
import { WebSocket } from './web-socket.js'

class LongPollingEntrance implements Entrance<Session> {
  readonly #client: HttpClient

  constructor (port: number) {
    this.#client = new HttpClient(port)
  }

  enter (): Promise<Session> {
    return Session.enter(this.#client)
  }

  leave (): void {
    this.#client.destroy()
  }
}

/** A WebSocket for each member. */
class WebSocketEntrance<M extends Member> implements Entrance<M> {
  readonly #sockets: WebSocket[] = []
  readonly #open: () => Promise<WebSocket>
  readonly #enter: (socket: WebSocket) => Promise<M>

  constructor (port: number, url: string, enter: (socket: WebSocket) => Promise<M>) {
    this.#open = () => WebSocket.open(port, url)
    this.#enter = enter
  }

  async enter (): Promise<M> {
    const socket = await this.#open()
    this.#sockets.push(socket)
    return await this.#enter(socket)
  }

  leave (): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

export function longPollingCrowd ({ port }: ServerProcess): Crowd<Session> {
  return new Crowd(new LongPollingEntrance(port))
}

function webSocketCrowd ({ name, port }: ServerProcess): Crowd {
  return new Crowd<Member>(name === 'socket.io'
    ? new WebSocketEntrance(port, SOCKET_IO_URL, SocketIoClient.enter)
    : new WebSocketEntrance(port, PATH, socket => SocketSession.enter(socket, name.endsWith('-ack'))))
}

/** A crowd that speaks the wire of the server. */
export function crowdOf (server: ServerProcess, transport: Transport): Crowd {
  return transport === 'websocket' ? webSocketCrowd(server) : longPollingCrowd(server)
}
