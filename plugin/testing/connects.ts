import type { Timed } from '../bayeux/clock.js'
import type { Advice, Reply } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import { ConnectionFailure, MessageFailure } from './failures.js'
import type { WireMessage } from './line.js'

/** A connect is held; one was answered and the next was sent; the next has to wait; there will be none. */
type Occasion = 'held' | 'answered' | 'waiting' | 'ended'

// As cometd.js does it.
const BACKOFF = 1_000
const LONGEST_BACKOFF = 60_000

/** The connects of one session: there is always one, as the server advises, until the session ends. */
export class Connects implements Timed {
  readonly clientId: string
  /** Why the last connect failed, if it did. */
  failure: Error | undefined
  tick = -1
  readonly #server: CometDServer
  readonly #send: (message: WireMessage) => Promise<Reply>
  readonly #onEnd: (reply: Reply) => void
  // Each gives whether it has what it waits for.
  #watchers: Array<(occasion: Occasion) => boolean> = []
  #advice: Advice = {}
  #backoff = 0
  #connected = false
  // A connect that a later one has replaced is none of its business any more.
  #number = 0
  #outstanding = false
  #over = false

  constructor (server: CometDServer, clientId: string, send: (message: WireMessage) => Promise<Reply>, onEnd: (reply: Reply) => void) {
    this.#server = server
    this.clientId = clientId
    this.#send = send
    this.#onEnd = onEnd
    const session = server.getServerSession(clientId)
    session?.addListener('suspended', () => this.#tell('held'))
    session?.addListener('removed', () => { if (server.closed && !this.#outstanding) this.#endAsClosed() })
  }

  /** Sends the first connect, or that after a loss. Resolves when it is followed by one that is held, if one is. */
  async start (): Promise<void> {
    this.#server.clock.cancel(this)
    this.#connected = false
    this.#connect()
    // Where connects are not held at all, there is no end to answers.
    let answers = 0
    await this.#occasion(occasion => occasion !== 'answered' || ++answers === 2)
  }

  /** Resolves when a connect is held. */
  async held (): Promise<void> {
    if (this.#server.getServerSession(this.clientId)?.held) return
    const occasion = await this.#occasion(occasion => occasion === 'held' || occasion === 'ended')
    if (occasion === 'ended') throw new Error('no connect is held: the session has ended')
  }

  /** There will be no more connects; `reply` says so. */
  end (reply: Reply): void {
    if (this.#over) return
    this.#over = true
    this.#server.clock.cancel(this)
    this.#tell('ended')
    this.#onEnd(reply)
  }

  onTime (): void {
    this.#connect()
  }

  #connect (): void {
    const number = ++this.#number
    this.#outstanding = true
    // One that tells whether the session is there is answered at once.
    const advice = this.#connected ? {} : { advice: { timeout: 0 } }
    this.#send({ channel: '/meta/connect', connectionType: 'long-polling', ...advice }).then(
      reply => { if (number === this.#number) this.#answered(reply) },
      err => { if (number === this.#number) this.#failed(err) }
    )
  }

  #answered (reply: Reply): void {
    this.#outstanding = false
    this.#advice = reply.advice ?? this.#advice
    const { reconnect = 'retry' } = this.#advice
    if (this.#server.closed || reconnect !== 'retry') return this.end(reply)
    if (reply.successful !== true) return this.#failed(new MessageFailure(reply))
    this.#connected = true
    this.failure = undefined
    this.#backoff = 0
    this.#goOn()
  }

  #failed (err: Error): void {
    this.#outstanding = false
    if (err instanceof ConnectionFailure) return this.#tell('waiting')
    if (this.#server.closed) return this.#endAsClosed()
    this.#connected = false
    this.failure = err
    this.#backoff = Math.min(this.#backoff + BACKOFF, LONGEST_BACKOFF)
    this.#goOn()
  }

  #goOn (): void {
    if (this.#over) return
    const delay = (this.#advice.interval ?? 0) + this.#backoff
    if (delay > 0) {
      this.#server.clock.schedule(this, delay, true)
      return this.#tell('waiting')
    }
    this.#connect()
    this.#tell('answered')
  }

  // No answer says so.
  #endAsClosed (): void {
    this.end({ channel: '/meta/connect', successful: false, error: '503::server_closed' })
  }

  async #occasion (fits: (occasion: Occasion) => boolean): Promise<Occasion> {
    return await new Promise(resolve => {
      this.#watchers.push(occasion => {
        const found = fits(occasion)
        if (found) resolve(occasion)
        return found
      })
    })
  }

  #tell (occasion: Occasion): void {
    this.#watchers = this.#watchers.filter(hasFound => !hasFound(occasion))
  }
}
