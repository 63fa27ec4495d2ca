import { parseChannelName } from '../bayeux/channel-name.js'
import type { OutgoingMessage, Reply } from '../bayeux/message.js'

/** A message that came to a client. */
export interface TestMessage<Data = unknown> extends OutgoingMessage<Data> {
  data: Data
}

// Which names are too long is the server's business.
const NO_LIMITS = { maxChannelLength: Infinity, maxChannelSegments: Infinity }

/**
 * What comes to a client on one channel, or on those that a wildcard matches. Messages are kept until they are read; the
 * iteration ends with the session. Leaving a loop by `break` changes nothing: another one goes on where it ended.
 */
export class Messages<Data = unknown> implements AsyncIterableIterator<TestMessage<Data>> {
  /** As it was given: a wildcard stays one. */
  readonly channel: string
  #unread: Array<TestMessage<Data>> = []
  readonly #readers: Array<(result: IteratorResult<TestMessage<Data>, undefined>) => void> = []
  #ended = false

  /** @internal */
  constructor (channel: string) {
    this.channel = channel
  }

  [Symbol.asyncIterator] (): this {
    return this
  }

  /** The next message, as iterators give it; `done` when there will be no more. */
  async next (): Promise<IteratorResult<TestMessage<Data>, undefined>> {
    const value = this.#unread.shift()
    if (value !== undefined) return { done: false, value }
    if (this.#ended) return { done: true, value: undefined }
    return await new Promise(resolve => { this.#readers.push(resolve) })
  }

  /** The next message. Rejects with an Error when there will be no more. */
  async message (): Promise<TestMessage<Data>> {
    const { done, value } = await this.next()
    if (done) throw new Error(`no more messages come on ${this.channel}`)
    return value
  }

  /** Reads at once what has come and was not read yet. */
  take (): Array<TestMessage<Data>> {
    const unread = this.#unread
    this.#unread = []
    return unread
  }

  /** @internal */
  push (value: TestMessage<Data>): void {
    const reader = this.#readers.shift()
    if (reader === undefined) this.#unread.push(value)
    else reader({ done: false, value })
  }

  /** @internal */
  end (): void {
    this.#ended = true
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined })
  }
}

/** The messages of a channel that a client is subscribed to. */
export class Subscription<Data = unknown> extends Messages<Data> {
  /** The server's reply to the subscription. */
  reply: Reply = {}
  readonly #unsubscribe: () => Promise<Reply | undefined>

  /** @internal */
  constructor (channel: string, unsubscribe: (subscription: Subscription<Data>) => Promise<Reply | undefined>) {
    super(channel)
    this.#unsubscribe = async () => await unsubscribe(this)
  }

  /**
   * Ends the iteration after what was not read yet, and the subscription if it is the client's last one to the channel.
   * @returns the reply; undefined if the server was not asked
   */
  async unsubscribe (): Promise<Reply | undefined> {
    return await this.#unsubscribe()
  }
}

/** Who reads what comes to one client. */
export class Readers {
  readonly #readers = new Set<Messages>()

  add (reader: Messages): void {
    this.#readers.add(reader)
  }

  /** Gives whether it was there. */
  remove (reader: Messages): boolean {
    reader.end()
    return this.#readers.delete(reader)
  }

  hasSubscription (channel: string): boolean {
    return [...this.#readers].some(reader => reader instanceof Subscription && reader.channel === channel)
  }

  deliver (message: TestMessage): void {
    const { channel } = message
    const names = new Set([channel, ...parseChannelName(String(channel), NO_LIMITS)?.wildNames ?? []])
    for (const reader of this.#readers) if (names.has(reader.channel)) reader.push(message)
  }

  end (): void {
    for (const reader of this.#readers) this.remove(reader)
  }
}
