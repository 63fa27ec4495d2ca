import { andThen, type Awaitable, isThenable } from './awaitable.js'
import type { TemplateParameters } from './channel-name.js'
import type { ServerChannel } from './channel.js'
import { Failure } from './guests.js'
import type { OutgoingMessage, ServerMessage } from './message.js'
import type { CometDServer } from './server.js'
import type { ServerSession } from './session.js'

/** Answers the messages of a channel. What it gives goes back to the caller, on the same channel; `undefined`: nothing does. */
export type ServiceHandler<Name extends string = string, Request = unknown, Response = unknown> =
  (session: ServerSession, message: ServerMessage<Request, TemplateParameters<Name>>) => Awaitable<Response | undefined | void>

/** Answers remote calls. What it gives is their result; `undefined` counts as `null`. */
export type RemoteCallHandler<Name extends string = string, Parameters = unknown, Result = unknown> =
  (session: ServerSession, parameters: Parameters, message: ServerMessage<Parameters, TemplateParameters<Name>>) => Awaitable<Result>

/** Thrown by the handler of a remote call, it makes the call fail for its caller, who gets `data`. */
export class RemoteCallFailure extends Error {
  readonly data: unknown

  /** @param data any JSON */
  constructor (data: unknown) {
    super('remote call failed')
    this.name = 'RemoteCallFailure'
    this.data = data
  }
}

/** The listener that makes a service of a channel. */
export function serviceListener (server: CometDServer, handler: ServiceHandler) {
  return (session: ServerSession | null, channel: ServerChannel, message: ServerMessage): Awaitable<void> => {
    // The application published without a sender: there is nobody to answer.
    if (session === null) return
    return andThen(handler(session, message), response => {
      if (response === undefined) return
      server.distribution.checkOutgoing(server.channels.locate(message.channel) as ServerChannel, response)
      return andThen(server.distribution.send(session, null, answerTo(message, { data: response })), () => {})
    })
  }
}

/** The listener that makes a remote call of a service channel. */
export function remoteCallListener (server: CometDServer, name: string, handler: RemoteCallHandler) {
  // A result is not waited for: the client may go on in the meantime.
  return (session: ServerSession, channel: ServerChannel, message: ServerMessage): void => {
    const { maxRemoteCalls } = server.options
    if (session.remoteCalls >= maxRemoteCalls) return answer(server, session, message, new Failure('503:max_remote_calls:call_denied'))
    session.remoteCalls++
    const outcome = server.guests.ask(`remote call '${name}'`, expectFailures(handler), undefined, [session, message.data, message], undefined)
    andThen(outcome, result => {
      session.remoteCalls--
      answer(server, session, message, result)
    })
  }
}

// A failure that the handler means is a result, too; any other is logged.
function expectFailures (handler: RemoteCallHandler) {
  const expect = (err: unknown): RemoteCallFailure => {
    if (err instanceof RemoteCallFailure) return err
    throw err
  }
  return (...args: Parameters<RemoteCallHandler>): unknown => {
    try {
      const result = handler(...args)
      return isThenable(result) ? result.then(undefined, expect) : result
    } catch (err) {
      return expect(err)
    }
  }
}

function answer (server: CometDServer, session: ServerSession, message: ServerMessage, result: unknown): void {
  try {
    const outcome = outcomeOf(result)
    if (outcome.successful) server.distribution.checkOutgoing(server.channels.locate(message.channel) as ServerChannel, outcome.data)
    server.distribution.send(session, null, answerTo(message, outcome))
  } catch (err) {
    server.log.error({ err }, 'remote call failed: its result cannot be sent')
    server.distribution.send(session, null, answerTo(message, outcomeOf(new Failure('500::internal_error'))))
  }
}

function outcomeOf (result: unknown): { successful: boolean, data: unknown } {
  if (result instanceof RemoteCallFailure) return { successful: false, data: result.data ?? null }
  // Of what the application did not mean to tell, nothing is told. No field is called `class`: clients in Java take its value for
  // a type to be loaded, and throw the whole answer away if they cannot.
  if (result instanceof Failure) return { successful: false, data: { message: result.error } }
  return { successful: true, data: result ?? null }
}

// B20: it has the id of the request.
function answerTo ({ channel, id }: ServerMessage, fields: { data: unknown, successful?: boolean }): OutgoingMessage {
  return { channel, ...(id !== undefined && { id }), ...fields }
}
