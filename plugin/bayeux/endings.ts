import { askAgain } from './identity.js'
import type { ServerMessage } from './message.js'
import { errorOfEnd, unknownSession } from './refusals.js'
import type { CometDServer } from './server.js'
import { CAUSES, type ReleaseCause, type RemovalReason, type ServerSession } from './session.js'

/** Completes the reply to a connect that was held and is let go. */
export function settle (server: CometDServer, session: ServerSession, message: ServerMessage, cause: ReleaseCause): void {
  const { reply } = message
  switch (cause) {
    case 'authentication':
      return askAgain(session, message)
    case 'removed':
    case 'disconnected':
      reply.advice = { ...reply.advice, ...server.advice('none') }
      break
    case 'closed':
      reply.advice = { ...reply.advice, ...server.adviceOnClose }
      break
    case 'expelled':
      return unknownSession(server, message)
    case 'identityExpired':
    case 'revoked':
      message.refuse(errorOfEnd(cause))
      reply.advice = server.advice('none')
  }
}

/**
 * Whether server or session have come to their end. Then the message is refused. To be asked again after every wait: what was
 * allowed before may not be any more.
 */
export function isOver (server: CometDServer, session: ServerSession, message: ServerMessage): boolean {
  if (server.closed) refuseWhenClosed(server, message)
  else if (session.removed) bidFarewell(server, session, message)
  else return false
  return true
}

/** Refuses a message that comes when the server has been closed. */
export function refuseWhenClosed (server: CometDServer, message: ServerMessage): void {
  message.refuse('503::server_closed')
  if (message.channel === '/meta/connect') message.reply.advice = server.adviceOnClose
  if (message.channel === '/meta/handshake') {
    message.reply.supportedConnectionTypes = server.connectionTypes
    message.reply.advice = { ...server.adviceOnClose, reconnect: 'handshake' }
  }
}

// The client learns with its next connect what it would have learnt from a held one.
function bidFarewell (server: CometDServer, session: ServerSession, message: ServerMessage): void {
  if (message.channel !== '/meta/connect' || !server.sessions.bidFarewell(session)) return unknownSession(server, message)
  message.reply.successful = true
  settle(server, session, message, CAUSES[session.removal as RemovalReason])
}
