import { denial } from '../authorizers.js'
import { andThen, type Awaitable, everyInTurn } from '../awaitable.js'
import type { ServerChannel } from '../channel.js'
import type { MessageContext } from '../context.js'
import { isOver } from '../endings.js'
import { invalidChannel } from '../refusals.js'
import type { ServerMessage } from '../message.js'
import type { CometDServer } from '../server.js'
import type { ServerSession } from '../session.js'

const DENIED = '403:denied_by_security_policy:subscribe_denied'
const TOO_MANY = '403:max_subscriptions:subscribe_denied'
const TOO_FAST = '429:max_subscriptions:subscribe_denied'
const CREATE_DENIED = '403:denied_by_security_policy:create_denied'

/** /meta/subscribe: checks every name first, then subscribes to all or to none. */
export function subscribe (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): Awaitable<void> {
  const { subscription = [] } = message
  if (subscription.length === 0) return message.refuse('403::subscription_missing')
  // Before the names are looked at.
  if (subscription.length > server.options.maxSubscriptions) return message.refuse(TOO_MANY)
  const names = new Set(subscription)
  if (!session.spendSubscriptions(names.size)) return message.refuse(TOO_FAST)

  const channels: ServerChannel[] = []
  const allowed = everyInTurn(names, name => {
    const channel = server.channels.locate(name)
    if (channel === undefined) return refuse(message, invalidChannel(name))
    channels.push(channel)
    return andThen(check(server, session, message, channel, context), error => error === undefined || refuse(message, error))
  })
  return andThen(allowed, ok => {
    if (!ok) return
    if (isOver(server, session, message)) return
    const error = limit(server, session, channels)
    if (error !== undefined) return message.refuse(error)
    for (const channel of channels) {
      // B19: what a client hears on a service channel is delivered to it, not subscribed to.
      if (channel.broadcast) server.subscribe(session, server.channels.restore(channel, session, context), message, context)
      // A listener may have ended it.
      if (isOver(server, session, message)) return
    }
    message.reply.successful = true
  })
}

function refuse (message: ServerMessage, error: string): false {
  message.refuse(error)
  return false
}

function check (server: CometDServer, session: ServerSession, message: ServerMessage, channel: ServerChannel, context: MessageContext | undefined): Awaitable<string | undefined> {
  if (channel.meta) return DENIED
  const known = channel.service || server.channels.get(channel.name) !== undefined
  const created = known ? undefined : denial(server, 'create', session, message, channel, CREATE_DENIED, context)
  return andThen(created, error => error ?? denial(server, 'subscribe', session, message, channel, DENIED, context))
}

function limit (server: CometDServer, session: ServerSession, channels: readonly ServerChannel[]): string | undefined {
  const broadcast = channels.filter(channel => channel.broadcast)
  const added = broadcast.filter(channel => !session.subscriptionSet.has(channel)).length
  if (session.subscriptionSet.size + added > server.options.maxSubscriptions) return TOO_MANY
  const created = broadcast.filter(channel => server.channels.get(channel.name) === undefined).length
  const limit = created > 0 ? server.channels.limitFor(session, created) : undefined
  return limit && `403:${limit}:create_denied`
}
