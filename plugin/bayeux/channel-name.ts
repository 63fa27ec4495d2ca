/** The bounds of a channel name. */
export interface NameLimits {
  readonly maxChannelLength: number
  readonly maxChannelSegments: number
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

/** What a channel name says. What is seldom asked for is found out when it is. */
export class ChannelName {
  readonly name: string
  readonly segments: readonly string[]
  readonly meta: boolean
  readonly service: boolean
  /** A pattern: the last segment is `*` or `**`. */
  readonly wild: boolean
  /** The names of the parameters of a template such as `/rooms/{id}`, by the number of the segment; none for any other name. */
  readonly parameters: ReadonlyMap<number, string>
  #wildNames: readonly string[] | undefined

  constructor (name: string, segments: readonly string[]) {
    this.name = name
    this.segments = segments
    this.meta = name.startsWith('/meta/')
    this.service = name.startsWith('/service/')
    this.wild = name.endsWith('*')
    this.parameters = name.includes('{') ? parametersOf(segments) : NO_PARAMETERS
  }

  /** Neither meta nor service. */
  get broadcast (): boolean {
    return !this.meta && !this.service
  }

  /** The patterns that match this name, the most specific first; none for a pattern. */
  get wildNames (): readonly string[] {
    if (this.wild) return NO_NAMES
    this.#wildNames ??= wildNamesOf(this.segments)
    return this.#wildNames
  }

  /** The patterns that match all that this pattern matches, itself not counted, the most specific first; none for a name. */
  get widerNames (): readonly string[] {
    return this.wild ? wildNamesOf(this.segments).filter(wider => wider.endsWith('**') && wider !== this.name) : NO_NAMES
  }
}

/** Reads a channel name. Gives undefined if it is none. */
export function parseChannelName (name: string, limits: NameLimits): ChannelName | undefined {
  if (name.length > limits.maxChannelLength || !GRAMMAR.test(name)) return undefined
  const segments = name.split('/').slice(1)
  return segments.length > limits.maxChannelSegments ? undefined : new ChannelName(name, segments)
}

/** Whether the name can be that of a template: each parameter once, and no wildcard. */
export function isSoundTemplate ({ wild, parameters }: ChannelName): boolean {
  return parameters.size === 0 || (!wild && new Set(parameters.values()).size === parameters.size)
}

/** What a template's parameters are in a name that it matches. */
export function bind (template: ChannelName, { segments }: ChannelName): Readonly<Record<string, string>> {
  return Object.freeze(Object.fromEntries(Array.from(template.parameters, ([i, parameter]) => [parameter, segments[i] as string])))
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
