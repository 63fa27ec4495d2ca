import type { CometDServer, ServerChannel, ServerMessage } from '../../plugin/index.js'

const EXTENSION = { replay: true, 'payload.format': true }
const TIP = -1
const ALL = -2

/** What was published on one channel, for those who come later. */
export class History {
  readonly #events: Array<{ payload: unknown, event: { replayId: number } }> = []

  /** Publishes an event, and keeps it. */
  publish (channel: ServerChannel, payload: unknown): void {
    const event = { payload, event: { replayId: this.#events.length + 1 } }
    this.#events.push(event)
    channel.publish(null, event)
  }

  /** What came after the event of that id. Undefined if there is no such event. */
  since (replayId: number): unknown[] | undefined {
    if (replayId === TIP) return []
    if (replayId === ALL) return this.#events
    return replayId > 0 && replayId <= this.#events.length ? this.#events.slice(replayId) : undefined
  }
}

/** The server's side of the replay extension of Salesforce, for one channel, by what applications have. */
export function offerReplay (cometd: CometDServer, name: string, history: History): ServerChannel {
  const asked = ({ ext }: ServerMessage): number => (ext?.['replay'] as Record<string, number> | undefined)?.[name] ?? TIP
  cometd.addExtension({
    incoming: (server, session, message) => {
      if (message.channel === '/meta/handshake') message.reply.ext = { ...EXTENSION }
      if (message.channel !== '/meta/subscribe' || !(message.subscription ?? []).includes(name)) return true
      const replayId = asked(message)
      if (history.since(replayId) !== undefined) return true
      Object.assign(message.reply, { successful: false, error: `400::The replayId {${replayId}} you provided was invalid.` })
      return false
    }
  })
  const channel = cometd.createServerChannel(name)
  channel.addListener('subscribed', (channel, session, message) => {
    for (const event of history.since(asked(message)) as unknown[]) session.deliver(null, name, event)
  })
  return channel
}
