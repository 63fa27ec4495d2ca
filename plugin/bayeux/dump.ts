import type { ServerOptions } from '../../schemas/options.js'
import type { CometDServer } from './server.js'

/** What a server is doing, and has done since it was made. Times in ms, sizes in bytes of JSON. */
export interface Statistics {
  sessions: number
  /** Those of them that are in this process. */
  localSessions: number
  channels: number
  /** Connects that are held now, by transport. */
  heldConnects: Record<string, number>
  handshakes: number
  /** Sessions whose time ran out. */
  expiries: number
  /** Of clients, and to them. Dropped are those that were queued, or to be queued, and will never be sent. */
  messages: { in: number, out: number, dropped: number }
  /** Of request bodies and WebSocket messages. */
  bytes: { in: number, out: number }
  /** Messages that were refused, by the three digits that their error begins with. */
  refusals: Record<string, number>
  /** Of channels. */
  sweeps: { count: number, lastTime: number, longestTime: number }
  /** The most that ever waited for one session. */
  longestQueue: { messages: number, bytes: number }
}

/** Everything that a server knows, as plain JSON. Contains session ids: it is not for everybody. */
export interface Dump {
  statistics: Statistics
  options: ServerOptions
  transports: Array<{ name: string, heldConnects: number }>
  channels: Array<{ name: string, subscribers: number, listeners: number, authorizers: number, persistent: boolean, lazy: boolean, broadcastToPublisher: boolean }>
  sessions: Array<{
    id: string
    local: boolean
    userAgent: string | null
    /** That of its last connect; null before the first. */
    connectionType: string | null
    /** Whether a connect is held. */
    held: boolean
    timeout: number
    interval: number
    maxInterval: number
    subscriptions: string[]
    queue: { messages: number, bytes: number }
  }>
}

export function statistics (server: CometDServer): Statistics {
  const { counters } = server
  const sessions = server.sessions.all
  for (const { queue } of sessions) counters.queued(queue)
  return {
    sessions: sessions.length,
    localSessions: sessions.filter(({ local }) => local).length,
    channels: [...server.channels.all].length,
    heldConnects: Object.fromEntries(server.transports.map(({ name, held }) => [name, held])),
    handshakes: counters.handshakes,
    expiries: counters.expiries,
    messages: { in: counters.messagesIn, out: counters.messagesOut, dropped: counters.messagesDropped },
    bytes: { in: counters.bytesIn, out: counters.bytesOut },
    refusals: Object.fromEntries(counters.refusals),
    sweeps: { count: counters.sweeps, lastTime: counters.lastSweepTime, longestTime: counters.longestSweepTime },
    longestQueue: { messages: counters.mostQueuedMessages, bytes: counters.mostQueuedBytes }
  }
}

export function dump (server: CometDServer): Dump {
  return {
    statistics: statistics(server),
    options: { ...server.options },
    transports: server.transports.map(({ name, held }) => ({ name, heldConnects: held })),
    channels: Array.from(server.channels.all, channel => ({
      name: channel.name,
      subscribers: channel.subscriberSet.size,
      listeners: channel.listeners('message').length,
      authorizers: channel.authorizers.length,
      persistent: channel.persistent,
      lazy: channel.lazy,
      broadcastToPublisher: channel.broadcastToPublisher
    })),
    sessions: server.sessions.all.map(session => ({
      id: session.id,
      local: session.local,
      userAgent: session.userAgent ?? null,
      connectionType: session.told?.connectionType ?? null,
      held: session.held,
      ...session.effectiveTiming,
      subscriptions: session.subscriptions.map(({ name }) => name),
      queue: { messages: session.queue.length, bytes: session.queue.bytes }
    }))
  }
}
