import type { ServerExtension, SessionExtension } from '../bayeux/extensions.js'
import type { OutgoingMessage, Reply, ServerMessage } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'

type Event = Readonly<OutgoingMessage>

const NOTHING: ReadonlySet<Event> = new Set()

// Bytes of JSON. A broadcast is the same object for all its sessions: it is measured once.
const sizes = new WeakMap<Event, number>()

function sizeOf (message: Event): number {
  let size = sizes.get(message)
  if (size === undefined) {
    size = Buffer.byteLength(JSON.stringify(message))
    sizes.set(message, size)
  }
  return size
}

/**
 * Has clients acknowledge what they get, and sends again what they did not: with a client that has the extension, too, no
 * message is lost or comes out of order while its session lives, whatever becomes of its connections. Wire format: that of
 * CometD's acknowledgement extension (`ext.ack`).
 */
export class AcknowledgedMessagesExtension implements ServerExtension {
  incoming (server: CometDServer, session: ServerSession, message: ServerMessage): void {
    if (message.channel !== '/meta/handshake' || message.ext?.['ack'] !== true) return
    message.reply.ext = { ...message.reply.ext, ack: true }
    // What comes over another way than a connect could not be put in order with the rest.
    session.metaConnectDeliveryOnly = true
    const backlog = new Backlog(server)
    session.addExtension(backlog)
    session.addListener('queueDrain', (session, queue, replies) => backlog.drain(queue, replies))
  }
}

/** What one client was sent and has not acknowledged. Each connect reply closes a batch. */
class Backlog implements SessionExtension {
  readonly #server: CometDServer
  // The number of the batch with which each message was first sent, in order.
  readonly #batches = new Map<Event, number>()
  // What was acknowledged last, and before that: an answer that failed on its way puts its messages back into the queue,
  // although the client may have got it.
  #acknowledged: ReadonlySet<Event> = NOTHING
  #acknowledgedBefore: ReadonlySet<Event> = NOTHING
  #batch = 0
  #bytes = 0

  constructor (server: CometDServer) {
    this.#server = server
  }

  incoming (session: ServerSession, message: ServerMessage): void {
    if (message.channel !== '/meta/connect') return
    const acknowledged = message.ext?.['ack']
    if (typeof acknowledged === 'number') this.#acknowledge(acknowledged)
    if (this.#batches.size === 0) return
    if (this.#isFull) session.disconnect()
    // What was lost is sent again at once.
    else message.advice = { ...message.advice, timeout: 0 }
  }

  /** Fills a connect reply: what was not acknowledged goes first. What follows a handshake is a batch, too. */
  drain (queue: Event[], replies: Reply[]): void {
    const reply = replies.find(({ channel, successful }) => (channel === '/meta/connect' || channel === '/meta/handshake') && successful === true)
    if (reply === undefined) return
    this.#batch++
    for (const message of queue) {
      if (this.#batches.has(message) || this.#acknowledged.has(message) || this.#acknowledgedBefore.has(message)) continue
      this.#batches.set(message, this.#batch)
      this.#bytes += sizeOf(message)
    }
    queue.splice(0, queue.length, ...this.#batches.keys())
    reply.ext = { ...reply.ext, ack: reply.channel === '/meta/connect' ? this.#batch : { enabled: true, batch: this.#batch } }
  }

  // Bounded as the queue is: a client that never acknowledges keeps no more than that alive.
  get #isFull (): boolean {
    const { maxQueue, maxQueueBytes } = this.#server.options
    return this.#batches.size > maxQueue || this.#bytes > maxQueueBytes
  }

  #acknowledge (last: number): void {
    const acknowledged = new Set<Event>()
    for (const [message, batch] of this.#batches) {
      if (batch > last) break
      this.#batches.delete(message)
      acknowledged.add(message)
      this.#bytes -= sizeOf(message)
    }
    if (acknowledged.size === 0) return
    this.#acknowledgedBefore = this.#acknowledged
    this.#acknowledged = acknowledged
  }
}
