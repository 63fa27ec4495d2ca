import { Type } from '@sinclair/typebox'

const now = Type.Optional(Type.Function([], Type.Unknown()))

/** What the extensions of CometD take. Each checks its own, whoever makes it. */
export const ActivityOptions = Type.Object({
  activity: Type.Union([Type.Literal('client'), Type.Literal('client-server')]),
  maxInactivity: Type.Integer({ minimum: 1 }),
  now
}, { additionalProperties: false })

export const TimestampOptions = Type.Object({
  format: Type.Optional(Type.Function([], Type.Unknown()))
}, { additionalProperties: false })

export const TimesyncOptions = Type.Object({
  accuracyTarget: Type.Optional(Type.Number({ minimum: 0 })),
  now
}, { additionalProperties: false })

// Objects are only told from what is none here: the extensions say better what is wrong in them.
const settings = (bare: boolean) => Type.Optional(Type.Union([bare ? Type.Boolean() : Type.Literal(false), Type.Object({})]))

/** The option `extensions`. */
export const ExtensionOptions = Type.Object({
  acknowledgement: Type.Optional(Type.Boolean()),
  activity: settings(false),
  timestamp: settings(true),
  timesync: settings(true),
  binary: Type.Optional(Type.Boolean())
}, { default: {}, additionalProperties: false, description: 'Extensions of CometD to be added: `acknowledgement`, `activity`, `timestamp`, `timesync`, `binary`. See docs/extensions.md' })
