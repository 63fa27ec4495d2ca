import { type TSchema } from '@sinclair/typebox'
import type { FastifyRequest, LogLevel, RouteShorthandOptions } from 'fastify'
import type { PerMessageDeflateOptions } from 'ws'
import type { AsyncApiInfo, AsyncApiServer } from '../schemas/asyncapi.js'
import { Options, RegistrationOptions, ServerOptions } from '../schemas/options.js'
import type { SecurityScheme } from './bayeux/asyncapi.js'
import type { TimeSource } from './bayeux/clock.js'
import type { ChannelSettings } from './bayeux/declaration.js'
import type { SecurityPolicy } from './bayeux/policy.js'
import { errors } from './errors.js'
import type { ExtensionOptions } from './extensions/index.js'
import { optionCheck } from './option-check.js'
import type { AjvOptions } from './schema-compiler.js'

/** What a route of the plugin takes from the application: hooks are added, `schema` and its compiler are the plugin's own. */
export type RouteOptions = Omit<RouteShorthandOptions, 'schema' | 'attachValidation' | 'validatorCompiler' | 'serializerCompiler' | 'bodyLimit'>

/** The AsyncAPI document of the channels, and where it is to be had. Docs: docs/asyncapi.md. */
export interface AsyncApiOptions {
  /** What the application is. Default: `{ title: 'CometD API', version: '1.0.0' }`. */
  info?: AsyncApiInfo
  /** Where clients find the server. Default: where it listens; for requests: where they were sent to. */
  servers?: Record<string, AsyncApiServer>
  /** How clients prove who they are, beside the cookie that their session is bound to. */
  securitySchemes?: Record<string, SecurityScheme>
  /** Whether there is `GET path/asyncapi.json`. Default: false. */
  json?: boolean
  /** Whether there is `GET path/docs`, which shows the document. Needs `@asyncapi/react-component` and `@fastify/static`. Default: false. */
  docs?: boolean
}

/** What `register(cometd, options)` takes. Docs: docs/options.md. */
export interface CometDPluginOptions extends Partial<ServerOptions> {
  /** The routes are `POST path`, `POST path/*` and `GET path`, below `prefix`; WebSockets may be opened below `path`, too. Default `/cometd`. */
  path?: string
  /** Bytes of a request body. Default: that of the Fastify instance. */
  bodyLimit?: number
  /** The transports, in the order in which clients are offered them. Default `['websocket', 'long-polling']`. */
  transports?: Array<'websocket' | 'long-polling' | 'callback-polling'>
  /** Bytes of a WebSocket message. Default: `bodyLimit`. */
  maxMessageSize?: number
  /** Whose pages may open a WebSocket, or send a form: those of the same host (the default), of a list of origins, or whose origin a function accepts. */
  allowedOrigins?: 'same-host' | '*' | string[] | ((origin: string | undefined, request: FastifyRequest) => boolean | Promise<boolean>)
  /** Compression of WebSocket messages. Default: none. `true`: with bounded settings; an object: with these and options of ws. */
  perMessageDeflate?: boolean | PerMessageDeflateOptions
  /** WebSocket subprotocol that clients have to offer. Default: any, or none. */
  protocol?: string
  /** Extensions of CometD to be added. Default: none. */
  extensions?: ExtensionOptions
  /** Who may do what; `app.cometd.policy` can be set later, too. */
  policy?: SecurityPolicy
  /** What is declared of channels, by name or pattern. Typed better by `createServerChannel`. */
  channels?: { readonly [Name in string]: ChannelSettings<Name> }
  /** Options of Ajv for the JSON Schemas of channels, as Fastify takes them. Default: nothing is coerced, defaulted or removed. */
  ajv?: AjvOptions
  /** The AsyncAPI document of the channels. */
  asyncapi?: AsyncApiOptions
  /** Whether `POST path` is in the OpenAPI document of `@fastify/swagger`. Default: true. */
  openapi?: boolean
  /** Log level of the routes and of the server. Default: that of the Fastify instance. */
  logLevel?: LogLevel
  /** Merged into the routes. */
  routeOptions?: RouteOptions
  /** Time source for tests. Default: the process's monotonic clock. */
  clock?: TimeSource
}

/** The options, checked, with the defaults in place. */
export interface CheckedOptions {
  /** Live: setting one checks it. */
  server: ServerOptions
  registration: Pick<CometDPluginOptions, keyof RegistrationOptions> & Required<Pick<CometDPluginOptions, 'path' | 'transports' | 'allowedOrigins' | 'perMessageDeflate' | 'extensions' | 'channels' | 'asyncapi' | 'openapi'>>
  /** Of the scope that the routes are in. */
  prefix: string
}

// What Fastify itself adds to, or reads from, the options of a plugin.
const FASTIFY_OPTIONS = ['prefix', 'logSerializers', 'encapsulate']

const checks = new Map(Object.entries<TSchema>(Options.properties).map(([name, schema]) => [name, optionCheck(name, schema)]))

/**
 * Checks the options that the application gives. Its object is neither kept nor changed.
 * @throws COMETD_ERR_OPTION_INVALID naming the option and what is expected of it
 */
export function checkOptions (given: object): CheckedOptions {
  const values = new Map(Object.entries(given).filter(([name, value]) => value !== undefined && !FASTIFY_OPTIONS.includes(name)))
  for (const [name, value] of values) check(name, value)

  const registration = Object.fromEntries(withDefaults(RegistrationOptions.properties, values))
  const server = {}
  for (const [name, initial] of withDefaults(ServerOptions.properties, values)) defineLive(server, name, initial)
  const { prefix = '' } = given as { prefix?: string }
  return { server: Object.seal(server) as ServerOptions, registration: registration as CheckedOptions['registration'], prefix }
}

function withDefaults (properties: Record<string, TSchema>, values: ReadonlyMap<string, unknown>): Array<[string, unknown]> {
  return Object.entries(properties).map(([name, schema]) => [name, values.has(name) ? values.get(name) : schema['default']])
}

function defineLive (server: object, name: string, initial: unknown): void {
  let current = initial
  Object.defineProperty(server, name, {
    enumerable: true,
    get: () => current,
    set: value => {
      check(name, value)
      current = value
    }
  })
}

function check (name: string, value: unknown): void {
  const checkOption = checks.get(name)
  if (checkOption === undefined) throw new errors.COMETD_ERR_OPTION_INVALID(name, 'there is no such option')
  checkOption(value)
}
