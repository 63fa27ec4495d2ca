import AjvCompiler from '@fastify/ajv-compiler'
import { FormatRegistry, Kind, type TSchema, TypeRegistry } from '@sinclair/typebox'
import { TypeCompiler, type ValueError } from '@sinclair/typebox/compiler'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { Check, CompileSchema } from './bayeux/declaration.js'

/** Options of Ajv, as Fastify takes them. */
export type AjvOptions = NonNullable<FastifyServerOptions['ajv']>

// A message is taken as it is or not at all.
const NO_CHANGES = { coerceTypes: false, useDefaults: false, removeAdditional: false } as const

interface AjvError { instancePath: string, message?: string }
type AjvValidator = ((value: unknown) => boolean) & { errors?: AjvError[] | null }

/**
 * Compiles the schemas of channels: those of TypeBox by TypeBox, all others, and those with formats or types that TypeBox does not
 * know, by the compiler of Fastify. They may refer to schemas that were added to `fastify`.
 */
export function schemaCompiler (fastify: FastifyInstance, { customOptions, plugins = [] }: AjvOptions = {}): CompileSchema {
  const buildCompiler = AjvCompiler()
  // That compiler gives the validator of the first schema of an $id for all others.
  const byId = new Map<string, object>()

  const compileWithAjv = (schema: object): Check => {
    const { $id } = schema as { $id?: string }
    if ($id !== undefined && byId.has($id) && byId.get($id) !== schema) throw new Error(`another schema has the $id '${$id}'`)
    const compile = buildCompiler(fastify.getSchemas() as never, { customOptions: { ...NO_CHANGES, ...customOptions }, plugins } as never)
    // Its types are those of routes, and of a Fastify that has Ajv's own types beside it.
    const validate = compile({ schema } as never) as unknown as AjvValidator
    if ($id !== undefined) byId.set($id, schema)
    return value => {
      if (validate(value)) return undefined
      const { instancePath, message } = (validate.errors as [AjvError])[0]
      return { path: shown(instancePath), text: message as string }
    }
  }

  const compileWithTypeBox = (schema: TSchema): Check => {
    const validator = TypeCompiler.Compile(schema)
    return value => {
      if (validator.Check(value)) return undefined
      const { path, message } = validator.Errors(value).First() as ValueError
      return { path: shown(path), text: message }
    }
  }

  return schema => isTypeBox(schema) && isKnown(schema) ? compileWithTypeBox(schema) : compileWithAjv(schema)
}

const SHOWN = 255

// A path has names that the client chose. In an error, a colon ends it.
function shown (path: string): string {
  return path.slice(0, SHOWN).replaceAll(':', '%3A')
}

function isTypeBox (schema: unknown): schema is TSchema {
  return typeof schema === 'object' && schema !== null && Kind in schema
}

// What TypeBox does not know it would refuse, or fail at.
function isKnown (schema: object): boolean {
  return Object.values(schema).every(value => typeof value !== 'object' || value === null || isKnown(value as object)) &&
    isKnownFormat((schema as { format?: unknown }).format) && isKnownKind((schema as { [Kind]?: string })[Kind])
}

function isKnownFormat (format: unknown): boolean {
  return typeof format !== 'string' || FormatRegistry.Has(format)
}

// A reference may be to a schema that was added to Fastify, which keeps no types of TypeBox.
function isKnownKind (kind: string | undefined): boolean {
  return kind !== 'Ref' && (kind !== 'Unsafe' || TypeRegistry.Has(kind))
}
