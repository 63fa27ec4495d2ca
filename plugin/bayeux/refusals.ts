import { LATE } from './guests.js'
import type { Reply, ServerMessage } from './message.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

const SHOWN = 255

/** What a client gets in place of a reply that an extension did not let go in time. */
export function lateReply ({ id, channel }: Reply): Reply {
  return { ...(id !== undefined && { id }), ...(channel !== undefined && { channel }), successful: false, error: LATE.error }
}

/** The error for a channel name that is none. Of a long name only the beginning is repeated. */
export function invalidChannel (name: string): string {
  return `405:${name.slice(0, SHOWN)}:channel_invalid`
}

/** The error by which a client learns that its session was ended, and that it is not to come back. */
export function errorOfEnd (reason: 'identityExpired' | 'revoked'): string {
  return reason === 'revoked' ? '401::session_revoked' : '401::identity_expired'
}

/** Refuses a message of a session that publishes too much, and advises it to wait. */
export function refuseTooMuch (server: CometDServer, session: ServerSession, message: ServerMessage, limit: string): void {
  const { interval, timeout, ...rest } = session.effectiveTiming
  const wait = Math.max(interval, session.publishWait)
  message.refuse(`429:${limit}:publish_denied`)
  message.reply.advice = server.advice('retry', wait, { timeout, ...rest })
  // The answer to its next connect takes the advice back.
  if (session.told !== undefined) session.told = { ...session.told, interval: wait }
}

/** Refuses a message whose session is not there: the client starts again with a handshake (B6). */
export function unknownSession (server: CometDServer, message: ServerMessage): void {
  message.refuse('402::session_unknown')
  if (message.channel === '/meta/connect') message.reply.advice = server.advice('handshake', 0)
}
