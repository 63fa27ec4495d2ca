import type { MessageContext } from '../context.js'
import type { ServerMessage } from '../message.js'
import { isOver } from '../endings.js'
import { invalidChannel } from '../refusals.js'
import type { CometDServer } from '../server.js'
import type { ServerSession } from '../session.js'

/** /meta/unsubscribe: succeeds also for channels the session is not subscribed to. */
export function unsubscribe (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): void {
  const names = message.subscription ?? []
  if (names.length === 0) return message.refuse('403::subscription_missing')
  // Before the names are looked at: it cannot have as many.
  if (names.length > server.options.maxSubscriptions) return message.refuse('403:max_subscriptions:unsubscribe_denied')
  if (!session.spendSubscriptions(names.length)) return message.refuse('429:max_subscriptions:unsubscribe_denied')
  const invalid = names.find(name => !server.channels.isName(name))
  if (invalid !== undefined) return message.refuse(invalidChannel(invalid))
  for (const name of names) {
    const channel = server.channels.get(name)
    if (channel !== undefined) server.unsubscribe(session, channel, message, context)
  }
  if (isOver(server, session, message)) return
  message.reply.successful = true
}
