import { HttpClient, type HttpReply, type Message } from './http-client.js'
import { Session, succeeded } from './session.js'

/** How many sessions join at the same time. */
const JOINING = 100

/** Many sessions of one server, each of which always holds a connect: when one is answered, the next is sent at once. */
export class Crowd {
  /** What went wrong with a session of the crowd, in words. */
  readonly faults: string[] = []
  readonly #client: HttpClient
  #left = false

  constructor (port: number) {
    this.#client = new HttpClient(port)
  }

  /** One session that holds a connect but gets nothing: a publisher. */
  async joinOne (): Promise<Session> {
    const session = await this.#enter()
    this.#hold(session, () => {})
    return session
  }

  /** Adds `count` sessions with one subscription each. Resolves when all of them have sent the connect to be held. */
  async join (count: number, channel: string, onEvents: (subscriber: number, events: Message[]) => void = () => {}): Promise<void> {
    await this.#enterMany(count, channel, (session, subscriber) => {
      this.#hold(session, events => onEvents(subscriber, events))
    })
  }

  /** Like `join`, but every session holds one connect only. Resolves with the promises of their answers. */
  async joinOnce (count: number, channel: string): Promise<Array<Promise<HttpReply>>> {
    const answers: Array<Promise<HttpReply>> = []
    await this.#enterMany(count, channel, session => { answers.push(session.connect()) })
    return answers
  }

  /** Drops all connections; what is held then is no fault. */
  leave (): void {
    this.#left = true
    this.#client.destroy()
  }

  async #enter (): Promise<Session> {
    const session = await Session.handshake(this.#client)
    await session.firstConnect()
    return session
  }

  async #enterMany (count: number, channel: string, onEntered: (session: Session, subscriber: number) => void): Promise<void> {
    let next = 0
    const lane = async () => {
      while (next < count) {
        const subscriber = next++
        const session = await this.#enter()
        await session.subscribe(channel)
        onEntered(session, subscriber)
      }
    }
    await Promise.all(Array.from({ length: Math.min(JOINING, count) }, lane))
  }

  /** The next connect goes out before the events are looked at, so that a publisher who waits for them finds it held. */
  async #hold (session: Session, onEvents: (events: Message[]) => void): Promise<void> {
    try {
      let answer = session.connect()
      while (!this.#left) {
        const reply = await answer
        succeeded(reply, '/meta/connect')
        answer = session.connect()
        onEvents(reply.messages.filter(isEvent))
      }
      await answer
    } catch (error) {
      if (!this.#left) this.faults.push(`a session stopped: ${(error as Error).message}`)
    }
  }
}

function isEvent ({ data }: Message): boolean {
  return data !== undefined
}
