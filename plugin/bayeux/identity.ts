import { isDeepStrictEqual } from 'node:util'
import { errors } from '../errors.js'
import { type Awaitable, andThen } from './awaitable.js'
import { Failures } from './budget.js'
import type { CometDIdentity } from './channel-types.js'
import type { Timed } from './clock.js'
import type { MessageContext } from './context.js'
import { Failure } from './guests.js'
import type { ServerMessage } from './message.js'
import { errorOfEnd } from './refusals.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

const NAMES_OF_PERSONS = ['sub', 'id'] as const
const REFUSED = '401::authentication_failed'
const TOO_MANY = '429::too_many_authentications'

// How long connects are held while their client is asked to authenticate again (ms): it has to get the credentials first, and the
// next connect brings them.
const LONGEST_HOLD = 1_000
const SHORTEST_HOLD = 100

/**
 * When `identity` ends, in ms since 1970; undefined: never.
 * @throws COMETD_ERR_IDENTITY_INVALID
 */
export function expiryOf (identity: CometDIdentity): number | undefined {
  if (typeof identity !== 'object' || identity === null) throw new errors.COMETD_ERR_IDENTITY_INVALID('it must be an object')
  const { expiresAt, exp } = identity
  // RFC 7519, 4.1.4: `exp` is in seconds.
  const expiry = expiresAt === undefined ? exp === undefined ? undefined : Number(exp) * 1_000 : Number(expiresAt)
  if (Number.isNaN(expiry)) throw new errors.COMETD_ERR_IDENTITY_INVALID('expiresAt must be a Date or milliseconds since 1970, exp seconds since 1970')
  return expiry
}

/** The time of an identity: shortly before its end the client is asked to authenticate again, and at its end the session ends. */
export class IdentityTerm implements Timed {
  tick = -1
  due = 0
  asked = false
  readonly #server: CometDServer
  readonly #session: ServerSession
  readonly #expiry: number

  constructor (server: CometDServer, session: ServerSession, expiry: number) {
    this.#server = server
    this.#session = session
    this.#expiry = expiry
  }

