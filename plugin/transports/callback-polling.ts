import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RequestBody } from '../../schemas/message.js'
import type { CometDServer } from '../bayeux/server.js'
import { errors } from '../errors.js'
import { faultIn, readParameters, type ReadJson } from './batch.js'
import type { Browsers } from './browser.js'
import { Polling } from './polling.js'

const CALLBACK = /^[\w.-]+$/
// In JSON they are text, in a script of old browsers they are line ends.
const LINE_ENDS = /[\u2028\u2029]/g

/** Messages in the query of GET requests, answered by a script that calls a function of the page (B84, B85). */
export class CallbackPolling extends Polling {
  readonly name = 'callback-polling'
  readonly contentType = 'text/javascript; charset=utf-8'

  readonly #readJson: ReadJson

  constructor (server: CometDServer, browsers: Browsers, readJson: ReadJson) {
    super(server, browsers)
    this.#readJson = readJson
  }

  /** @throws COMETD_ERR_TRANSPORT_UNKNOWN, COMETD_ERR_CALLBACK_INVALID, COMETD_ERR_MESSAGES_INVALID, or that of the JSON reader */
  call (request: FastifyRequest, reply: FastifyReply): void {
    const { callbackParameter, callbackParameterMaxLength } = this.server.options
    const parameters = parametersOf(request)
    const callbacks = parameters.getAll(callbackParameter)
    if (callbacks.length === 0 || !parameters.has('message')) throw new errors.COMETD_ERR_TRANSPORT_UNKNOWN()
    const [callback] = callbacks as [string]
    if (callbacks.length > 1 || callback.length > callbackParameterMaxLength || !CALLBACK.test(callback)) {
      throw new errors.COMETD_ERR_CALLBACK_INVALID(callbackParameter, callbackParameterMaxLength)
    }
    const body = readParameters(parameters, this.#readJson, this.server.options)
    const fault = faultIn(body)
    if (fault !== undefined) throw new errors.COMETD_ERR_MESSAGES_INVALID(fault.path, fault.message)
    reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-store')
    this.handle(request, reply, body as RequestBody)
  }

  // The comment keeps the beginning of the answer from being chosen by who chose the name of the function.
  write (json: string, request: FastifyRequest): string {
    const script = json.replace(LINE_ENDS, end => end === '\u2028' ? '\\u2028' : '\\u2029')
    return `/**/${parametersOf(request).get(this.server.options.callbackParameter) as string}(${script});`
  }
}

// Read here, since the application may have Fastify read queries in its own way.
function parametersOf ({ raw }: FastifyRequest): URLSearchParams {
  return new URL(raw.url as string, 'http://localhost').searchParams
}
