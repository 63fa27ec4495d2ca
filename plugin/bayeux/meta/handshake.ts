import { andThen, type Awaitable } from '../awaitable.js'
import type { MessageContext } from '../context.js'
import { isOver } from '../endings.js'
import type { ServerMessage } from '../message.js'
import { countFailure, expiredAlready, identify } from '../identity.js'
import { refusal } from '../policy.js'
import type { CometDServer } from '../server.js'
import type { ServerSession } from '../session.js'

const VERSION = '1.0'
// B21: an integer, then elements of letters, digits, - and _.
const VERSION_GRAMMAR = /^\d+(?:\.[A-Za-z0-9][\w-]*)*$/
const DENIED = '403::handshake_denied'

/** /meta/handshake: negotiates (B44, B48), asks the policy, and adds the session. */
export function handshake (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): Awaitable<void> {
  const { reply } = message
  reply.version = VERSION
  reply.minimumVersion = VERSION
  reply.supportedConnectionTypes = server.connectionTypes

  const mismatch = negotiate(server, message)
  if (mismatch !== undefined) return refuse(server, message, mismatch)

  const identified = identify(server, session, message, context)
  const refused = andThen(identified, error => error ?? refusal(server.guests, server.policy, 'canHandshake', [session, message], DENIED, context))
  return andThen(refused, error => {
    if (isOver(server, session, message)) return
    error ??= expiredAlready(session)
    const limit = server.sessions.limitFor(session)
    error ??= limit && `403:${limit}:handshake_denied`
    if (error === DENIED && !session.local) countFailure(server, session)
    if (error !== undefined) return refuse(server, message, error)
    server.sessions.add(session, message, context)
    // A listener may have ended it.
    if (session.removed) return refuse(server, message, DENIED)
    const timing = session.effectiveTiming
    reply.successful = true
    reply.clientId = session.id
    reply.advice = { ...server.advice('retry', timing.interval, timing), ...reply.advice }
  })
}

function negotiate (server: CometDServer, { version, supportedConnectionTypes }: ServerMessage): string | undefined {
  // Clients that write it as a number exist.
  if ((typeof version !== 'string' && typeof version !== 'number') || !VERSION_GRAMMAR.test(String(version))) return '400::version_invalid'
  if (!Array.isArray(supportedConnectionTypes)) return '400::connection_types_invalid'
  if (!server.connectionTypes.some(type => supportedConnectionTypes.includes(type))) return '400::connection_types_unsupported'
  return undefined
}

// A client that was denied stops, unless the policy advises otherwise (B50); one that met a limit or a failure tries again.
function refuse (server: CometDServer, message: ServerMessage, error: string): void {
  const final = error === DENIED || error.startsWith('400') || error.startsWith('401')
  const advice = final ? server.advice('none') : server.advice('handshake', server.options.maxInterval)
  message.refuse(error)
  message.reply.advice = { ...advice, ...message.reply.advice }
}
