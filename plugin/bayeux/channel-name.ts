/** The bounds of a channel name. */
export interface NameLimits {
  readonly maxChannelLength: number
  readonly maxChannelSegments: number
}

/** What a channel name says. */
export interface ChannelName {
  readonly name: string
  readonly segments: readonly string[]
  readonly meta: boolean
  readonly service: boolean
  /** Neither meta nor service. */
  readonly broadcast: boolean
  /** A pattern: the last segment is `*` or `**`. */
  readonly wild: boolean
  /** The patterns that match this name, the most specific first; none for a pattern. */
  readonly wildNames: readonly string[]
  /** The patterns that match all that this pattern matches, itself not counted, the most specific first; none for a name. */
  readonly widerNames: readonly string[]
  /** The names of the parameters of a template such as `/rooms/{id}`, by the number of the segment; none for any other name. */
  readonly parameters: ReadonlyMap<number, string>
}

/** The parameters that a template binds, by name: `{ id: string }` for `/rooms/{id}`. */
export type TemplateParameters<Name extends string> = string extends Name
  ? Readonly<Record<string, string>>
  : { readonly [Parameter in ParametersIn<Name>]: string }

type ParametersIn<Name extends string> = Name extends `${infer Segment}/${infer Rest}` ? ParameterOf<Segment> | ParametersIn<Rest> : ParameterOf<Name>
type ParameterOf<Segment extends string> = Segment extends `{${infer Parameter}}` ? Parameter : never

const PARAMETER = /^\{(\w+)\}$/
const NO_NAMES: readonly string[] = []
const NO_PARAMETERS: ReadonlyMap<number, string> = new Map()

// B12, B13: segments of the specification's characters and of those that CometD takes beside them; a wildcard only as the
// whole last segment. Each alternative starts with its own character, so the match is linear.
const GRAMMAR = /^(?:\/[\w\-!~()$@.+#{}]+)*\/(?:[\w\-!~()$@.+#{}]+|\*\*?)$/

/** Reads a channel name. Gives undefined if it is none. */
export function parseChannelName (name: string, limits: NameLimits): ChannelName | undefined {
  if (name.length > limits.maxChannelLength || !GRAMMAR.test(name)) return undefined
  const segments = name.split('/').slice(1)
  if (segments.length > limits.maxChannelSegments) return undefined
  const meta = name.startsWith('/meta/')
  const service = name.startsWith('/service/')
  const wild = name.endsWith('*')
  return {
    name,
    segments,
    meta,
    service,
    broadcast: !meta && !service,
    wild,
    wildNames: wild ? NO_NAMES : wildNamesOf(segments),
    widerNames: wild ? wildNamesOf(segments).filter(wider => wider.endsWith('**') && wider !== name) : NO_NAMES,
    parameters: name.includes('{') ? parametersOf(segments) : NO_PARAMETERS
  }
}

/** Whether the name can be that of a template: each parameter once, and no wildcard. */
export function isSoundTemplate ({ wild, parameters }: ChannelName): boolean {
  return parameters.size === 0 || (!wild && new Set(parameters.values()).size === parameters.size)
}

/** What a template's parameters are in `name`; undefined if it does not match. */
export function bind (template: ChannelName, { segments }: ChannelName): Readonly<Record<string, string>> | undefined {
  if (segments.length !== template.segments.length) return undefined
  if (!template.segments.every((segment, i) => template.parameters.has(i) || segment === segments[i])) return undefined
  return Object.freeze(Object.fromEntries(Array.from(template.parameters, ([i, parameter]) => [parameter, segments[i] as string])))
}

/** Whether there may be a name that both the wildcard and the other name, template or wildcard match. */
export function overlaps (wildcard: ChannelName, other: ChannelName): boolean {
  const { segments } = wildcard
  const { segments: others } = other
  const depth = segments.length - 1
  const deep = segments[depth] === '**'
  if (others.at(-1) === '**') return segments.slice(0, Math.min(depth, others.length - 1)).every(stands) && (deep || others.length - 1 <= depth)
  return (deep ? others.length > depth : others.length === depth + 1) && segments.slice(0, depth).every(stands)

  function stands (segment: string, i: number): boolean {
    return others[i] === segment || other.parameters.has(i)
  }
}

function parametersOf (segments: readonly string[]): ReadonlyMap<number, string> {
  return new Map(segments.flatMap((segment, i) => {
    const parameter = PARAMETER.exec(segment)?.[1]
    return parameter === undefined ? [] : [[i, parameter] as const]
  }))
}

function wildNamesOf (segments: readonly string[]): string[] {
  const names: string[] = []
  for (let depth = segments.length - 1; depth >= 0; depth--) {
    const parent = '/' + segments.slice(0, depth).map(segment => segment + '/').join('')
    if (names.length === 0) names.push(parent + '*')
    names.push(parent + '**')
  }
  return names
}
