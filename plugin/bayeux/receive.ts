import { andThen, type Awaitable, isThenable } from './awaitable.js'
import type { ServerChannel } from './channel.js'
import type { MessageContext } from './context.js'
import { isDeeperThan, type ServerMessage } from './message.js'
import { settle } from './meta/connect.js'
import { metaHandlers } from './meta/index.js'
import { publish } from './publish.js'
import { invalidChannel, unknownSession } from './refusals.js'
import type { CometDServer } from './server.js'
import { CAUSES, type RemovalReason, type ServerSession } from './session.js'

/**
 * Takes one message of a client all the way; afterwards its reply is complete. `session` is the one that the message may use:
 * undefined if there is none, a new one for a handshake. Does not throw: a message that an extension made unfit is refused.
 */
export function receive (server: CometDServer, session: ServerSession | undefined, message: ServerMessage, context: MessageContext | undefined): Awaitable<void> {
  const failed = (err: unknown): void => {
    server.log.error({ err }, 'message could not be processed')
    message.refuse('500::internal_error')
  }
  server.counters.messagesIn++
  try {
    const received = take(server, session, message, context)
    return isThenable(received) ? (received as Promise<void>).catch(failed) : received
  } catch (err) {
    failed(err)
  }
}

function take (server: CometDServer, session: ServerSession | undefined, message: ServerMessage, context: MessageContext | undefined): Awaitable<void> {
  if (server.closed) return refuseWhenClosed(server, message)
  if (session === undefined) return unknownSession(server, message)
  if (session.removed) return bidFarewell(server, session, message)

  if (message.channel === undefined) return message.refuse('400::channel_missing')
  const channel = server.channels.locate(message.channel)
  if (channel === undefined) return message.refuse(invalidChannel(message.channel))
  if (!message.hasValidId) return message.refuse('405::message_id_invalid')
  if (isDeeperThan(message.data, server.options.maxDepth) || isDeeperThan(message.ext, server.options.maxDepth)) {
    return message.refuse('400:max_depth:message_invalid')
  }
  if (session.state !== 'new') session.armExpiry()

  return andThen(server.extendIncoming(session, message, context), goesOn => {
    if (!goesOn) return
    if (session.removed) return bidFarewell(server, session, message)
    if (message.channel === channel.name) return dispatch(server, session, message, channel, context)
    // An extension sent it elsewhere.
    const other = server.channels.locate(message.channel)
    return other === undefined
      ? message.refuse(invalidChannel(String(message.channel)))
      : dispatch(server, session, message, other, context)
  })
}

function dispatch (server: CometDServer, session: ServerSession, message: ServerMessage, channel: ServerChannel, context: MessageContext | undefined): Awaitable<void> {
  if (!channel.meta) return publish(server, session, message, channel, context)
  const handle = metaHandlers.get(channel.name)
  if (handle === undefined) return message.refuse('403:denied_by_security_policy:channel_create_denied')
  return andThen(server.hear(channel, session, message, context), heard => {
    if (heard) return handle(server, session, message, context)
  })
}

// The client learns with its next connect what it would have learnt from a held one.
function bidFarewell (server: CometDServer, session: ServerSession, message: ServerMessage): void {
  if (message.channel !== '/meta/connect' || !server.sessions.bidFarewell(session)) return unknownSession(server, message)
  message.reply.successful = true
  settle(server, session, message, CAUSES[session.removal as RemovalReason])
}

function refuseWhenClosed (server: CometDServer, message: ServerMessage): void {
  message.refuse('503::server_closed')
  if (message.channel === '/meta/connect') message.reply.advice = server.adviceOnClose
  if (message.channel === '/meta/handshake') {
    message.reply.supportedConnectionTypes = server.connectionTypes
    message.reply.advice = { ...server.adviceOnClose, reconnect: 'handshake' }
  }
}
