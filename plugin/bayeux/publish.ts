import { denial } from './authorizers.js'
import { andThen, type Awaitable } from './awaitable.js'
import type { ServerChannel } from './channel.js'
import type { MessageContext } from './context.js'
import type { ServerMessage } from './message.js'
import { invalidChannel, unknownSession } from './refusals.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

const DENIED = '403:denied_by_security_policy:publish_denied'
const CREATE_DENIED = '403:denied_by_security_policy:channel_create_denied'

/** A message of a client to a broadcast or service channel. */
export function publish (server: CometDServer, session: ServerSession, message: ServerMessage, channel: ServerChannel, context: MessageContext | undefined): Awaitable<void> {
  if (channel.wild) return message.refuse(invalidChannel(channel.name))
  return andThen(check(server, session, message, channel, context), error => {
    if (error !== undefined) return message.refuse(error)
    if (session.removed) return unknownSession(server, message)
    if (message.data === undefined) return message.refuse('400::data_missing')
    const fault = faultIn(server, message, channel)
    if (fault !== undefined) return message.refuse(fault)
    if (server.channels.get(channel.name) === undefined && !server.channels.hasRoomFor(1)) {
      return message.refuse('403:max_channels:channel_create_denied')
    }
    return accept(server, session, message, server.channels.restore(channel, true, context), context)
  })
}

// The most specific schema counts.
function faultIn (server: CometDServer, { data }: ServerMessage, channel: ServerChannel): string | undefined {
  if (server.channels.schemas === 0 && !server.options.requireSchema) return undefined
  const { declaration } = channel.route(server.channels.generation)
  if (declaration === undefined) return server.options.requireSchema ? '403:schema_required:publish_denied' : undefined
  const fault = declaration.checkIncoming?.(data)
  return fault && `400:${fault.path}:${fault.text}`
}

function check (server: CometDServer, session: ServerSession, message: ServerMessage, channel: ServerChannel, context: MessageContext | undefined): Awaitable<string | undefined> {
  const known = server.channels.get(channel.name) !== undefined
  const created = known ? undefined : denial(server, 'create', session, message, channel, CREATE_DENIED, context)
  return andThen(created, error => error ?? denial(server, 'publish', session, message, channel, DENIED, context))
}

function accept (server: CometDServer, session: ServerSession, message: ServerMessage, channel: ServerChannel, context: MessageContext | undefined): Awaitable<void> {
  return andThen(server.hear(channel, session, message, context), heard => {
    if (!heard) return
    if (!server.distribution.stillFits(channel, message)) return message.refuse('500::internal_error')
    const sent = channel.service ? true : server.distribution.distribute(channel, session, message, context)
    return andThen(sent, ok => {
      if (ok) message.reply.successful = true
      else message.refuse('404::message_deleted')
    })
  })
}
