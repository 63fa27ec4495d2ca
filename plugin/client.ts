// Types only, for code that runs in browsers: nothing here needs Fastify or Node.

import type { CallParameters, CallResult, CometDChannels, CometDRemoteCalls, Delivered, Published } from './bayeux/channel-types.js'

/** A message that came on a channel. */
export interface ClientMessage<Data = unknown> {
  channel: string
  data: Data
  id?: string
  ext?: object
  [field: string]: unknown
}

/** The answer to a message of the client. */
export interface ClientReply {
  channel: string
  successful?: boolean
  /** `CCC:arguments:text` (B41). */
  error?: string
  id?: string
  ext?: object
  [field: string]: unknown
}

/** What a remote call gives: its result if it was successful; else what the server says of the failure. */
export type ClientResult<Result> =
  | (ClientReply & { successful: true, data: Result })
  | (ClientReply & { successful: false, data?: unknown })

type Then<Message> = (message: Message) => void
// What a client gives back for a subscription or a listener, to be taken back with.
type Handle<Client, Method extends string> = Client extends { [Key in Method]: (...args: never[]) => infer Given } ? Given : unknown

/**
 * The CometD JavaScript client with the types of the channels and remote calls of a server:
 *
 *     const client = new CometD() as TypedClient<Channels, Calls, CometD>
 *
 * Methods that are not about data are as in `Client`.
 */
export type TypedClient<Channels = CometDChannels, Calls = CometDRemoteCalls, Client = unknown> =
  Omit<Client, 'addListener' | 'subscribe' | 'publish' | 'remoteCall'> & {
    addListener<Name extends string> (channel: Name, listener: Then<Name extends `/meta/${string}` ? ClientReply : ClientMessage<Delivered<Name, Channels>>>): Handle<Client, 'addListener'>
    subscribe<Name extends string> (channel: Name, listener: Then<ClientMessage<Delivered<Name, Channels>>>, callback?: Then<ClientReply>): Handle<Client, 'subscribe'>
    subscribe<Name extends string> (channel: Name, listener: Then<ClientMessage<Delivered<Name, Channels>>>, fields: object, callback?: Then<ClientReply>): Handle<Client, 'subscribe'>
    publish<Name extends string> (channel: Name, data: Published<Name, Channels>, callback?: Then<ClientReply>): void
    publish<Name extends string> (channel: Name, data: Published<Name, Channels>, fields: object, callback?: Then<ClientReply>): void
    remoteCall<Name extends string> (target: Name, parameters: CallParameters<Name, Calls>, callback?: Then<ClientResult<CallResult<Name, Calls>>>): void
    remoteCall<Name extends string> (target: Name, parameters: CallParameters<Name, Calls>, timeout: number, callback?: Then<ClientResult<CallResult<Name, Calls>>>): void
    remoteCall<Name extends string> (target: Name, parameters: CallParameters<Name, Calls>, timeout: number, fields: object, callback?: Then<ClientResult<CallResult<Name, Calls>>>): void
  }

export type { CallParameters, CallResult, CometDChannels, CometDRemoteCalls, Delivered, Published } from './bayeux/channel-types.js'
