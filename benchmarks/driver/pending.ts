interface Waiting<Reply> {
  missing: number
  replies: Reply[]
  resolve: (replies: Reply[]) => void
  reject: (error: Error) => void
}

/** What has been asked over one connection and not been answered yet. */
export class Pending<Reply> {
  readonly #waiting = new Map<string, Waiting<Reply>>()
  #ended: Error | undefined
  #last = 0

  /** Resolves with the replies to `count` messages, all of which `send` has given the same id. */
  ask (count: number, send: (id: string) => void): Promise<Reply[]> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended)
      const id = String(++this.#last)
      this.#waiting.set(id, { missing: count, replies: [], resolve, reject })
      send(id)
    })
  }

  /** @throws if nobody waits for the reply */
  answer (id: string | undefined, reply: Reply): void {
    const waiting = id === undefined ? undefined : this.#waiting.get(id)
    if (id === undefined || waiting === undefined) throw new Error(`an unexpected reply: ${JSON.stringify(reply)}`)
    waiting.replies.push(reply)
    if (--waiting.missing > 0) return
    this.#waiting.delete(id)
    waiting.resolve(waiting.replies)
  }

  /** Nothing will be answered any more. */
  end (error: Error): void {
    this.#ended = error
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
