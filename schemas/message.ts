import { Type, type Static } from '@sinclair/typebox'

// Fields that a client may leave out may also be null: clients whose JSON writer keeps empty fields exist.
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

const AnyObject = Type.Object({}, { additionalProperties: true })

/**
 * One Bayeux message as a client may send it. Only the JSON types that no message can do without are checked here (HTTP
 * 400): a missing or unfitting value is the business of the one message it stands in, and gets a Bayeux reply.
 */
export const Message = Type.Object({
  channel: Type.Optional(Type.String({ description: 'Channel name; fixes the type of the message' })),
  id: orNull(Type.Union([Type.String(), Type.Number()], { description: 'Echoed in the reply' })),
  clientId: orNull(Type.String({ description: 'Session id, given by the handshake' })),
  data: Type.Optional(Type.Unknown({ description: 'Payload of a published message: any JSON' })),
  ext: orNull(AnyObject),
  advice: orNull(AnyObject),
  connectionType: orNull(Type.String({ description: 'Transport of a /meta/connect' })),
  subscription: orNull(Type.Union([Type.String(), Type.Array(Type.String())])),
  // A handshake in which these are wrong is answered by an unsuccessful reply, so their types are checked there.
  version: Type.Optional(Type.Unknown({ description: 'Protocol version of a handshake' })),
  minimumVersion: Type.Optional(Type.Unknown()),
  supportedConnectionTypes: Type.Optional(Type.Unknown({ description: 'Transports the client offers in a handshake' }))
}, { additionalProperties: true, description: 'Bayeux message' })
export type Message = Static<typeof Message>

/** What a request carries: an array of messages, or a single one (B9). */
export const MessageBatch = Type.Array(Message, { description: 'Bayeux messages' })
export type MessageBatch = Static<typeof MessageBatch>

export const RequestBody = Type.Union([MessageBatch, Message])
export type RequestBody = Static<typeof RequestBody>
