import { channel } from 'node:diagnostics_channel'

/**
 * The channels of node:diagnostics_channel on which the server tells what happens. Nobody listening, nothing is made to be told.
 */
export const diagnostics = {
  /** `{ server, session, message }`: a handshake succeeded. */
  sessionAdded: channel('fastify-cometd.session.added'),
  /** `{ server, session, reason }` */
  sessionRemoved: channel('fastify-cometd.session.removed'),
  /** `{ server, session, channel, message }` */
  subscribed: channel('fastify-cometd.subscribed'),
  /** `{ server, session, channel, message }`; `message` is null if the session was removed. */
  unsubscribed: channel('fastify-cometd.unsubscribed'),
  /** `{ server, sender, channel, message }`: a message is about to go to its subscribers; `sender` is null for the application. */
  publish: channel('fastify-cometd.publish'),
  /** `{ server, session, sender, message }`: a message was queued for one session. */
  deliver: channel('fastify-cometd.deliver')
}
