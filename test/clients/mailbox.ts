/** What arrived, in order, and the wait for what will. */
export class Mailbox {
  readonly mails: unknown[] = []
  #waiting: (() => void) | undefined

  readonly put = (data: unknown): void => {
    this.mails.push(data)
    this.#waiting?.()
  }

  /** Takes everything out once `count` mails are there. */
  async take (count: number): Promise<unknown[]> {
    return await this.takeWhen(mails => mails.length >= count)
  }

  /** Takes everything out once it is as `isComplete` wants it. */
  async takeWhen (isComplete: (mails: unknown[]) => boolean): Promise<unknown[]> {
    while (!isComplete(this.mails)) await new Promise<void>(resolve => { this.#waiting = resolve })
    return this.mails.splice(0)
  }
}
