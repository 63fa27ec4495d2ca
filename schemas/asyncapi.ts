import { type Static, Type } from '@sinclair/typebox'

const text = (description: string) => Type.Optional(Type.String({ description }))
const AnyObject = Type.Object({})
const closed = { additionalProperties: false }

const ExternalDocs = Type.Object({ url: Type.String(), description: text('What is there') }, closed)
const Tags = Type.Array(Type.Object({ name: Type.String(), description: text('CommonMark'), externalDocs: Type.Optional(ExternalDocs) }, closed))

const Info = Type.Object({
  title: text('Default: CometD API'),
  version: text('Of the API. Default: 1.0.0'),
  description: text('CommonMark'),
  termsOfService: text('URL'),
  contact: Type.Optional(Type.Object({ name: text('Who'), url: text('URL'), email: text('Address') }, closed)),
  license: Type.Optional(Type.Object({ name: Type.String(), url: text('URL') }, closed)),
  tags: Type.Optional(Tags),
  externalDocs: Type.Optional(ExternalDocs)
}, closed)

const Server = Type.Object({
  host: Type.String({ description: 'Name, and port' }),
  protocol: Type.String({ description: '`http`, `https`, `ws` or `wss`' }),
  pathname: text('Where the routes are'),
  protocolVersion: text('Version of the protocol'),
  title: text('Name for people'),
  summary: text('In a few words'),
  description: text('CommonMark'),
  variables: Type.Optional(Type.Record(Type.String(), AnyObject, { description: 'What stands in braces in `host` and `pathname`' })),
  security: Type.Optional(Type.Array(AnyObject, { description: 'Default: references to all security schemes' })),
  tags: Type.Optional(Tags),
  externalDocs: Type.Optional(ExternalDocs),
  bindings: Type.Optional(AnyObject)
}, closed)

const SecurityScheme = Type.Object({
  type: Type.Union(['userPassword', 'apiKey', 'X509', 'symmetricEncryption', 'asymmetricEncryption', 'httpApiKey', 'http', 'oauth2', 'openIdConnect', 'plain', 'scramSha256', 'scramSha512', 'gssapi'].map(type => Type.Literal(type)))
})

// What AsyncAPI wants of the names of components.
const byName = <T extends typeof Server | typeof SecurityScheme>(schema: T) => Type.Record(Type.String({ pattern: '^[\\w.-]+$' }), schema, closed)

/** The option `asyncapi`: a document of the channels, and where it is to be had. */
export const AsyncApiOptions = Type.Object({
  info: Type.Optional(Info),
  servers: Type.Optional(byName(Server)),
  securitySchemes: Type.Optional(byName(SecurityScheme)),
  json: Type.Optional(Type.Boolean()),
  docs: Type.Optional(Type.Boolean())
}, { default: {}, additionalProperties: false, description: 'The AsyncAPI document of the channels: `info`, `servers` and `securitySchemes` in it; `json: true` serves it at `GET path/asyncapi.json`, `docs: true` as a page at `GET path/docs`. See docs/asyncapi.md' })

export type AsyncApiInfo = Static<typeof Info>
export type AsyncApiServer = Static<typeof Server>
