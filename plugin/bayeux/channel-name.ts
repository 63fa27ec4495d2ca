/** The bounds of a channel name. */
export interface NameLimits {
  readonly maxChannelLength: number
  readonly maxChannelSegments: number
}

/** What a channel name says. */
export interface ChannelName {
  readonly name: string
  readonly meta: boolean
  readonly service: boolean
  /** Neither meta nor service. */
  readonly broadcast: boolean
  /** A pattern: the last segment is `*` or `**`. */
  readonly wild: boolean
  /** The patterns that match this name, the most specific first; none for a pattern. */
  readonly wildNames: readonly string[]
}

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
  return { name, meta, service, broadcast: !meta && !service, wild, wildNames: wild ? [] : wildNamesOf(segments) }
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
