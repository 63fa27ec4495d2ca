import type { Member, OnEvents } from './crowd.js'
import type { HttpClient, HttpReply } from './http-client.js'
import { checkSuccessful, clientIdOf, isEvent, type Message, request } from './message.js'

/** One Bayeux session over long-polling: its id, the cookie that it is bound to, and what it may send. */
export class Session implements Member {
  readonly clientId: string
  readonly cookie: string | undefined
  readonly #client: HttpClient
  readonly #connectBody: string

  private constructor (client: HttpClient, clientId: string, cookie: string | undefined) {
    this.#client = client
    this.clientId = clientId
    this.cookie = cookie
    this.#connectBody = JSON.stringify([{ id: '2', ...request.connect(clientId, 'long-polling') }])
  }

  /** Sends no cookie, so that the session gets one of its own: a server holds one connect for each cookie. */
  static async enter (client: HttpClient): Promise<Session> {
    const message = { id: '1', ...request.handshake('long-polling') }
    const reply = await client.post(JSON.stringify([message]), undefined)
    const session = new Session(client, clientIdOf(succeeded(reply, message.channel)), reply.cookie)
    await session.#ask({ id: '2', ...request.firstConnect(session.clientId, 'long-polling') })
    return session
  }

  /** Sends any body. */
  async send (body: string, contentType: string): Promise<HttpReply> {
    return await this.#client.post(body, this.cookie, contentType)
  }

  /** One held connect. Resolves when the server answers it. */
  connect (): Promise<HttpReply> {
    return this.#client.post(this.#connectBody, this.cookie)
  }

  async subscribe (channel: string): Promise<void> {
    await this.#ask({ id: '3', ...request.subscribe(this.clientId, channel) })
  }

  /** The body that publishes all of `data`, one message each, in one request. */
  publishBody (channel: string, data: readonly unknown[]): string {
    return JSON.stringify(request.publish(this.clientId, channel, data).map(message => ({ id: '4', ...message })))
  }

  async publish (channel: string, data: readonly unknown[]): Promise<void> {
    const reply = await this.#client.post(this.publishBody(channel, data), this.cookie)
    for (const message of reply.messages) checkSuccessful(message)
    if (reply.messages.length !== data.length) throw new Error(`HTTP ${reply.status}, ${reply.messages.length} replies to ${data.length} messages`)
  }

  /**
   * Always holds a connect. The next one goes out before the events are looked at, so that a publisher who waits for them
   * finds it held.
   */
  async stay (onEvents: OnEvents): Promise<never> {
    let answer = this.connect()
    while (true) {
      const reply = await answer
      succeeded(reply, '/meta/connect')
      answer = this.connect()
      onEvents(reply.messages.filter(isEvent))
    }
  }

  async #ask (message: Message): Promise<void> {
    succeeded(await this.#client.post(JSON.stringify([message]), this.cookie), message.channel)
  }
}

/** @throws if the reply to a message of `channel` is missing or unsuccessful */
export function succeeded ({ status, messages }: HttpReply, channel: string): Message {
  const reply = messages.find(message => message.channel === channel)
  if (reply === undefined) throw new Error(`HTTP ${status} without a reply of ${channel}`)
  checkSuccessful(reply)
  return reply
}
