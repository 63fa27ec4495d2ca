/**
 * What travels on the channels of an application, by name or pattern, for the compiler only. Applications add theirs:
 *
 *     declare module 'fastify-cometd' {
 *       interface CometDChannels {
 *         '/chat/{room}': { user: string, text: string }
 *         '/service/time': { request: null, response: number }
 *       }
 *     }
 *
 * A broadcast channel has the type of its data, a service channel those of its `request` and its `response`.
 */
export interface CometDChannels {}

/** The remote calls of an application, by name: `{ parameters, result }`. Applications add theirs, as to `CometDChannels`. */
export interface CometDRemoteCalls {}

/**
 * Who the client of a session is. Applications add what theirs has:
 *
 *     declare module 'fastify-cometd' {
 *       interface CometDIdentity { sub: string }
 *     }
 */
export interface CometDIdentity {
  /** What the `roles` of channels ask for. */
  readonly roles?: readonly string[]
  /** When it ends, in ms since 1970. Undefined: as `exp` says. */
  readonly expiresAt?: number | Date
  /** When it ends, in seconds since 1970, as in a JWT (RFC 7519, 4.1.4). Undefined: never. */
  readonly exp?: number
  readonly [field: string]: unknown
}

/** What clients publish on a channel; `unknown` if nothing is declared for its name. */
export type Published<Name extends string, Channels = CometDChannels> =
  Declared<Name, Channels> extends [infer Declaration]
    ? Name extends ServiceName ? Field<Declaration, 'request'> : Declaration
    : unknown

/** What the application publishes and delivers on a channel; `unknown` if nothing is declared for its name. */
export type Delivered<Name extends string, Channels = CometDChannels> =
  Declared<Name, Channels> extends [infer Declaration]
    ? Name extends ServiceName ? Field<Declaration, 'response'> : Declaration
    : unknown

/** What clients send with a remote call; `unknown` if nothing is declared for its name. */
export type CallParameters<Name extends string, Calls = CometDRemoteCalls> =
  Call<Name, Calls> extends [infer Declaration] ? Field<Declaration, 'parameters'> : unknown

/** What a remote call gives; `unknown` if nothing is declared for its name. */
export type CallResult<Name extends string, Calls = CometDRemoteCalls> =
  Call<Name, Calls> extends [infer Declaration] ? Field<Declaration, 'result'> : unknown

type ServiceName = `/service/${string}`
type Field<Declaration, Name extends string> = Declaration extends { readonly [Key in Name]: infer Type } ? Type : unknown

// The declaration that counts for a name, in a tuple: that of the name itself, of a template, of the closest wildcard.
type Declared<Name extends string, Channels> =
  string extends Name ? []
    : Name extends keyof Channels ? [Channels[Name]]
      : [TemplateOf<Name, Channels>] extends [never]
          ? Name extends `/${infer Rest}` ? WildcardOf<Rest, Channels> : []
          : [Channels[TemplateOf<Name, Channels>]]

type Call<Name extends string, Calls> =
  string extends Name ? []
    : Name extends keyof Calls ? [Calls[Name]]
      : [TemplateOf<Name, Calls>] extends [never] ? [] : [Calls[TemplateOf<Name, Calls>]]

type TemplateOf<Name extends string, Channels> = {
  [Key in keyof Channels]: Key extends `${string}{${string}}${string}` ? Matches<Name, Key> extends true ? Key : never : never
}[keyof Channels]

type Matches<Name extends string, Template extends string> =
  Template extends `${infer First}/${infer Others}`
    ? Name extends `${infer Segment}/${infer Rest}`
      ? Stands<First, Segment> extends true ? Matches<Rest, Others> : false
      : false
    : Name extends `${string}/${string}` ? false : Stands<Template, Name>

type Stands<Pattern extends string, Segment extends string> = Pattern extends `{${string}}` ? true : Segment extends Pattern ? true : false

// `Rest` is what follows `Parent` in the name. A wildcard further down comes first.
type WildcardOf<Rest extends string, Channels, Parent extends string = ''> =
  Rest extends `${infer Segment}/${infer Others}`
    ? WildcardOf<Others, Channels, `${Parent}/${Segment}`> extends [infer Deeper] ? [Deeper] : At<`${Parent}/**`, Channels>
    : At<`${Parent}/*`, Channels> extends [infer Declaration] ? [Declaration] : At<`${Parent}/**`, Channels>

type At<Pattern extends string, Channels> = Pattern extends keyof Channels ? [Channels[Pattern]] : []
