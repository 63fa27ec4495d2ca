import type { Static, TSchema } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { CallSchemas, ChannelSettings as SettingsSchema, ServiceSchemas } from '../../schemas/channels.js'
import { errors } from '../errors.js'
import { optionCheck } from '../option-check.js'
import type { Awaitable } from './awaitable.js'
import type { ChannelName, TemplateParameters } from './channel-name.js'
import type { ServerChannel } from './channel.js'
import type { Delivered, Published } from './channel-types.js'
import type { MessageContext } from './context.js'
import type { ServerMessage } from './message.js'
import type { ServerSession } from './session.js'

/** The request that carried a message, as the transports know it; undefined if none did. */
export type ContextRequest = MessageContext extends { readonly request?: infer Request } ? Request | undefined : unknown

/**
 * Who may do something with a channel: everybody (`true`), nobody (`false`), or whom a function says `true` of. Anything else that
 * it says refuses, and so does an error or a late answer. `this` is the Fastify instance. In `message.parameters` is what the
 * pattern that the rule was declared for binds.
 */
export type Rule<Name extends string = string> = boolean | ((request: ContextRequest, session: ServerSession, message: ServerMessage<unknown, TemplateParameters<Name>>, channel: ServerChannel) => Awaitable<boolean | undefined | void>)

/** What an application declares of a channel, of a template or of a wildcard, once. */
export interface ChannelSettings<Name extends string = string, Schema = unknown> {
  /**
   * What the data have to be: a TypeBox schema or any JSON Schema. Of a service channel `{ request, response }`, of the channel
   * of a remote call `{ parameters, result }`.
   */
  schema?: Schema
  /** Who may subscribe. */
  subscribe?: Rule<Name>
  /** Who may publish. */
  publish?: Rule<Name>
  /**
   * Whether rules that are functions are asked about subscriptions to wildcards, too, which have no parameters. Without it, they
   * refuse them. Default: false.
   */
  wildcards?: boolean
  /** One of these has to be among the `roles` of the session's identity, to subscribe and to publish or as given. */
  roles?: readonly string[] | { readonly subscribe?: readonly string[], readonly publish?: readonly string[] }
  /** What the channel is set to: see the members of ServerChannel. */
  persistent?: boolean
  lazy?: boolean
  /** Milliseconds. */
  lazyTimeout?: number
  broadcastToPublisher?: boolean
  /** For the AsyncAPI document. */
  title?: string
  description?: string
  /** Whether the AsyncAPI document leaves it out. */
  hide?: boolean
}

/** What clients send on a channel that was declared with `Schema`. */
export type IncomingData<Name extends string, Schema> = DataOf<Name, Schema, 'request' | 'parameters', Published<Name>>
/** What the application sends on a channel that was declared with `Schema`. */
export type OutgoingData<Name extends string, Schema> = DataOf<Name, Schema, 'response' | 'result', Delivered<Name>>

type DataOf<Name extends string, Schema, Part extends string, Undeclared> =
  [Schema] extends [undefined] ? Undeclared
    : Name extends `/service/${string}` ? PartOf<Schema, Part> : TypeOf<Schema>
type PartOf<Schema, Part extends string> = Schema[keyof Schema & Part] extends infer Of ? [Of] extends [never] ? unknown : TypeOf<Of> : unknown
type TypeOf<Schema> = Schema extends TSchema ? Static<Schema> : unknown

/**
 * The types of channels that are declared so, by their schemas, for `CometDChannels`:
 *
 *     const channels = { '/chat/{room}': { schema: Type.String() } }
 *     declare module 'fastify-cometd' {
 *       interface CometDChannels extends ChannelsOf<typeof channels> {}
 *     }
 */
export type ChannelsOf<Settings> = {
  [Name in keyof Settings & string as Settings[Name] extends { readonly schema: object } ? Name : never]:
  Settings[Name] extends { readonly schema: infer Schema }
    ? Name extends `/service/${string}` ? { request: PartOf<Schema, 'request' | 'parameters'>, response: PartOf<Schema, 'response' | 'result'> } : TypeOf<Schema>
    : never
}

/** What is wrong with a value. */
export interface Fault {
  /** A JSON pointer into the value; empty for the value itself. */
  readonly path: string
  readonly text: string
}

