/** A JSON Schema of draft-07. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown }

/** What a schema says for people. */
export interface Annotations {
  readonly title?: string
  readonly description?: string
  readonly examples?: readonly unknown[]
}

type Schema = Readonly<Record<string, unknown>>

const JSON_TYPES = ['array', 'boolean', 'integer', 'null', 'number', 'object', 'string']

// The keywords whose values are schemas, lists of them, or schemas by name. What is elsewhere is data, whatever it looks like.
const SCHEMAS = new Set(['additionalItems', 'additionalProperties', 'allOf', 'anyOf', 'contains', 'else', 'if', 'items', 'not', 'oneOf', 'propertyNames', 'then', 'unevaluatedItems', 'unevaluatedProperties'])
const NAMED_SCHEMAS = new Set(['$defs', 'definitions', 'dependencies', 'patternProperties', 'properties'])

// What says where a schema is, and what it only keeps for references.
const LEFT_OUT = new Set(['$anchor', '$defs', '$id', '$ref', '$schema', 'definitions', 'nullable'])

// TypeBox numbers the recursive schemas that nobody named.
const NUMBERED = /^T\d+$/

// Relative URIs need something to be relative to.
const NOWHERE = 'schema://nowhere/'

// What is in the place of types that JSON does not have.
const STAND_INS: ReadonlyMap<string, (schema: Schema) => Schema> = new Map<string, (schema: Schema) => Schema>([
  ['Date', () => ({ type: 'string', format: 'date-time', description: 'A date' })],
  ['RegExp', ({ source, flags }) => ({ type: 'string', description: `Text that matches /${source}/${flags}` })],
  ['Uint8Array', () => ({ description: 'Bytes' })]
])

/** Makes names that are safe in URIs and as keys, each only once. */
export class Names {
  readonly #taken = new Set<string>()

  /** `text` without what is not safe, or `fallback` if nothing is left; with a number if it is taken. */
  take (text: string, fallback: string): string {
    const name = text.replaceAll(/\W+/g, '_').replaceAll(/^_+|_+$/g, '') || fallback
    let free = name
    for (let number = 2; this.#taken.has(free); number++) free = `${name}_${number}`
    this.#taken.add(free)
    return free
  }
}

/** The part of a schema in which relative references are at home: all of it, or what has an `$id` of its own. */
interface Resource {
  readonly root: Schema
  readonly uri: string
}

/** Schemas, and what references in them lead to. */
class Library {
  readonly #shared: Library | undefined
  readonly #byUri = new Map<string, Schema>()
  readonly #resources = new Map<Schema, Resource>()

  /** @param shared where to look for what is not here */
  constructor (shared?: Library) {
    this.#shared = shared
  }

  /** Adds a schema, and all that are in it. */
  add (schema: Schema, around: Resource = { root: schema, uri: NOWHERE }): void {
    if (this.#resources.has(schema)) return
    const { $id, $anchor } = schema
    const resource = isId($id) ? { root: schema, uri: resolve($id, around.uri) } : around
    this.#resources.set(schema, resource)
    if (isId($id)) this.#name(schema, [withoutFragment($id), resource.uri])
    else if (typeof $id === 'string') this.#name(schema, [resource.uri + $id])
    if (typeof $anchor === 'string') this.#name(schema, [`${resource.uri}#${$anchor}`])
    for (const part of partsOf(schema)) if (isSchema(part)) this.add(part, resource)
  }

  /** What the reference in `schema` leads to, and the library that has it; nothing if it leads nowhere. */
  find (reference: string, schema: Schema): readonly [target: Schema | boolean, library: Library] | undefined {
    return this.#find(reference, this.#resources.get(schema) as Resource)
  }

  #find (reference: string, { root, uri }: Resource): readonly [Schema | boolean, Library] | undefined {
    const [id, fragment] = split(reference)
    const whole = id === '' ? root : this.#byUri.get(id) ?? this.#byUri.get(resolve(id, uri))
    if (whole === undefined) return this.#shared === undefined ? undefined : this.#shared.#find(reference, { root, uri })
    const resource = this.#resources.get(whole) as Resource
    const target = fragment === '' || fragment.startsWith('/') ? follow(whole, fragment) : this.#byUri.get(`${resource.uri}#${fragment}`)
    if (typeof target === 'boolean') return [target, this]
    if (!isSchema(target)) return undefined
    // It may be where no keyword has schemas.
    this.add(target, resource)
    return [target, this]
  }

