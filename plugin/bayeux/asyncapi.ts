import type { AsyncApiInfo, AsyncApiServer } from '../../schemas/asyncapi.js'
import { rulesOf } from './authorizers.js'
import type { BoundRule, ServerChannel } from './channel.js'
import type { Channels } from './channels.js'
import type { Declaration, Kind } from './declaration.js'
import { type JsonSchema, Names, plain, SchemaBook } from './json-schemas.js'
import type { CometDServer } from './server.js'

/** An AsyncAPI 3.0 document of a server: plain JSON. */
export interface AsyncApiDocument {
  asyncapi: '3.0.0'
  info: AsyncApiInfo & { title: string, version: string }
  defaultContentType: string
  servers: AsyncApiServers
  /** By an id that is made of the name: `chat_room` for `/chat/{room}`. */
  channels: Record<string, AsyncApiChannel>
  /** As the application sees it: it receives what clients publish. */
  operations: Record<string, AsyncApiOperation>
  components: { schemas: Record<string, JsonSchema>, securitySchemes: SecuritySchemes }
}

type AsyncApiServers = Record<string, AsyncApiServer>
type SecuritySchemes = Record<string, SecurityScheme>

/** How clients prove who they are: an object of AsyncAPI, of whatever type. */
export interface SecurityScheme { readonly type: string, readonly [field: string]: unknown }

export interface AsyncApiChannel {
  /** The name; null if AsyncAPI would read it otherwise. */
  address: string | null
  title: string
  description?: string
  parameters?: Record<string, { description: string }>
  messages: Record<string, AsyncApiMessage>
}

export interface AsyncApiMessage {
  name: string
  title: string
  description?: string
  payload?: JsonSchema
  examples?: Array<{ payload: unknown }>
}

export interface AsyncApiOperation {
  action: 'receive' | 'send'
  channel: Reference
  summary: string
  description?: string
  messages: Reference[]
  reply?: { channel: Reference, messages: Reference[] }
}

interface Reference { $ref: string }

/** What a server cannot know of itself. */
export interface Surroundings {
  readonly info: AsyncApiInfo | undefined
  readonly servers: AsyncApiServers
  readonly securitySchemes: SecuritySchemes
  /** Schemas that those of channels may refer to by their `$id`. */
  readonly schemas: Iterable<unknown>
}

// A whole segment in braces.
const PARAMETER = /(?<=\/)\{(\w+)\}(?=\/|$)/g

const INFO = { title: 'CometD API', version: '1.0.0' }

/** Describes the channels that the application declared, but for those that it hides. */
export function describeServer (server: CometDServer, { info, servers, securitySchemes, schemas }: Surroundings): AsyncApiDocument {
  const book = new SchemaBook('#/components/schemas', schemas)
  const ids = new Names()
  const described = [...server.channels.declared]
    .filter(({ declaration }) => declaration?.settings.hide !== true)
    .map(channel => describeChannel(channel, server.channels, ids.take(wordsOf(channel.name), 'channel'), book))
  const security = Object.keys(securitySchemes).map(name => ({ $ref: `#/components/securitySchemes/${name}` }))
  return {
    asyncapi: '3.0.0',
    info: { ...INFO, ...plain(info) as AsyncApiInfo | undefined },
    defaultContentType: 'application/json',
    servers: Object.fromEntries(Object.entries(plain(servers) as AsyncApiServers).map(([name, server]) => [name, { security, ...server }])),
    channels: Object.fromEntries(described.map(({ id, channel }) => [id, channel])),
    operations: Object.fromEntries(described.flatMap(({ operations }) => operations)),
    components: { schemas: Object.fromEntries(book.schemas), securitySchemes: plain(securitySchemes) as SecuritySchemes }
  }
}

interface DescribedChannel {
  readonly id: string
  readonly channel: AsyncApiChannel
  readonly operations: Operations
}

type Operations = ReadonlyArray<readonly [id: string, operation: AsyncApiOperation]>
type Messages = ReadonlyArray<readonly [id: string, message: AsyncApiMessage]>

