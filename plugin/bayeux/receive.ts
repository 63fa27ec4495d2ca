import { andThen, type Awaitable, isThenable } from './awaitable.js'
import type { ServerChannel } from './channel.js'
import type { MessageContext } from './context.js'
import { isDeeperThan, type ServerMessage } from './message.js'
import { isOver, refuseWhenClosed } from './endings.js'
import { metaHandlers } from './meta/index.js'
import { publish } from './publish.js'
import { invalidChannel, refuseTooMuch, unknownSession } from './refusals.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

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
  if (isOver(server, session, message)) return

  if (message.channel === undefined) return message.refuse('400::channel_missing')
  const channel = server.channels.locate(message.channel)
  if (channel === undefined) return message.refuse(invalidChannel(message.channel))
  const { fault } = message
  if (fault !== undefined) return message.refuse(fault)
  if (!channel.meta && !mayPublish(server, session, message)) return
  const { maxDepth } = server.options
  if (!message.batch.shallow && (isDeeperThan(message.data, maxDepth) || isDeeperThan(message.ext, maxDepth))) {
    return message.refuse('400:max_depth:message_invalid')
  }
  if (session.state !== 'new') session.armExpiry()

  return andThen(server.extendIncoming(session, message, context), goesOn => {
    if (!goesOn) return
    if (isOver(server, session, message)) return
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
    if (heard && !isOver(server, session, message)) return handle(server, session, message, context)
  })
}

// Before anybody looks at the message: what is too much is not to cost anything.
function mayPublish (server: CometDServer, session: ServerSession, message: ServerMessage): boolean {
  const limit = session.spend(message.batch.bytesEach)
  if (limit !== undefined) refuseTooMuch(server, session, message, limit)
  return limit === undefined
}