  #name (schema: Schema, uris: readonly string[]): void {
    for (const uri of uris) if (!this.#byUri.has(uri)) this.#byUri.set(uri, schema)
  }
}

/**
 * Writes schemas as draft-07 that stands in a document of its own: without what JSON does not have, and with what has an `$id`
 * or is referred to in one place, `schemas`. The schemas themselves stay as they are.
 */
export class SchemaBook {
  /** What is referred to, by name. */
  readonly schemas = new Map<string, JsonSchema>()

  readonly #where: string
  readonly #shared = new Library()
  readonly #names = new Names()
  readonly #nameOf = new Map<Schema, string>()
  readonly #nameOfText = new Map<string, string>()

  /**
   * @param where what `schemas` is in the document, as a reference
   * @param shared schemas that others may refer to by `$id`
   */
  constructor (where: string, shared: Iterable<unknown>) {
    this.#where = where
    for (const schema of shared) if (isSchema(schema)) this.#shared.add(schema)
  }

  /** The schema, or a reference to it. `name` is that of a schema that has none. */
  write (schema: object, name: string): JsonSchema {
    const library = new Library(this.#shared)
    library.add(schema as Schema)
    const written = this.#write(schema as Schema, library, name)
    const own = this.#nameOf.get(schema as Schema)
    return own === undefined ? written : this.#referenceTo(own)
  }

  /** What is said of a written schema: its title, its description and its examples. */
  read (written: JsonSchema | undefined): Annotations {
    const seen = new Set<unknown>()
    let schema = written
    while (isSchema(schema) && typeof schema['$ref'] === 'string' && !seen.has(schema)) {
      seen.add(schema)
      schema = this.schemas.get(schema['$ref'].slice(this.#where.length + 1))
    }
    return isSchema(schema) ? schema : {}
  }

  #write (schema: unknown, library: Library, name: string): JsonSchema {
    if (!isSchema(schema)) return schema as boolean
    return isId(schema['$id']) ? this.#refer(schema, library, name) : this.#writeBody(schema, library, name)
  }

  #writeBody (schema: Schema, library: Library, name: string): JsonSchema {
    const { $ref, type } = schema
    if (typeof type === 'string' && !JSON_TYPES.includes(type)) return standIn(schema, type)
    const keywords = this.#writeKeywords(schema, library, name)
    if (typeof $ref !== 'string') return keywords
    const found = library.find($ref, schema)
    // Nothing has to be fetched to read the document.
    const reference = found === undefined ? { description: `What ${$ref} says` } : this.#writeTarget(...found, nameOfReference($ref) ?? name)
    // What is beside a reference counts, but not everybody reads it.
    return Object.keys(keywords).length === 0 ? reference : { ...keywords, allOf: [reference, ...(keywords['allOf'] as JsonSchema[] | undefined ?? [])] }
  }

  #writeTarget (target: Schema | boolean, library: Library, name: string): JsonSchema {
    return typeof target === 'boolean' ? target : this.#refer(target, library, name)
  }

