import createError from '@fastify/error'

/** Every coded error of this package. Also the table of docs/errors.md. */
export const errors = {
  /** An option is unknown, of the wrong type or out of range. Thrown at registration, or when a live option is set. */
  COMETD_ERR_OPTION_INVALID: createError('COMETD_ERR_OPTION_INVALID', "option '%s': %s", 500, TypeError),
  /** The plugin was registered a second time in the same scope. */
  COMETD_ERR_ALREADY_REGISTERED: createError('COMETD_ERR_ALREADY_REGISTERED', 'fastify-cometd is already registered in this scope', 500),
  /** The application added a route that takes WebSockets, without @fastify/websocket. Thrown where the route is added. */
  COMETD_ERR_WEBSOCKET_MISSING: createError('COMETD_ERR_WEBSOCKET_MISSING', "the route '%s' takes WebSockets: register @fastify/websocket before fastify-cometd", 500),
  /** The application used a channel name that is not one. */
  COMETD_ERR_CHANNEL_INVALID: createError('COMETD_ERR_CHANNEL_INVALID', "'%s' is not a channel name", 500, TypeError),
  /** The application published to a meta, service or wildcard channel, or delivered on a meta or wildcard channel. */
  COMETD_ERR_CHANNEL_UNFIT: createError('COMETD_ERR_CHANNEL_UNFIT', "messages cannot be %s '%s'", 500, TypeError),
  /** The application published or delivered data that JSON cannot hold; `cause` is the error of JSON.stringify. */
  COMETD_ERR_DATA_INVALID: createError('COMETD_ERR_DATA_INVALID', "the data for '%s' cannot be written as JSON: %s", 500, TypeError),
  /** The application published or delivered a message that is larger than `maxQueueBytes`, which no queue could hold. */
  COMETD_ERR_DATA_TOO_LARGE: createError('COMETD_ERR_DATA_TOO_LARGE', "the message for '%s' takes %s bytes, maxQueueBytes is %s", 500, RangeError),
  /** The application asked for an event that does not exist. */
  COMETD_ERR_EVENT_UNKNOWN: createError('COMETD_ERR_EVENT_UNKNOWN', "there is no event '%s'; there are %s", 500, TypeError),
  /** The application added something that is not a listener or an extension. */
  COMETD_ERR_HANDLER_INVALID: createError('COMETD_ERR_HANDLER_INVALID', '%s must be %s', 500, TypeError),
  /** Logged when code of the application calls itself through the server without end, such as a listener that publishes what it listens to. */
  COMETD_ERR_CALLS_NESTED: createError('COMETD_ERR_CALLS_NESTED', 'calls of listeners, policies and extensions are nested more than %s deep', 500),
  /** Settings were given for a channel that has been declared with others. */
  COMETD_ERR_CHANNEL_DECLARED: createError('COMETD_ERR_CHANNEL_DECLARED', "the channel '%s' has been declared otherwise", 500, TypeError),
  /** What was given as the schema of a channel is none. */
  COMETD_ERR_SCHEMA_INVALID: createError('COMETD_ERR_SCHEMA_INVALID', "the schema of '%s': %s", 500, TypeError),
  /** The application published or delivered data on a channel without a schema, and `requireSchema` is set. */
  COMETD_ERR_SCHEMA_MISSING: createError('COMETD_ERR_SCHEMA_MISSING', "the channel '%s' has no schema", 500, TypeError),
  /** The application published or delivered data that do not fit the schema of the channel. */
  COMETD_ERR_DATA_UNFIT: createError('COMETD_ERR_DATA_UNFIT', "the data for '%s' do not fit its schema: %s", 500, TypeError),
  /** An identity with an end that is none. */
  COMETD_ERR_IDENTITY_INVALID: createError('COMETD_ERR_IDENTITY_INVALID', 'identity: %s', 500, TypeError),
  /** The remote call of a local session failed; `data` is what the service says, or a Bayeux error. */
  COMETD_ERR_REMOTE_CALL_FAILED: createError('COMETD_ERR_REMOTE_CALL_FAILED', "the remote call '%s' failed", 500),
  /** Logged when a listener, policy or extension did not answer within `maxProcessing`. */
  COMETD_ERR_PROCESSING_TIMEOUT: createError('COMETD_ERR_PROCESSING_TIMEOUT', '%s did not answer within %s ms', 503),
  /** A request carried more messages than `maxMessages`, or more than there can be in so many bytes. */
  COMETD_ERR_TOO_MANY_MESSAGES: createError('COMETD_ERR_TOO_MANY_MESSAGES', 'a request may carry %s messages at most', 413),
  /** A request held more objects, arrays and fields than `maxValues`. */
  COMETD_ERR_TOO_MANY_VALUES: createError('COMETD_ERR_TOO_MANY_VALUES', 'a request may hold %s objects, arrays and fields at most', 413),
  /** A page of a foreign origin tried to open a WebSocket, or sent what any page can send without asking first. */
  COMETD_ERR_ORIGIN_FORBIDDEN: createError('COMETD_ERR_ORIGIN_FORBIDDEN', 'pages of this origin are not allowed', 403),
  /** A request of callback-polling that does not name a function. */
  COMETD_ERR_CALLBACK_INVALID: createError('COMETD_ERR_CALLBACK_INVALID', '%s must be one name of up to %s letters, digits and _ . -', 400),
  /** A request of callback-polling, or a WebSocket message, that is not made of Bayeux messages. */
  COMETD_ERR_MESSAGES_INVALID: createError('COMETD_ERR_MESSAGES_INVALID', 'messages%s: %s', 400),
  /** A request that no enabled transport understands, such as a plain GET. */
  COMETD_ERR_TRANSPORT_UNKNOWN: createError('COMETD_ERR_TRANSPORT_UNKNOWN', 'no Bayeux transport takes this request', 400)
}
