import type { MessageContext } from '../context.js'
import type { ServerMessage } from '../message.js'
import type { CometDServer } from '../server.js'
import type { ServerSession } from '../session.js'

/** /meta/disconnect: removes the session, and with it lets its held connect go first (B61). */
export function disconnect (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): void {
  server.sessions.remove(session, 'disconnect', context)
  message.reply.successful = true
}