  #writeKeywords (schema: Schema, library: Library, name: string): Schema {
    const { nullable, type, examples, discriminator } = schema
    const written = Object.entries(schema)
      .filter(([keyword]) => !LEFT_OUT.has(keyword))
      .map(([keyword, value]) => [keyword, writeKeyword(keyword, value, part => this.#write(part, library, name))] as const)
      .filter(([, value]) => value !== undefined)
    return {
      ...Object.fromEntries(written),
      // Of OpenAPI. Ajv knows them, too.
      ...(nullable === true && typeof type === 'string' && { type: [type, 'null'] }),
      ...(isSchema(discriminator) && { discriminator: plain(discriminator['propertyName']) }),
      ...(examples !== undefined && { examples: plain([examples].flat()) })
    }
  }

  #refer (schema: Schema, library: Library, name: string): JsonSchema {
    const known = this.#nameOf.get(schema)
    if (known !== undefined) return this.#referenceTo(known)
    // TypeBox copies schemas, to make them optional for instance.
    const text = isId(schema['$id']) ? textOf(schema) : undefined
    const twin = text && this.#nameOfText.get(text)
    if (twin !== undefined) return this.#referenceTo(twin)
    const own = this.#names.take(nameOfSchema(schema) ?? name, 'Schema')
    this.#nameOf.set(schema, own)
    if (text !== undefined) this.#nameOfText.set(text, own)
    // It may refer to itself, and has its place by then.
    this.schemas.set(own, true)
    this.schemas.set(own, this.#writeBody(schema, library, name))
    return this.#referenceTo(own)
  }

  #referenceTo (name: string): JsonSchema {
    return { $ref: `${this.#where}/${name}` }
  }
}

/** What can be written as JSON, as JSON gives it back. */
export function plain (value: unknown): unknown {
  if (typeof value === 'string' || typeof value === 'boolean') return value
  const text = textOf(value)
  return text === undefined ? undefined : JSON.parse(text)
}

function textOf (value: unknown): string {
  return JSON.stringify(value, (_key, part) => typeof part === 'bigint' ? Number(part) : part)
}

/** The schemas that are in a schema. */
function partsOf (schema: Schema): unknown[] {
  return Object.entries(schema).flatMap(([keyword, value]) => {
    if (SCHEMAS.has(keyword)) return value
    return NAMED_SCHEMAS.has(keyword) && isSchema(value) ? Object.values(value) : []
  })
}

function writeKeyword (keyword: string, value: unknown, write: (schema: unknown) => JsonSchema): unknown {
  if (SCHEMAS.has(keyword)) return Array.isArray(value) ? value.map(write) : write(value)
  // A dependency may be a list of names.
  if (NAMED_SCHEMAS.has(keyword) && isSchema(value)) return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, Array.isArray(part) ? part : write(part)]))
  return plain(value)
}

function standIn (schema: Schema, type: string): JsonSchema {
  const { title, description } = schema
  const make = STAND_INS.get(type) ?? (() => ({ not: {}, description: `${type}: nothing that JSON has` }))
  return { ...make(schema), ...(title !== undefined && { title }), ...(description !== undefined && { description }) }
}

function nameOfSchema ({ $id, title }: Schema): string | undefined {
  return (isId($id) ? nameOfReference($id) : undefined) ?? (typeof title === 'string' ? title : undefined)
}

// The last part of it that is a name.
function nameOfReference (reference: string): string | undefined {
  return reference.split(/[#/:]/).findLast(part => part !== '' && !NUMBERED.test(part))?.replace(/\.json$/, '')
}

function isSchema (value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// In draft-07, an $id that is a fragment names a place only.
function isId ($id: unknown): $id is string {
  return typeof $id === 'string' && !$id.startsWith('#')
}

function resolve (reference: string, base: string): string {
  return withoutFragment(URL.canParse(reference, base) ? new URL(reference, base).href : reference)
}

function withoutFragment (uri: string): string {
  return split(uri)[0]
}

function split (reference: string): [id: string, fragment: string] {
  const at = reference.indexOf('#')
  return at === -1 ? [reference, ''] : [reference.slice(0, at), reference.slice(at + 1)]
}

function follow (root: Schema, pointer: string): unknown {
  return pointer.split('/').slice(1).reduce<unknown>((value, step) => {
    const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
    return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? value[key as keyof typeof value] : undefined
  }, root)
}
