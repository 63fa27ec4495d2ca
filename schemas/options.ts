import { Type, type Static } from '@sinclair/typebox'
import { AsyncApiOptions } from './asyncapi.js'
import { ExtensionOptions } from './extensions.js'

/** What a timer can wait at most, in ms. */
export const LONGEST_TIMER = 2 ** 31 - 1

const milliseconds = (value: number, description: string, minimum = 0) =>
  Type.Integer({ default: value, minimum, maximum: LONGEST_TIMER, description: `${description} (ms)` })
const count = (value: number, description: string) =>
  Type.Integer({ default: value, minimum: 1, description })

/**
 * Options that can be changed while the server runs: `app.cometd.options.timeout = 5000` takes effect at the next use. One
 * table: the type, the defaults, the check and the table in docs/options.md all come from here.
 */
export const ServerOptions = Type.Object({
  timeout: milliseconds(30_000, 'How long a `/meta/connect` is held when nothing happens'),
  interval: milliseconds(0, 'How long a client waits before its next `/meta/connect`'),
  maxInterval: milliseconds(10_000, 'How long after its last connect reply, plus `interval`, a silent session lives', 1),
  metaConnectDeliveryOnly: Type.Boolean({ default: false, description: 'New sessions get messages only together with the answer to a `/meta/connect`, also over WebSocket. Per session: `session.metaConnectDeliveryOnly`' }),
  broadcastToPublisher: Type.Boolean({ default: true, description: 'Whether new sessions get what they publish themselves, if they are subscribed. Per session: `session.broadcastToPublisher`; per channel: `channel.broadcastToPublisher`' }),
  maxLazyTimeout: milliseconds(5_000, 'How long lazy messages wait for others to leave with, on channels without a `lazyTimeout`'),
  allowMessageDeliveryDuringHandshake: Type.Boolean({ default: false, description: 'What is delivered to a session during its handshake is sent with the reply, which counts it in `x-messages`. Per session: `session.allowMessageDeliveryDuringHandshake`' }),
  handshakeReconnect: Type.Boolean({ default: false, description: 'Advice carries `maxInterval`, so that clients start with a new handshake when their session has expired, without asking first' }),
  defaultPolicy: Type.Union([Type.Literal('allow'), Type.Literal('deny')], { default: 'allow', description: 'What is said of subscribing and publishing where neither the policy nor a rule nor an authorizer says anything. Read docs/security.md' }),
  requireSchema: Type.Boolean({ default: false, description: 'Whether nobody may publish on channels without a schema: clients get `403:schema_required:publish_denied`, the application `COMETD_ERR_SCHEMA_MISSING`' }),
  validateOutgoing: Type.Optional(Type.Boolean({ description: 'Whether what the application publishes and delivers is checked by the schema of the channel. Default: unless the environment variable `NODE_ENV` is `production`' })),
  reauthenticationTimeout: milliseconds(10_000, 'How long before the end of its `identity` a client is asked to authenticate again. 0: it is not asked'),
  sweepPeriod: milliseconds(997, 'How often channels without subscribers and listeners are looked for; one that has not been used for as long is removed', 1),
  maxProcessing: milliseconds(8_000, 'How long one call of a listener, policy or extension may take before its message is refused with `503::processing_timeout`', 1),
  closeInterval: milliseconds(2_000, 'When the server closes, held connects are answered with a random `advice.interval` up to this, so that clients do not come back all at once'),
  closeTimeout: milliseconds(2_000, 'How long `close()` waits at most for the last answers to leave and sockets to close'),

  maxMessages: count(500, 'Messages in one request or WebSocket message; more: HTTP 413 `COMETD_ERR_TOO_MANY_MESSAGES`, or the socket is closed with 1008'),
  maxValues: count(50_000, 'Objects, arrays and fields of objects in one request or WebSocket message of more than 50,000 bytes, at any depth; more: HTTP 413 `COMETD_ERR_TOO_MANY_VALUES`, or the socket is closed with 1008'),
  maxDepth: count(32, 'Nesting depth of `data` and `ext`; deeper: `400:max_depth:message_invalid`'),
  maxChannelLength: count(255, 'Characters of a channel name; more: `405:<name>:channel_invalid`'),
  maxChannelSegments: count(32, 'Segments of a channel name; more: `405:<name>:channel_invalid`'),
  maxClientTimeout: milliseconds(60_000, 'Upper bound of the `advice.timeout` that a client may send'),
  maxClientInterval: milliseconds(60_000, 'Upper bound of the `advice.interval` that a client may send'),
  maxSubscriptions: count(500, 'Subscriptions of one session; more: `403:max_subscriptions:subscribe_denied`'),
  maxSessions: count(50_000, 'Sessions of the server; more: `403:max_sessions:handshake_denied`'),
  maxSessionsPerAddress: count(25_000, 'Sessions of clients with the same address; more: `403:max_sessions_per_address:handshake_denied`. Behind a proxy, set `trustProxy` of Fastify: else they all have its address'),
  maxSessionsPerCookie: count(100, 'Sessions bound to one browser cookie, from one address; more: `403:max_sessions_per_cookie:handshake_denied`'),
  maxChannels: count(10_000, 'Channels that clients created; more: `403:max_channels:create_denied` (subscribe), `403:max_channels:channel_create_denied` (publish)'),
  maxChannelsPerAddress: count(5_000, 'Those of them that clients with the same address created; more: `403:max_channels_per_address:…`'),
  maxChannelsPerSession: count(500, 'Those of them that one session created; more: `403:max_channels_per_session:…`'),
  maxPublishRate: count(2_000, 'Messages that one session may publish in a second, in the long run; more: `429:max_publish_rate:publish_denied`, and a WebSocket on which it goes on regardless is closed with 1008'),
  maxPublishBurst: count(1_000, 'Messages that one session may publish at once'),
  maxPublishByteRate: count(1_048_576, 'Bytes that one session may publish in a second, in the long run: as they came, or as they go out if that is more; more: `429:max_publish_byte_rate:publish_denied`'),
  maxPublishByteBurst: count(524_288, 'Bytes that one session may publish at once; a larger message takes all of them'),
  maxFailuresPerAddress: count(300, 'Failed authentications from one address in a minute; then handshakes get `429::too_many_authentications`'),
  maxFailuresPerSession: count(10, 'Failed authentications of one session in a minute; then its next ones fail with `429::too_many_authentications`'),
  maxRemoteCalls: count(100, 'Remote calls of one session that wait for their results; one more fails with `503:max_remote_calls:call_denied`'),
  maxQueue: count(5_000, 'Messages waiting for one session, or for its acknowledgement; one more and its `queueMaxed` listener decides, or the session is removed'),
  maxQueueBytes: count(2_097_152, 'Bytes of memory that the JSON of these messages takes; as `maxQueue`. A single message that is larger is refused: `413:max_queue_bytes:publish_denied`, or `COMETD_ERR_DATA_TOO_LARGE`'),

  requireHandshakePerConnection: Type.Boolean({ default: false, description: 'Whether a new WebSocket has to begin with a handshake, instead of going on with a session that is there' }),
  handshakeTimeout: milliseconds(10_000, 'How long a WebSocket may stay open without a session; then it is closed with 1008', 1),
  idleTimeout: milliseconds(300_000, 'How long a WebSocket may stay open without a message from its client; then it is closed with 1001. Must be longer than `timeout`', 1),
  messagesPerFrame: Type.Integer({ default: 0, minimum: 0, description: 'Messages in one outgoing WebSocket message. 0: as many as are due' }),
  bytesPerFrame: count(32_000, 'Bytes of one outgoing WebSocket message; a larger Bayeux message goes alone. Clients in Java close the socket if it is more than 65,536, old ones if it is more than 32,768'),
  highWaterMark: count(65_536, 'Bytes that wait in a WebSocket before the queue of the session holds the rest; also what an answer over HTTP takes of the queue'),

  browserCookieName: Type.String({ default: 'BAYEUX_BROWSER', pattern: '^[\\w!#$%&\'*+.^`|~-]+$', description: 'Name of the cookie that sessions are bound to' }),
  browserCookieDomain: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9.-]+$', description: '`Domain` of the cookie' })),
  browserCookiePath: Type.String({ default: '/', pattern: '^/[!-:<-~]*$', description: '`Path` of the cookie' }),
  browserCookieMaxAge: Type.Optional(Type.Integer({ minimum: 0, description: '`Max-Age` of the cookie (s); absent: until the browser closes' })),
  browserCookieHttpOnly: Type.Boolean({ default: true, description: '`HttpOnly` of the cookie' }),
  browserCookieSecure: Type.Union([Type.Boolean(), Type.Literal('auto')], { default: 'auto', description: '`Secure` of the cookie; `auto`: when the request came over HTTPS' }),
  browserCookieSameSite: Type.Union([Type.Literal('Strict'), Type.Literal('Lax'), Type.Literal('None'), Type.Literal(false)], { default: 'Lax', description: '`SameSite` of the cookie; `false`: none, for clients that cannot read it' }),
  browserCookiePartitioned: Type.Boolean({ default: false, description: '`Partitioned` of the cookie' }),
  maxSessionsPerBrowser: Type.Integer({ default: 1, minimum: -1, description: 'Connects held at a time for one browser cookie; the others poll every `multiSessionInterval`. 0: none is held, -1: no limit' }),
  http2MaxSessionsPerBrowser: Type.Integer({ default: -1, minimum: -1, description: 'As `maxSessionsPerBrowser`, over HTTP/2, which has one connection for all of them' }),
  multiSessionInterval: Type.Integer({ default: 2_000, minimum: -1, maximum: LONGEST_TIMER, description: '`advice.interval` of the connects beyond `maxSessionsPerBrowser` (ms); 0 or less: they are refused' }),
  duplicateMetaConnectHttpResponseCode: Type.Integer({ default: 500, minimum: 400, maximum: 599, description: 'HTTP status of a held connect that a newer one of its session displaces' }),
  callbackParameter: Type.String({ default: 'jsonp', pattern: '^\\w+$', description: 'Name of the query parameter that names the function to call, in callback-polling' }),
  callbackParameterMaxLength: count(64, 'Characters of the name of that function'),
  trustClientSession: Type.Boolean({ default: false, description: 'Find a session by its id alone when the cookie does not vouch for it: for clients without cookies. Read docs/security.md first' })
}, { additionalProperties: false })

