import { Type } from '@sinclair/typebox'

// What is described here is not checked: the checks know more, such as null in place of what is left out, which not every
// version of OpenAPI can say.

const ext = Type.Optional(Type.Object({}, { additionalProperties: true, description: 'Of extensions' }))
const advice = Type.Optional(Type.Object({
  reconnect: Type.Optional(Type.String({ enum: ['retry', 'handshake', 'none'] })),
  interval: Type.Optional(Type.Integer({ description: 'How long to wait before the next `/meta/connect` (ms)' })),
  timeout: Type.Optional(Type.Integer({ description: 'How long a `/meta/connect` is held (ms)' }))
}, { additionalProperties: true, description: 'How clients behave' }))

const Sent = Type.Object({
  channel: Type.String({ description: 'What the message is: `/meta/handshake`, `/meta/connect`, `/meta/subscribe`, `/meta/unsubscribe`, `/meta/disconnect`, or the channel that it is published on' }),
  id: Type.Optional(Type.String({ description: 'Comes back with the reply' })),
  clientId: Type.Optional(Type.String({ description: 'The session, as the reply to the handshake gives it. It is needed in all messages but the handshake' })),
  data: Type.Optional(Type.Unknown({ description: 'What is published: any JSON' })),
  subscription: Type.Optional(Type.Unknown({ description: 'A channel, or an array of them, to subscribe to or unsubscribe from' })),
  connectionType: Type.Optional(Type.String({ description: 'Of a `/meta/connect`: `long-polling`' })),
  version: Type.Optional(Type.String({ description: 'Of a handshake: `1.0`' })),
  supportedConnectionTypes: Type.Optional(Type.Array(Type.String(), { description: 'Of a handshake' })),
  advice,
  ext
}, { additionalProperties: true })

const Received = Type.Object({
  channel: Type.String({ description: 'That of the message which is replied to, or on which something was published' }),
  id: Type.Optional(Type.String({ description: 'That of the message which is replied to' })),
  successful: Type.Optional(Type.Boolean({ description: 'In replies' })),
  error: Type.Optional(Type.String({ description: 'Why not: `code:arguments:text`' })),
  clientId: Type.Optional(Type.String({ description: 'The session' })),
  data: Type.Optional(Type.Unknown({ description: 'What was published' })),
  subscription: Type.Optional(Type.Unknown({ description: 'That of the message which is replied to' })),
  advice,
  ext
}, { additionalProperties: true })

const failure = (description: string) => Type.Object({
  statusCode: Type.Integer(),
  code: Type.Optional(Type.String()),
  error: Type.String(),
  message: Type.String()
}, { additionalProperties: true, description })

/** What OpenAPI says of the route of long-polling. */
export const LongPollingRoute = {
  summary: 'Exchange Bayeux messages',
  description: 'The long-polling transport of CometD, which CometD clients use by themselves. A request carries messages of a client; the answer carries a reply to each, and what waits for the client. A `/meta/connect` is held until there is something. A session is bound to a cookie, which comes with the answer to its handshake. `POST` to any path below is the same.',
  tags: ['CometD'],
  consumes: ['application/json'],
  produces: ['application/json'],
  body: Type.Array(Sent, { minItems: 1, description: 'Messages. A single one may come without an array around it' }),
  response: {
    200: Type.Array(Received, { description: 'Replies, and messages for the client. A message that was refused has a reply with `successful: false`' }),
    400: failure('Not made of Bayeux messages'),
    413: failure('Too many bytes, or too many messages'),
    415: failure('A content type that is not JSON')
  }
}
