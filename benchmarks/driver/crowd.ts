import type { Message } from './message.js'

/** How many members join at the same time. */
const JOINING = 100

export type OnEvents = (events: Message[]) => void

/** One client of a server, whatever the two speak. */
export interface Member {
  subscribe (channel: string): Promise<void>
  /** Publishes all of `data` at once, one message each. Resolves when the server has acknowledged all of them. */
  publish (channel: string, data: readonly unknown[]): Promise<void>
  /** Gets events from now on, for as long as the connection lasts; rejects when it ends. */
  stay (onEvents: OnEvents): Promise<never>
}

/** What the members of a crowd come in by. */
export interface Entrance<M extends Member> {
  enter (): Promise<M>
  /** Drops all connections. */
  leave (): void
}

/** Many clients of one server. */
export class Crowd<M extends Member = Member> {
  /** What went wrong with a member of the crowd, in words. */
  readonly faults: string[] = []
  readonly #entrance: Entrance<M>
  #left = false

  constructor (entrance: Entrance<M>) {
    this.#entrance = entrance
  }

  /** One member that stays but gets nothing: a publisher. */
  async joinOne (): Promise<M> {
    const member = await this.#entrance.enter()
    this.#stay(member, () => {})
    return member
  }

  /** Adds `count` members with one subscription each. Resolves when all of them stay. */
  async join (count: number, channel: string, onEvents: (subscriber: number, events: Message[]) => void = () => {}): Promise<void> {
    await this.enter(count, channel, (member, subscriber) => {
      this.#stay(member, events => onEvents(subscriber, events))
    })
  }

  /** Like `join`, but leaves it to `onEntered` what a member does next. */
  async enter (count: number, channel: string, onEntered: (member: M, subscriber: number) => void): Promise<void> {
    let next = 0
    const lane = async () => {
      while (next < count) {
        const subscriber = next++
        const member = await this.#entrance.enter()
        await member.subscribe(channel)
        onEntered(member, subscriber)
      }
    }
    await Promise.all(Array.from({ length: Math.min(JOINING, count) }, lane))
  }

  /** Drops all connections; what ends then is no fault. */
  leave (): void {
    this.#left = true
    this.#entrance.leave()
  }

  async #stay (member: M, onEvents: OnEvents): Promise<void> {
    try {
      await member.stay(onEvents)
    } catch (error) {
      if (!this.#left) this.faults.push(`a session stopped: ${(error as Error).message}`)
    }
  }
}
