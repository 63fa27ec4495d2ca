import { denial } from './authorizers.js'
import { andThen, type Awaitable } from './awaitable.js'
import type { ServerChannel } from './channel.js'
import type { MessageContext } from './context.js'
import type { ServerMessage } from './message.js'
import { isOver } from './endings.js'
import type { Frame } from './frame.js'
import { invalidChannel, refuseTooMuch } from './refusals.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

const DENIED = '403:denied_by_security_policy:publish_denied'
const CREATE_DENIED = '403:denied_by_security_policy:channel_create_denied'

/** A message of a client to a broadcast or service channel. */
export function publish (server: CometDServer, session: ServerSession, message: ServerMessage, channel: ServerChannel, context: MessageContext | undefined): Awaitable<void> {
  if (channel.wild) return message.refuse(invalidChannel(channel.name))
  return andThen(check(server, session, message, channel, context), error => {
    if (error !== undefined) return message.refuse(error)
    if (isOver(server, session, message)) return
    if (message.data === undefined) return message.refuse('400::data_missing')
    const fault = faultIn(server, message, channel)
    if (fault !== undefined) return message.refuse(fault)
    const limit = server.channels.get(channel.name) === undefined ? server.channels.limitFor(session, 1) : undefined
    if (limit !== undefined) return message.refuse(`403:${limit}:channel_create_denied`)
    return accept(server, session, message, server.channels.restore(channel, session, context), context)
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
  const admit = (frame: Frame): string | undefined => refusalOf(server, session, message, frame)
  return andThen(server.hear(channel, session, message, context), heard => {
    if (!heard || isOver(server, session, message)) return
    if (!server.distribution.stillFits(channel, message)) return message.refuse('500::internal_error')
    const refused = channel.service ? undefined : server.distribution.distribute(channel, session, message, context, admit)
    return andThen(refused, error => {
      if (error === undefined) message.reply.successful = true
      // It may have been refused with more than an error.
      else if (message.reply.error !== error) message.refuse(error)
    })
  })
}

// The last look at a message, when it is known what it costs its receivers.
function refusalOf (server: CometDServer, session: ServerSession, message: ServerMessage, frame: Frame): string | undefined {
  if (isOver(server, session, message)) return message.reply.error
  if (server.distribution.isTooLarge(frame)) return '413:max_queue_bytes:publish_denied'
  const more = frame.bytes - message.batch.bytesEach
  const limit = more > 0 ? session.spendBytes(more) : undefined
  if (limit !== undefined) refuseTooMuch(server, session, message, limit)
  return limit && message.reply.error
}
