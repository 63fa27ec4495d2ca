import type { HttpClient, HttpReply, Message } from './http-client.js'

/** One Bayeux session: its id, the cookie that it is bound to, and what it may send. */
export class Session {
  readonly clientId: string
  readonly cookie: string | undefined
  readonly #client: HttpClient
  readonly #connectBody: string

  private constructor (client: HttpClient, clientId: string, cookie: string | undefined) {
    this.#client = client
    this.clientId = clientId
    this.cookie = cookie
    this.#connectBody = JSON.stringify([this.#connectMessage()])
  }

  /** Sends no cookie, so that the session gets one of its own: a server holds one connect for each cookie. */
  static async handshake (client: HttpClient): Promise<Session> {
    const message = { id: '1', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }
    const reply = await client.post(JSON.stringify([message]), undefined)
    const { clientId } = succeeded(reply, message.channel)
    if (clientId === undefined) throw new Error('a handshake reply without a clientId')
    return new Session(client, clientId, reply.cookie)
  }

  #connectMessage (): object {
    return { id: '2', channel: '/meta/connect', clientId: this.clientId, connectionType: 'long-polling' }
  }

  /** Some servers hold the first connect and some don't; asked not to wait, all answer it at once. */
  async firstConnect (): Promise<void> {
    const message = { ...this.#connectMessage(), advice: { timeout: 0 } }
    succeeded(await this.#client.post(JSON.stringify([message]), this.cookie), '/meta/connect')
  }

  /** One held connect. Resolves when the server answers it. */
  connect (): Promise<HttpReply> {
    return this.#client.post(this.#connectBody, this.cookie)
  }

  async subscribe (channel: string): Promise<void> {
    const message = { id: '3', channel: '/meta/subscribe', clientId: this.clientId, subscription: channel }
    succeeded(await this.#client.post(JSON.stringify([message]), this.cookie), message.channel)
  }

  /** The body that publishes all of `data`, one message each, in one request. */
  publishBody (channel: string, data: readonly unknown[]): string {
    return JSON.stringify(data.map(data => ({ id: '4', channel, clientId: this.clientId, data })))
  }

  async publish (channel: string, data: readonly unknown[]): Promise<void> {
    const reply = await this.#client.post(this.publishBody(channel, data), this.cookie)
    for (const message of reply.messages) checkSuccessful(message)
    if (reply.messages.length !== data.length) throw new Error(`HTTP ${reply.status}, ${reply.messages.length} replies to ${data.length} messages`)
  }
}

/** @throws if the reply to a message of `channel` is missing or unsuccessful */
export function succeeded ({ status, messages }: HttpReply, channel: string): Message {
  const reply = messages.find(message => message.channel === channel)
  if (reply === undefined) throw new Error(`HTTP ${status} without a reply of ${channel}`)
  checkSuccessful(reply)
  return reply
}

function checkSuccessful ({ channel, successful, error }: Message): void {
  if (successful !== true) throw new Error(`${channel} failed: ${error}`)
}
