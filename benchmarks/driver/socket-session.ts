import type { Member, OnEvents } from './crowd.js'
import { checkSuccessful, clientIdOf, isEvent, type Message, request } from './message.js'
import { Pending } from './pending.js'
import type { WebSocket } from './web-socket.js'

/** One Bayeux session over a WebSocket of its own. */
export class SocketSession implements Member {
  readonly #socket: WebSocket
  readonly #pending = new Pending<Message>()
  // The last batch of the acknowledgement extension; undefined without it.
  #batch: number | undefined
  #clientId = ''
  #onEvents: OnEvents = () => {}

  private constructor (socket: WebSocket) {
    this.#socket = socket
    socket.listen({
      receive: text => this.#receive(JSON.parse(text) as Message[]),
      end: error => this.#pending.end(error)
    })
  }

  static async enter (socket: WebSocket, acknowledges = false): Promise<SocketSession> {
    const session = new SocketSession(socket)
    if (acknowledges) session.#batch = 0
    session.#clientId = clientIdOf(await session.#ask({ ...request.handshake('websocket'), ...(acknowledges && { ext: { ack: true } }) }))
    await session.#connect(request.firstConnect(session.#clientId, 'websocket'))
    return session
  }

  async subscribe (channel: string): Promise<void> {
    await this.#ask(request.subscribe(this.#clientId, channel))
  }

  async publish (channel: string, data: readonly unknown[]): Promise<void> {
    await this.#askAll(request.publish(this.#clientId, channel, data))
  }

  /** Always holds a connect; the events come whether one is held or not. */
  async stay (onEvents: OnEvents): Promise<never> {
    this.#onEvents = onEvents
    while (true) await this.#connect(request.connect(this.#clientId, 'websocket'))
  }

  async #connect (message: Message): Promise<void> {
    if (this.#batch === undefined) await this.#ask(message)
    else this.#batch = ((await this.#ask({ ...message, ext: { ack: this.#batch } })).ext as { ack: number }).ack
  }

  async #ask (message: Message): Promise<Message> {
    const [reply] = await this.#askAll([message])
    return reply!
  }

  async #askAll (messages: Message[]): Promise<Message[]> {
    const replies = await this.#pending.ask(messages.length, id => {
      this.#socket.send(JSON.stringify(messages.map(message => ({ id, ...message }))))
    })
    replies.forEach(checkSuccessful)
    return replies
  }

  #receive (messages: Message[]): void {
    const events = messages.filter(isEvent)
    if (events.length > 0) this.#onEvents(events)
    if (events.length === messages.length) return
    for (const message of messages) {
      if (!isEvent(message)) this.#pending.answer(message.id, message)
    }
  }
}