/** Tells the first thing that is wrong with a value; undefined if nothing is. */
export type Check = (value: unknown) => Fault | undefined

/** Compiles a TypeBox schema or a JSON Schema. Throws if it is none. */
export type CompileSchema = (schema: object) => Check

/** A rule, and the roles of which one is needed. */
export interface CheckedRule {
  readonly rule: Rule
  readonly roles: readonly string[] | undefined
  /** Whether it is one that can be asked about wildcards. */
  readonly takesWildcards: boolean
}

export type Kind = 'data' | 'service' | 'call'

/** The settings of a channel, checked and compiled. */
export interface Declaration {
  readonly settings: ChannelSettings
  readonly kind: Kind
  /** Schemas as they were given: of what clients send, and of what the application sends. */
  readonly schemas: { readonly incoming: object | undefined, readonly outgoing: object | undefined } | undefined
  readonly checkIncoming: Check | undefined
  readonly checkOutgoing: Check | undefined
  readonly subscribe: CheckedRule | undefined
  readonly publish: CheckedRule | undefined
}

const checkSettings = optionCheck('settings', SettingsSchema)
const serviceSchemas = TypeCompiler.Compile(ServiceSchemas)
const callSchemas = TypeCompiler.Compile(CallSchemas)

/**
 * Checks the settings of a channel and compiles its schemas.
 * @throws COMETD_ERR_OPTION_INVALID, COMETD_ERR_SCHEMA_INVALID, COMETD_ERR_CHANNEL_UNFIT
 */
export function declare (name: ChannelName, settings: ChannelSettings, compile: CompileSchema): Declaration {
  if (name.meta) throw new errors.COMETD_ERR_CHANNEL_UNFIT('declared for', name.name)
  checkSettings(settings, name.name)
  const { kind, incoming, outgoing } = readSchema(name, settings.schema as object | undefined)
  const compiled = (schema: object | undefined): Check | undefined => schema && compileFor(name, schema, compile)
  const checkIncoming = compiled(incoming)
  return {
    settings,
    kind,
    schemas: settings.schema === undefined ? undefined : { incoming, outgoing },
    checkIncoming,
    checkOutgoing: outgoing === incoming ? checkIncoming : compiled(outgoing),
    subscribe: ruleOf(settings, 'subscribe'),
    publish: ruleOf(settings, 'publish')
  }
}

/** The error of the application whose data do not fit. */
export function unfit (channelName: string, { path, text }: Fault): Error {
  return new errors.COMETD_ERR_DATA_UNFIT(channelName, path === '' ? text : `${path}: ${text}`)
}

function readSchema (name: ChannelName, schema: object | undefined): { kind: Kind, incoming: object | undefined, outgoing: object | undefined } {
  if (!name.service) return { kind: 'data', incoming: schema, outgoing: schema }
  if (schema === undefined) return { kind: 'service', incoming: undefined, outgoing: undefined }
  if (serviceSchemas.Check(schema)) return { kind: 'service', incoming: schema.request, outgoing: schema.response }
  if (callSchemas.Check(schema)) return { kind: 'call', incoming: schema.parameters, outgoing: schema.result }
  throw new errors.COMETD_ERR_SCHEMA_INVALID(name.name, 'that of a service channel is { request, response }, or { parameters, result }')
}

function compileFor ({ name }: ChannelName, schema: object, compile: CompileSchema): Check {
  try {
    return compile(schema)
  } catch (cause) {
    throw Object.assign(new errors.COMETD_ERR_SCHEMA_INVALID(name, (cause as Error).message), { cause })
  }
}

function ruleOf (settings: ChannelSettings, operation: 'subscribe' | 'publish'): CheckedRule | undefined {
  const rule = settings[operation]
  const roles = isList(settings.roles) ? settings.roles : settings.roles?.[operation]
  if (rule === undefined && roles === undefined) return undefined
  return { rule: rule ?? true, roles, takesWildcards: typeof rule !== 'function' || settings.wildcards === true }
}

// Array.isArray does not tell read-only arrays.
function isList (roles: ChannelSettings['roles']): roles is readonly string[] {
  return Array.isArray(roles)
}
