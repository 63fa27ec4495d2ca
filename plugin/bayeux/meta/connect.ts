import { andThen, type Awaitable } from '../awaitable.js'
import type { MessageContext } from '../context.js'
import { askAgain, authenticateAgain } from '../identity.js'
import type { ServerMessage } from '../message.js'
import { isOver } from '../endings.js'
import type { CometDServer } from '../server.js'
import type { ServerSession } from '../session.js'

/** /meta/connect: takes and gives advice, and says how long the transport may hold the connect. */
export function connect (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): Awaitable<void> {
  if (!server.connectionTypes.includes(message.connectionType as string)) return message.refuse('400::connection_type_invalid')
  return andThen(authenticateAgain(server, session, message, context), told => {
    if (isOver(server, session, message)) return
    accept(server, session, message)
    askAgain(session, message)
    if (told) message.holdFor = 0
  })
}

function accept (server: CometDServer, session: ServerSession, message: ServerMessage): void {
  const { reply, advice, connectionType } = message
  const { options } = server
  const first = session.state === 'handshaken'
  session.state = 'connected'
  reply.successful = true
  const timing = session.effectiveTiming
  const interval = clamp(advice?.['interval'], options.maxClientInterval) ?? timing.interval
  const timeout = clamp(advice?.['timeout'], options.maxClientTimeout) ?? timing.timeout
  // What was lost is sent again at once, unless that has been tried before.
  message.holdFor = first ? 0 : session.owes ? Math.min(timeout, session.pause) : timeout

  const { told } = session
  if (first || advice !== undefined || told === undefined ||
    told.timeout !== timing.timeout || told.interval !== interval || told.connectionType !== connectionType) {
    reply.advice = { ...server.advice('retry', interval, timing), ...reply.advice }
  }
  session.told = { timeout: timing.timeout, interval, connectionType }
}

// What a client asks for counts only within the server's bounds (B32, B33).
function clamp (value: unknown, maximum: number): number | undefined {
  return Number.isInteger(value) ? Math.min(Math.max(value as number, 0), maximum) : undefined
}