/** Options that are read once, when the plugin is registered. */
export const RegistrationOptions = Type.Object({
  path: Type.String({ default: '/cometd', pattern: '^/([^*:]*[^*:/])?$', description: 'The routes are `POST path`, `POST path/*` and `GET path`, below `prefix`; WebSockets may be opened below `path`, too' }),
  transports: Type.Array(Type.Union([Type.Literal('websocket'), Type.Literal('long-polling'), Type.Literal('callback-polling')]), { default: ['websocket', 'long-polling'], minItems: 1, uniqueItems: true, description: 'The transports, as they are offered in `supportedConnectionTypes`. Read docs/security.md before you add `callback-polling`' }),
  bodyLimit: Type.Optional(Type.Integer({ minimum: 1, description: 'Bytes of a request body; more: HTTP 413. Default: the `bodyLimit` of the Fastify instance' })),
  maxMessageSize: Type.Optional(Type.Integer({ minimum: 1, description: 'Bytes of a WebSocket message; more: the socket is closed with 1009. Default: `bodyLimit`' })),
  allowedOrigins: Type.Union([Type.Literal('same-host'), Type.Literal('*'), Type.Array(Type.String()), Type.Function([], Type.Unknown())], { default: 'same-host', description: 'Whose pages may open a WebSocket, or send a form or a body without a content type; others: HTTP 403 `COMETD_ERR_ORIGIN_FORBIDDEN`. A list of origins, or a function `(origin, request)` that gives a boolean or a promise of one. Clients without `Origin` are no pages: only a function can refuse them' }),
  perMessageDeflate: Type.Union([Type.Boolean(), Type.Object({})], { default: false, description: 'Compression of WebSocket messages: `true` for bounded settings, or options of ws, put over these' }),
  protocol: Type.Optional(Type.String({ pattern: '^[\\w!#$%&\'*+.^`|~-]+$', description: 'WebSocket subprotocol that clients have to offer. Default: any, or none' })),
  extensions: ExtensionOptions,
  policy: Type.Optional(Type.Object({}, { description: 'The policy: initially `app.cometd.policy`' })),
  channels: Type.Record(Type.String(), Type.Object({}), { default: {}, description: 'What is declared of channels, by name or pattern: schemas, and who may use them. See docs/schemas.md' }),
  ajv: Type.Optional(Type.Object({ customOptions: Type.Optional(Type.Object({})), plugins: Type.Optional(Type.Array(Type.Unknown())) }, { additionalProperties: false, description: 'Options of Ajv for the JSON Schemas of channels, as Fastify takes them. Default: nothing is coerced, defaulted or removed' })),
  asyncapi: AsyncApiOptions,
  openapi: Type.Boolean({ default: true, description: 'Whether `POST path` is in the OpenAPI document of `@fastify/swagger`' }),
  logLevel: Type.Optional(Type.Union(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].map(level => Type.Literal(level)), { description: 'Log level of the routes and of the server. Default: that of the Fastify instance' })),
  routeOptions: Type.Optional(Type.Unknown({ description: 'Merged into the routes: `onRequest` and other hooks, `config`, `constraints`, `errorHandler`…' })),
  clock: Type.Optional(Type.Unknown({ description: 'Time source for tests: `{ now, setTimeout, clearTimeout, date? }`, such as `createTestClock()` of `fastify-cometd/testing`' }))
}, { additionalProperties: false })

/** Everything that `register(cometd, options)` takes. */
export const Options = Type.Composite([ServerOptions, RegistrationOptions], { additionalProperties: false })

export type ServerOptions = Static<typeof ServerOptions>
export type RegistrationOptions = Static<typeof RegistrationOptions>
