import { Type } from '@sinclair/typebox'

const Rule = Type.Union([Type.Boolean(), Type.Function([], Type.Unknown())])
const Roles = Type.Array(Type.String(), { description: 'One of them is enough' })
const AnySchema = Type.Object({})

/** What an application declares of a channel. The schema itself is checked when it is compiled. */
export const ChannelSettings = Type.Object({
  schema: Type.Optional(AnySchema),
  subscribe: Type.Optional(Rule),
  publish: Type.Optional(Rule),
  wildcards: Type.Optional(Type.Boolean()),
  roles: Type.Optional(Type.Union([Roles, Type.Object({ subscribe: Type.Optional(Roles), publish: Type.Optional(Roles) }, { additionalProperties: false })])),
  persistent: Type.Optional(Type.Boolean()),
  lazy: Type.Optional(Type.Boolean()),
  lazyTimeout: Type.Optional(Type.Integer({ minimum: 0 })),
  broadcastToPublisher: Type.Optional(Type.Boolean()),
  title: Type.Optional(Type.String()),
  description: Type.Optional(Type.String()),
  hide: Type.Optional(Type.Boolean())
}, { additionalProperties: false })

/** The two schemas of a service channel. */
export const ServiceSchemas = Type.Object({ request: Type.Optional(AnySchema), response: Type.Optional(AnySchema) }, { additionalProperties: false, minProperties: 1 })

/** The two schemas of a remote call. */
export const CallSchemas = Type.Object({ parameters: Type.Optional(AnySchema), result: Type.Optional(AnySchema) }, { additionalProperties: false, minProperties: 1 })
