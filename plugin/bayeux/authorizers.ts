import { type Awaitable, andThen, everyInTurn } from './awaitable.js'
import type { ServerChannel } from './channel.js'
import type { MessageContext } from './context.js'
import { type Callback, Failure } from './guests.js'
import type { ServerMessage } from './message.js'
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

/**
 * Asks the policy and the authorizers.
 * @param denied the error to answer with if the policy says no
 * @returns undefined if it is allowed, or the error to answer with
 */
export function denial (server: CometDServer, operation: Operation, session: ServerSession, message: ServerMessage, channel: ServerChannel, denied: string, context: MessageContext | undefined): Awaitable<string | undefined> {
  const subject = operation === 'create' ? channel.name : channel
  const refused = refusal(server.guests, server.policy, QUESTIONS[operation], [session, message, subject], denied, context)
  if (server.channels.authorizers === 0) return refused
  return andThen(refused, error => error ?? consult(server, operation, session, message, channel, denied, context))
}

function consult (server: CometDServer, operation: Operation, session: ServerSession, message: ServerMessage, channel: ServerChannel, denied: string, context: MessageContext | undefined): Awaitable<string | undefined> {
  const { authorizers } = channel.route(server.channels.generation)
  if (authorizers.length === 0) return undefined
  const denyFor = (reason: string): string => denied.replace(BY_POLICY, () => reason)
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