  /** Milliseconds until the end. */
  get left (): number {
    return Math.max(0, this.#expiry - this.#server.date())
  }

  start (): void {
    const { left } = this
    // An identity that does not last that long is not asked for again and again.
    const lead = Math.min(this.#server.options.reauthenticationTimeout, left / 2)
    this.asked = false
    this.#server.clock.schedule(this, left - lead)
  }

  stop (): void {
    this.#server.clock.cancel(this)
  }

  onTime (): void {
    const { left } = this
    if (left === 0) return this.#server.sessions.end(this.#session, 'identityExpired')
    this.#server.clock.schedule(this, left)
    if (this.asked) return
    this.asked = true
    this.#session.release('authentication')
  }
}

/** Whether two identities are of one person, as far as they say who that is, by `sub` and `id`. Undefined: they do not. */
function isSamePerson (one: CometDIdentity, other: CometDIdentity): boolean | undefined {
  const named = NAMES_OF_PERSONS.filter(name => one[name] != null || other[name] != null)
  return named.length === 0 ? undefined : named.every(name => isDeepStrictEqual(one[name], other[name]))
}

/**
 * Whether who sends a request is who began the session, as the hooks of the application say it of both. One of whom they say
 * nothing is taken for the one that it was.
 */
export function isSameUser (known: unknown, user: unknown): boolean {
  if (user === known || !isUser(user)) return true
  if (!isUser(known)) return false
  // Where nothing says who it is, all has to be the same.
  return isSamePerson(known, user) ?? isDeepStrictEqual(known, user)
}

function isUser (user: unknown): user is CometDIdentity {
  return typeof user === 'object' && user !== null
}

/** Asks who the client is that sent a handshake. Gives the error to answer with, if there is one. */
export function identify (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): Awaitable<string | undefined> {
  if (session.local) return undefined
  if (!server.parties.mayTry(session.address, server.options.maxFailuresPerAddress, server.clock.now())) return TOO_MANY
  return andThen(askWho(server, session, message, context), who => {
    if (who instanceof Failure) return who.error
    if (who !== undefined) session.identity = who
    return expiredAlready(session)
  })
}

/** The client of a session could not prove who it is. */
export function countFailure (server: CometDServer, session: ServerSession): void {
  const { maxFailuresPerAddress, maxFailuresPerSession } = server.options
  const now = server.clock.now()
  server.parties.failed(session.address, maxFailuresPerAddress, now)
  session.failures ??= new Failures()
  session.failures.count(maxFailuresPerSession, now)
}

/** The error to answer a handshake with whose session has an identity that has ended. */
export function expiredAlready (session: ServerSession): string | undefined {
  return session.identityLeft === 0 ? errorOfEnd('identityExpired') : undefined
}

/**
 * The exchange by which a client authenticates again, in the `ext` of connects. The server asks with
 * `authentication: { required: true, timeout }`, the client sends what it has as `authentication`, and is told
 * `authentication: { successful, error? }`, at once. The connect itself is answered as any other. Gives whether the client is told.
 */
export function authenticateAgain (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): Awaitable<boolean> {
  if (message.ext?.['authentication'] === undefined || session.local) return false
  const outcome = mayTry(server, session, message)
    ? andThen(askWho(server, session, message, context), who => accept(server, session, who, context))
    : TOO_MANY
  return andThen(outcome, error => {
    if (error === REFUSED) countFailure(server, session)
    tell(message, error === undefined ? { successful: true } : { successful: false, error })
    return true
  })
}

// One guess in a request, and so many in a minute.
function mayTry (server: CometDServer, session: ServerSession, { batch }: ServerMessage): boolean {
  const { maxFailuresPerAddress, maxFailuresPerSession } = server.options
  const now = server.clock.now()
  if (batch.authenticates || session.failures?.mayTry(maxFailuresPerSession, now) === false) return false
  batch.authenticates = true
  return server.parties.mayTry(session.address, maxFailuresPerAddress, now)
}

/** Has a connect ask for authentication, if its session has been asked and has not answered yet. */
export function askAgain (session: ServerSession, message: ServerMessage): void {
  const timeout = session.authenticationTimeout
  if (timeout === undefined) return
  message.holdFor = Math.min(message.holdFor, LONGEST_HOLD, Math.max(timeout / 2, SHORTEST_HOLD))
  tell(message, { required: true, timeout, ...message.reply.ext?.['authentication'] as object | undefined })
}

function tell ({ reply }: ServerMessage, authentication: object): void {
  reply.ext = { ...reply.ext, authentication }
}

// A session stays that of the person who began it. Gives the error to answer with, if there is one.
function accept (server: CometDServer, session: ServerSession, who: CometDIdentity | Failure | undefined, context: MessageContext | undefined): Awaitable<string | undefined> {
  if (who === undefined) return REFUSED
  if (who instanceof Failure) return who.error
  const { identity } = session
  const same = identity === undefined ? true : askWhetherSame(server, identity, who, context)
  return andThen(same, same => {
    if (same instanceof Failure) return same.error
    if (same !== true) return REFUSED
    const former = session.identity && expiryOf(session.identity)
    // What ends no later than what the session has is no answer.
    if (former !== undefined && (expiryOf(who) ?? Infinity) <= former) return REFUSED
    if (!session.removed) session.identity = who
    return undefined
  })
}

// Without anything that says so, it is not the same person.
function askWhetherSame (server: CometDServer, identity: CometDIdentity, who: CometDIdentity, context: MessageContext | undefined): Awaitable<unknown> {
  const ask = server.policy?.isSamePerson
  return ask === undefined ? isSamePerson(identity, who) : server.guests.ask("policy 'isSamePerson'", ask, server.policy, [identity, who], context)
}

function askWho (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined): Awaitable<CometDIdentity | Failure | undefined> {
  const ask = server.policy?.identify
  if (ask === undefined) {
    const user = (context as { request?: { user?: unknown } }).request?.user ?? undefined
    return check(server, typeof user === 'object' ? user : undefined)
  }
  return andThen(server.guests.ask("policy 'identify'", ask, server.policy, [session, message], context), who => check(server, who ?? undefined))
}

// What is no identity is logged, as the application's own fault, and refuses.
function check (server: CometDServer, who: unknown): CometDIdentity | Failure | undefined {
  if (who === undefined || who instanceof Failure) return who
  return server.guests.ask('identity', () => {
    expiryOf(who as CometDIdentity)
    return who
  }, undefined, [], undefined) as CometDIdentity | Failure
}
