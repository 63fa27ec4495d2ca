import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { Readable } from 'node:stream'
import type { Reply } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import { ConnectionFailure, RequestFailure } from './failures.js'

/** What the kit needs of a Fastify application: the instance on which the plugin is registered. */
export interface TestApplication {
  readonly cometd: CometDServer
  inject (options: InjectOptions): Promise<LightMyRequestResponse>
}

/** A message as it is on the wire, to the server or from it. */
export interface WireMessage extends Reply {
  data?: unknown
}

/** What goes with every request. */
interface Baggage {
  readonly headers: Record<string, string>
  readonly cookies: Map<string, string>
}

/** The way from a client to the server, which can be cut. */
export class Line {
  readonly #app: TestApplication
  readonly #url: string
  readonly #baggage: Baggage
  // The bodies of the requests that were not answered yet.
  readonly #open = new Map<Readable, Promise<unknown>>()
  #last: Promise<unknown> = Promise.resolve()
  #lost = false
  #cuts = 0

  constructor (app: TestApplication, url: string, baggage: Baggage) {
    this.#app = app
    this.#url = url
    this.#baggage = baggage
  }

  get lost (): boolean {
    return this.#lost
  }

  /**
   * Sends a message. Gives what came back.
   * @throws ConnectionFailure, RequestFailure, and what `inject` throws
   */
  async post (message: WireMessage, cuts = this.#cuts): Promise<WireMessage[]> {
    if (this.#lost || cuts !== this.#cuts) throw new ConnectionFailure()
    const text = JSON.stringify([message])
    const body = Readable.from(text)
    // Nobody else listens before the request has begun.
    body.on('error', () => {})
    const { headers, cookies } = this.#baggage
    const answer = this.#app.inject({
      method: 'POST',
      url: this.#url,
      headers: { 'content-type': 'application/json', ...headers, 'content-length': String(Buffer.byteLength(text)) },
      cookies: Object.fromEntries(cookies),
      payload: body
      // This also begins it: else it would begin when it is waited for, and could not be cut before.
    }).finally(() => this.#open.delete(body))
    this.#open.set(body, answer)
    try {
      const response = await answer
      this.#keepCookies(response)
      return messagesIn(response)
    } catch (err) {
      throw cuts === this.#cuts ? err : new ConnectionFailure()
    }
  }

  /** As `post`, one after the other: a browser has one connection beside that of the held connect. */
  async postInTurn (message: WireMessage): Promise<WireMessage[]> {
    const cuts = this.#cuts
    const answer = this.#last.then(async () => await this.post(message, cuts))
    this.#last = answer.catch(() => {})
    return await answer
  }

  /** Breaks off what is under way, and lets nothing through any more. Resolves when server and client have noticed. */
  async cut (): Promise<void> {
    this.#lost = true
    this.#cuts++
    // An injected request takes an AbortSignal until its body is read, and the end of its body's stream at any time.
    for (const body of this.#open.keys()) body.emit('error', undefined as never)
    await Promise.allSettled(this.#open.values())
    await new Promise(resolve => setImmediate(resolve))
  }

  mend (): void {
    this.#lost = false
  }

  #keepCookies (response: LightMyRequestResponse): void {
    for (const { name, value, maxAge = Infinity, expires } of response.cookies) {
      if (maxAge <= 0 || Number(expires) <= Date.now()) this.#baggage.cookies.delete(name)
      else this.#baggage.cookies.set(name, value)
    }
  }
}

function messagesIn (response: LightMyRequestResponse): WireMessage[] {
  try {
    const messages: unknown = response.statusCode === 200 && JSON.parse(response.body)
    if (Array.isArray(messages)) return messages
  } catch {
    // It is not JSON.
  }
  throw new RequestFailure(response)
}
