import type { ChannelName } from './channel-name.js'

/** What an index keeps: something with a name. */
export interface Indexed {
  readonly parsed: ChannelName
}

interface Node<Entry> {
  readonly children: Map<string, Node<Entry>>
  /** What follows a parameter, whatever it is called. */
  parameter: Node<Entry> | undefined
  readonly entries: Set<Entry>
  /** How many entries there are here and below. */
  count: number
}

function newNode<Entry> (): Node<Entry> {
  return { children: new Map(), parameter: undefined, entries: new Set(), count: 0 }
}

/**
 * Names, templates and wildcards as a tree of their segments, so that finding those that concern a name does not cost more the
 * more there are.
 */
export class ChannelIndex<Entry extends Indexed> {
  readonly #root = newNode<Entry>()

  add (entry: Entry): void {
    const { segments, parameters } = entry.parsed
    let node = this.#root
    node.count++
    segments.forEach((segment, i) => {
      node = parameters.has(i) ? node.parameter ??= newNode() : childOf(node, segment)
      node.count++
    })
    node.entries.add(entry)
  }

  has (entry: Entry): boolean {
    return this.matching(entry.parsed).includes(entry)
  }

  /** It has to be there. */
  delete (entry: Entry): void {
    const { segments, parameters } = entry.parsed
    const path = [this.#root]
    segments.forEach((segment, i) => {
      const node = path[i] as Node<Entry>
      path.push((parameters.has(i) ? node.parameter : node.children.get(segment)) as Node<Entry>)
    })
    path.at(-1)?.entries.delete(entry)
    for (const node of path) node.count--
    for (let i = segments.length; i > 0 && path[i]?.count === 0; i--) {
      const parent = path[i - 1] as Node<Entry>
      if (parameters.has(i - 1)) parent.parameter = undefined
      else parent.children.delete(segments[i - 1] as string)
    }
  }

  /** The names and templates that a name is, or fits. */
  matching ({ segments }: ChannelName): Entry[] {
    let nodes = [this.#root]
    for (const segment of segments) nodes = nodes.flatMap(node => following(node, segment))
    return nodes.flatMap(node => [...node.entries])
  }

  /** Each entry of which some name may be that the wildcard matches, too. */
  * overlapping ({ segments }: ChannelName): Generator<Entry> {
    const deep = segments.at(-1) === '**'
    let nodes = [this.#root]
    for (const segment of segments.slice(0, -1)) {
      for (const node of nodes) yield * entriesOf(node.children.get('**'))
      nodes = nodes.flatMap(node => following(node, segment))
    }
    for (const node of nodes) {
      if (deep) yield * below(node)
      else for (const next of nextTo(node)) yield * entriesOf(next)
    }
  }
}

function childOf<Entry> (node: Node<Entry>, segment: string): Node<Entry> {
  let child = node.children.get(segment)
  if (child === undefined) {
    child = newNode()
    node.children.set(segment, child)
  }
  return child
}

function following<Entry> (node: Node<Entry>, segment: string): Array<Node<Entry>> {
  const child = node.children.get(segment)
  return [...child === undefined ? [] : [child], ...node.parameter === undefined ? [] : [node.parameter]]
}

function * nextTo<Entry> (node: Node<Entry>): Generator<Node<Entry>> {
  yield * node.children.values()
  if (node.parameter !== undefined) yield node.parameter
}

function entriesOf<Entry> (node: Node<Entry> | undefined): Iterable<Entry> {
  return node?.entries ?? []
}

function * below<Entry> (node: Node<Entry>): Generator<Entry> {
  for (const next of nextTo(node)) {
    yield * next.entries
    yield * below(next)
  }
}