function describeChannel (channel: ServerChannel, channels: Channels, id: string, book: SchemaBook): DescribedChannel {
  const { name } = channel
  const own = channel.declaration as Declaration
  const { title = name, description } = own.settings
  // The schema and the rules may be those of a pattern that matches this channel.
  const { declaration = own } = channel.route(channels.generation)
  const rules = { subscribe: [...rulesOf(channels, 'subscribe', channel)], publish: [...rulesOf(channels, 'publish', channel)] }
  // AsyncAPI takes whatever is in braces for a parameter.
  const known = !/[{}]/.test(name.replaceAll(PARAMETER, ''))
  const parameters = [...known ? name.matchAll(PARAMETER) : []].map(([, parameter]) => [parameter as string, { description: 'One segment of the name' }] as const)
  const messages = describeMessages(channel, declaration, id, title, book)
  return {
    id,
    channel: {
      address: known ? name : null,
      title,
      ...paragraphs(description, name.endsWith('/*') && '`*` stands for any one segment.', name.endsWith('/**') && '`**` stands for one or more segments.'),
      ...(parameters.length > 0 && { parameters: Object.fromEntries(parameters) }),
      messages: Object.fromEntries(messages)
    },
    operations: describeOperations(channel, declaration, rules, id, messages)
  }
}

/** What clients send and, if that is something else, what the application sends. */
function describeMessages ({ service }: ServerChannel, { kind, schemas }: Declaration, id: string, title: string, book: SchemaBook): Messages {
  const describe = (name: string, schema: object | undefined, fallback: string): readonly [string, AsyncApiMessage] => {
    const payload = schema && book.write(schema, name)
    const { title = fallback, description, examples } = book.read(payload)
    return [name, {
      name,
      title,
      ...paragraphs(description, payload === undefined && 'Any JSON.'),
      ...(payload !== undefined && { payload }),
      ...(examples !== undefined && { examples: examples.map(payload => ({ payload })) })
    }]
  }
  if (!service) return [describe(id, schemas?.incoming, title)]
  const [asked, answered] = kind === 'call' ? ['parameters', 'result'] : ['request', 'response']
  return [
    describe(`${id}_${asked}`, schemas?.incoming, `${title}: ${asked}`),
    ...(schemas?.outgoing === undefined ? [] : [describe(`${id}_${answered}`, schemas.outgoing, `${title}: ${answered}`)])
  ]
}

function describeOperations (channel: ServerChannel, { kind }: Declaration, rules: Record<'subscribe' | 'publish', readonly BoundRule[]>, id: string, messages: Messages): Operations {
  const here = { $ref: `#/channels/${id}` }
  const [received = [], sent = received] = messages.map(([message]) => [{ $ref: `${here.$ref}/messages/${message}` }])
  const { name, service } = channel
  const answers = service && messages.length > 1
  const receives = !rules.publish.some(isNever)
  const sends = service ? answers && !receives : !rules.subscribe.some(isNever)
  const receive = {
    action: 'receive',
    channel: here,
    summary: service ? summaryOfService(name, kind, answers) : 'Clients publish.',
    ...rolesOf(rules.publish),
    messages: received,
    ...(answers && { reply: { channel: here, messages: sent } })
  } as const
  const send = {
    action: 'send',
    channel: here,
    summary: service ? 'The application sends something to single clients.' : 'Subscribers get what is published.',
    ...rolesOf(rules.subscribe),
    messages: sent
  } as const
  return [...(receives ? [[`receive_${id}`, receive] as const] : []), ...(sends ? [[`send_${id}`, send] as const] : [])]
}

function summaryOfService (name: string, kind: Kind, answers: boolean): string {
  if (kind === 'call') return `Clients call remoteCall('${name.slice('/service/'.length)}').`
  return answers ? 'Clients ask, and get an answer.' : 'Clients tell the application something.'
}

// As what a channel and its operations are found on a page.
function wordsOf (name: string): string {
  return name.replace(/\*\*$/, 'all').replace(/\*$/, 'any')
}

function isNever ({ rule }: BoundRule): boolean {
  return rule === false
}

function rolesOf (rules: readonly BoundRule[]): { description?: string } {
  const lists = new Set(rules.flatMap(({ roles }) => roles === undefined ? [] : [roles.map(role => `\`${role}\``).join(', ')]))
  return paragraphs(...[...lists].map(roles => `Needs one of the roles ${roles}.`))
}

function paragraphs (...texts: ReadonlyArray<string | false | undefined>): { description?: string } {
  const description = texts.filter(text => text !== undefined && text !== false && text !== '').join('\n\n')
  return description === '' ? {} : { description }
}
