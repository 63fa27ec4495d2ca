import type { MessageContext } from '../context.js'
import type { ServerMessage } from '../message.js'
import { invalidChannel } from '../refusals.js'
import type { CometDServer } from '../server.js'
import type { ServerSession } from '../session.js'

/** /meta/unsubscribe: succeeds also for channels the session is not subscribed to. */
export function unsubscribe (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): void {
  const names = message.subscription ?? []
  if (names.length === 0) return message.refuse('403::subscription_missing')
  const invalid = names.find(name => server.channels.locate(name) === undefined)
  if (invalid !== undefined) return message.refuse(invalidChannel(invalid))
  for (const name of names) {
    const channel = server.channels.get(name)
    if (channel !== undefined) server.unsubscribe(session, channel, message, context)
  }
  message.reply.successful = true
}
