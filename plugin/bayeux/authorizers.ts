import { type Awaitable, andThen, everyInTurn } from './awaitable.js'
import type { BoundRule, ServerChannel } from './channel.js'
import type { Channels } from './channels.js'
import type { CheckedRule } from './declaration.js'
import type { MessageContext } from './context.js'
import { type Callback, Failure } from './guests.js'
import { NO_PARAMETERS, ServerMessage } from './message.js'
import { refusal } from './policy.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

/** What a session wants to do with a channel. */
export type Operation = 'create' | 'subscribe' | 'publish'

/** What an authorizer says; `deny` with a text that the client gets as the reason. Nothing counts as `'ignore'`. */
export type Authorization = 'grant' | 'deny' | 'ignore' | { deny: string } | undefined | void

/**
 * Has a say, after the policy, in what sessions do with a channel and, if that is a wildcard or a template, with those that it
 * matches. Where there is an authorizer, one has to grant, and none may deny. An error or a late answer refuses.
 * @param channelName the channel that it is about
 */
export type Authorizer = (operation: Operation, channelName: string, session: ServerSession, message: ServerMessage, callback: Callback<Authorization>) => Awaitable<Authorization>

const QUESTIONS = { create: 'canCreate', subscribe: 'canSubscribe', publish: 'canPublish' } as const
const BY_POLICY = 'denied_by_security_policy'
// So many rules are asked for what subscribing to one name more costs.
const RULES_AT_ONCE = 10

/**
 * Asks the policy, the rules and the authorizers.
 * @param denied the error to answer with if the policy says no
 * @returns undefined if it is allowed, or the error to answer with
 */
export function denial (server: CometDServer, operation: Operation, session: ServerSession, message: ServerMessage, channel: ServerChannel, denied: string, context: MessageContext | undefined): Awaitable<string | undefined> {
  const { policy, channels, options } = server
  const subject = operation === 'create' ? channel.name : channel
  const refused = refusal(server.guests, policy, QUESTIONS[operation], [session, message, subject], denied, context)
  if (channels.authorizers === 0 && channels.rules === 0 && options.defaultPolicy === 'allow') return refused
  return andThen(refused, error => error ?? consult(server, operation, session, message, channel, denied, context))
}

function consult (server: CometDServer, operation: Operation, session: ServerSession, message: ServerMessage, channel: ServerChannel, denied: string, context: MessageContext | undefined): Awaitable<string | undefined> {
  const { authorizers, rules } = channel.route(server.channels.generation)
  // A channel is created to be used, which is asked next. Local sessions are the application's own.
  const ruled = operation !== 'create' && !session.local
  const denyFor = (reason: string): string => denied.replace(BY_POLICY, () => reason)
  const decided = authorizers.length > 0 || (ruled && rules[operation] !== undefined)
  if (!decided && !isOpen(server, operation, session, channel)) return denied
  const ruling = ruled ? askRules(server, rulesOf(server.channels, operation, channel), session, message, channel, denyFor, context) : undefined
  return andThen(ruling, error => error ?? askAuthorizers(server, authorizers, operation, session, message, channel, denyFor, context))
}

/**
 * Asks the rules of what a session is subscribed to once more: another identity may not be allowed what the former one was. What
 * it is not allowed any more it is not subscribed to any more.
 */
export function reviewSubscriptions (server: CometDServer, session: ServerSession, context: MessageContext): void {
  if (server.channels.rules === 0 || session.local) return
  for (const channel of session.subscriptions) {
    const message = new ServerMessage({ channel: '/meta/subscribe', clientId: session.id, subscription: channel.name })
    const error = askRules(server, rulesOf(server.channels, 'subscribe', channel), session, message, channel, reason => reason, context)
    andThen(error, error => { if (error !== undefined) server.unsubscribe(session, channel, null, context) })
  }
}

/** The rules that all have to allow it. Who subscribes to a wildcard hears something of others, too. */
export function * rulesOf (channels: Channels, operation: 'subscribe' | 'publish', channel: ServerChannel): Generator<BoundRule> {
  const rule = channel.route(channels.generation).rules[operation]
  if (rule !== undefined) yield rule
  if (operation === 'publish' || !channel.wild) return
  for (const other of channels.restrictedIn(channel)) {
    if (other.name !== channel.name) yield { ...other.declaration?.subscribe as CheckedRule, parameters: NO_PARAMETERS }
  }
}

// Whether what nobody has said anything of is allowed. Who subscribes to a service channel hears nothing by that.
function isOpen ({ policy, options }: CometDServer, operation: Operation, session: ServerSession, channel: ServerChannel): boolean {
  if (options.defaultPolicy === 'allow' || policy?.[QUESTIONS[operation]] !== undefined) return true
  return operation === 'create' || session.local || (operation === 'subscribe' && channel.service)
}

function askRules (server: CometDServer, rules: Iterable<BoundRule>, session: ServerSession, message: ServerMessage, channel: ServerChannel, denyFor: (reason: string) => string, context: MessageContext | undefined): Awaitable<string | undefined> {
  let error: string | undefined
  let asked = 0
  const allowed = everyInTurn(rules, ({ rule, roles, takesWildcards, parameters }) => {
    // A wildcard may take the consent of very many.
    if (++asked % RULES_AT_ONCE === 0 && !session.spendSubscriptions(1)) {
      error = '429:max_subscriptions:subscribe_denied'
      return false
    }
    const has = session.identity?.roles
    if (roles !== undefined && !(Array.isArray(has) && roles.some(role => has.includes(role)))) {
      error = denyFor('denied_by_role')
      return false
    }
    // It would be asked without parameters, and `undefined` may equal what somebody without an identity has not.
    if (channel.wild && !takesWildcards) {
      error = denyFor('denied_by_rule')
      return false
    }
    message.parameters = parameters
    const answer = typeof rule === 'boolean' ? rule : server.guests.ask('rule of a channel', rule, server.application, [requestOf(context), session, message, channel], context)
    return andThen(answer, said => {
      if (said !== true) error = said instanceof Failure ? said.error : denyFor('denied_by_rule')
      return said === true
    })
  })
  return andThen(allowed, () => error)
}

function requestOf (context: MessageContext | undefined): unknown {
  return (context as { request?: unknown } | undefined)?.request
}

function askAuthorizers (server: CometDServer, authorizers: readonly Authorizer[], operation: Operation, session: ServerSession, message: ServerMessage, channel: ServerChannel, denyFor: (reason: string) => string, context: MessageContext | undefined): Awaitable<string | undefined> {
  if (authorizers.length === 0) return undefined
  let error: string | undefined = denyFor('denied_by_not_granting')
  const nobodyDenied = everyInTurn(authorizers, authorizer => {
    const asked = server.guests.ask(`authorizer of '${operation}'`, authorizer, undefined, [operation, channel.name, session, message], context)
    return andThen(asked as Awaitable<Authorization | Failure>, said => {
      if (said === 'grant') error = undefined
      else if (said instanceof Failure) error = said.error
      else if (said === 'deny') error = denyFor('denied_by_authorizer')
      else if (typeof said === 'object' && said !== null) error = denyFor(said.deny)
      else return true
      return said === 'grant'
    })
  })
  return andThen(nobodyDenied, () => error)
}
