import type { ServerExtension } from '../bayeux/extensions.js'
import type { ServerMessage } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'

/**
 * Has clients acknowledge what they get, and sends again what they did not: with a client that has the extension, too, no
 * message is lost or comes out of order while its session lives, whatever becomes of its connections. Wire format: that of
 * CometD's acknowledgement extension (`ext.ack`). The session keeps what was not acknowledged, beside its queue.
 */
export class AcknowledgedMessagesExtension implements ServerExtension {
  incoming (_server: CometDServer, session: ServerSession, { channel, ext, reply }: ServerMessage): void {
    const ack = ext?.['ack']
    if (channel === '/meta/connect' && typeof ack === 'number') session.acknowledge(ack)
    if (channel !== '/meta/handshake' || ack !== true) return
    reply.ext = { ...reply.ext, ack: true }
    session.keepUntilAcknowledged()
  }
}
