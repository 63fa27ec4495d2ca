import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { CometDServer } from './bayeux/server.js'
import { errors } from './errors.js'
import { buildServer, mount } from './mount.js'
import { checkOptions, type CometDPluginOptions } from './options.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The CometD server of this scope. */
    cometd: CometDServer
  }
}

async function plugin (fastify: FastifyInstance, given: CometDPluginOptions): Promise<void> {
  if (Object.hasOwn(fastify, 'cometd')) throw new errors.COMETD_ERR_ALREADY_REGISTERED()
  const options = checkOptions(given)
  const { logLevel } = options.registration
  const server = buildServer(fastify, options, fastify.log.child({ plugin: 'fastify-cometd' }, logLevel === undefined ? {} : { level: logLevel }))

  fastify.decorate('cometd', server)
  const { prefix, logSerializers } = given as { prefix?: string, logSerializers?: Record<string, never> }
  await mount(fastify, options, server, {
    ...(prefix !== undefined && { prefix }),
    ...(logSerializers !== undefined && { logSerializers })
  })
}

/** Makes a Fastify application a CometD (Bayeux) server, reachable as `fastify.cometd`. Options: docs/options.md. */
export const cometdPlugin: FastifyPluginAsync<CometDPluginOptions> = fp(plugin, { name: 'fastify-cometd', fastify: '5.x' })
export default cometdPlugin

export { createCometDServer } from './standalone.js'
export type { StandaloneCometDServer, StandaloneOptions } from './standalone.js'
export { errors } from './errors.js'
export type { AsyncApiOptions, CometDPluginOptions, RouteOptions } from './options.js'
export type { AsyncApiDocument } from './bayeux/asyncapi.js'
export { ServerChannel } from './bayeux/channel.js'
export type { ChannelEvents, Publisher } from './bayeux/channel.js'
export { filterData, filterStrings, noMarkup, noScripts, replacePattern } from './bayeux/data-filters.js'
export type { DataFilter } from './bayeux/data-filters.js'
export type { Dump, Statistics } from './bayeux/dump.js'
export { LocalSession } from './bayeux/local-session.js'
export type { LocalListener, LocalSessionExtension } from './bayeux/local-session.js'
export { RemoteCallFailure } from './bayeux/services.js'
export type { RemoteCallHandler, ServiceHandler } from './bayeux/services.js'
export { CometDServer } from './bayeux/server.js'
export type { ServerEvents } from './bayeux/server.js'
export { ServerSession } from './bayeux/session.js'
export type { QueueMaxedDecision, RemovalReason, SessionEvents } from './bayeux/session.js'
export { AcknowledgedMessagesExtension } from './extensions/acknowledged-messages.js'
export { ActivityExtension } from './extensions/activity.js'
export type { ActivityOptions } from './extensions/activity.js'
export { BinaryExtension } from './extensions/binary.js'
export type { BinaryData } from './extensions/binary.js'
export type { ExtensionOptions } from './extensions/index.js'
export { TimestampExtension } from './extensions/timestamp.js'
export type { TimestampOptions } from './extensions/timestamp.js'
export { TimesyncExtension } from './extensions/timesync.js'
export type { TimesyncOptions } from './extensions/timesync.js'
export * from './bayeux/channel-types.js'
export type { ChannelSettings, ChannelsOf, ContextRequest, Rule } from './bayeux/declaration.js'
export type { Authorization, Authorizer, Operation } from './bayeux/authorizers.js'
export type { TemplateParameters } from './bayeux/channel-name.js'
export type { Incoming, Outgoing, ServerExtension, SessionExtension } from './bayeux/extensions.js'
export type { Advice, OutgoingMessage, Reply, ServerMessage } from './bayeux/message.js'
export type { SecurityPolicy, Verdict } from './bayeux/policy.js'
export type { MessageContext } from './bayeux/context.js'
export type { ClientMessage, ClientReply, ClientResult, TypedClient } from './client.js'
// What the transports add to MessageContext.
export type {} from './transports/polling.js'
export type { Awaitable } from './bayeux/awaitable.js'
export type { Callback } from './bayeux/guests.js'
export type { TimeSource } from './bayeux/clock.js'
