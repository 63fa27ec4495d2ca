import { type Awaitable, andThen } from './awaitable.js'
import type { ServerChannel } from './channel.js'
import type { CometDIdentity } from './channel-types.js'
import type { MessageContext } from './context.js'
import { type Callback, Failure, type Guests } from './guests.js'
import type { ServerMessage } from './message.js'
import type { ServerSession } from './session.js'

/** What a policy says: `false` refuses; `true` or nothing allows. An error or a late answer refuses, too. */
export type Verdict = boolean | undefined | void

/**
 * Who may do what. A function that is missing is taken from the default policy, which lets every session do everything but
 * listen to all channels at once (`/*` and `/**`), which only local sessions may.
 */
export interface SecurityPolicy {
  /**
   * Who is this client? Asked before `canHandshake`, and when the client authenticates again. What it gives becomes the
   * session's `identity`; nothing: it has none. Without this function it is `request.user`, if there is one.
   */
  identify? (session: ServerSession, message: ServerMessage, callback: Callback<CometDIdentity | null | undefined>): Awaitable<CometDIdentity | null | undefined | void>
  /**
   * Are these two of the same person? Asked when a client authenticates again: only `true` lets it go on. Without this function,
   * `sub` and `id` have to be the same; identities with neither are never of the same person.
   */
  isSamePerson? (former: CometDIdentity, identity: CometDIdentity, callback: Callback<boolean>): Awaitable<boolean | void>
  /** May this client have a session? `message.reply` can be given `ext` and `advice`. */
  canHandshake? (session: ServerSession, message: ServerMessage, callback: Callback<Verdict>): Awaitable<Verdict>
  /** May the session create a channel by subscribing or publishing to it? */
  canCreate? (session: ServerSession, message: ServerMessage, channelName: string, callback: Callback<Verdict>): Awaitable<Verdict>
  canSubscribe? (session: ServerSession, message: ServerMessage, channel: ServerChannel, callback: Callback<Verdict>): Awaitable<Verdict>
  canPublish? (session: ServerSession, message: ServerMessage, channel: ServerChannel, callback: Callback<Verdict>): Awaitable<Verdict>
}

type Question = Exclude<keyof SecurityPolicy, 'identify' | 'isSamePerson'>

/**
 * Asks the application's policy, or the default one.
 * @returns undefined if it is allowed, or the error to answer with: `denied` or what became of the policy.
 */
export function refusal (guests: Guests, policy: SecurityPolicy | null, question: Question, args: readonly [ServerSession, ServerMessage, ...unknown[]], denied: string, context: MessageContext | undefined): Awaitable<string | undefined> {
  const ask = policy?.[question]
  if (ask === undefined) return question === 'canSubscribe' && !args[0].local && hearsEverything(args[2] as ServerChannel) ? denied : undefined
  return andThen(guests.ask(`policy '${question}'`, ask, policy, args, context), verdict => {
    if (verdict instanceof Failure) return verdict.error
    return verdict === false ? denied : undefined
  })
}

function hearsEverything ({ name }: ServerChannel): boolean {
  return name === '/**' || name === '/*'
}
