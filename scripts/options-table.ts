// Writes the tables of docs/options.md from schemas/options.ts. With --check it writes nothing, and fails if they differ.
//
//   node --import=@tapjs/typescript/import scripts/options-table.ts [--check]

import type { TSchema } from '@sinclair/typebox'
import { readFile, writeFile } from 'node:fs/promises'
import { RegistrationOptions, ServerOptions } from '../schemas/options.js'

const FILE = new URL('../docs/options.md', import.meta.url)
const LONGEST_TIMER = 2 ** 31 - 1

function describeType (schema: TSchema): string {
  const choices = schema['anyOf'] as TSchema[] | undefined
  if (choices !== undefined) return choices.map(choice => choice['const'] === undefined ? choice['type'].toLowerCase() : `\`'${choice['const']}'\``).join(', ')
  // What JSON Schema cannot describe is an object of functions.
  const type: string = schema['type'] ?? 'object'
  const { minimum, maximum } = schema
  if (minimum === undefined) return type
  return maximum === undefined || maximum === LONGEST_TIMER ? `${type}, ≥ ${minimum}` : `${type}, ${minimum}–${maximum}`
}

function describeDefault (value: unknown): string {
  if (value === undefined) return '–'
  if (Array.isArray(value)) return `\`[${value.map(item => `'${item}'`).join(', ')}]\``
  if (typeof value === 'object') return '`{}`'
  return typeof value === 'string' ? `\`'${value}'\`` : `\`${value}\``
}

function table (properties: Record<string, TSchema>): string {
  const rows = Object.entries(properties).map(([name, schema]) =>
    [`\`${name}\``, describeType(schema), describeDefault(schema['default']), schema.description ?? ''])
  return [['option', 'type', 'default', 'meaning'], ['---', '---', '---', '---'], ...rows]
    .map(cells => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
}

/** The text with what stands between the two comments of that name replaced. */
function replaceBetween (text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`]
  const [before, rest] = text.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`docs/options.md has lost the comments around ${name}`)
  return `${before}${begin}\n${content}\n${end}${after}`
}

const before = await readFile(FILE, 'utf8')
const tables = [['server options', ServerOptions], ['registration options', RegistrationOptions]] as const
const written = tables.reduce((text, [name, schema]) => replaceBetween(text, name, table(schema.properties)), before)

if (written === before) {
  console.log('docs/options.md is up to date')
} else if (process.argv.includes('--check')) {
  console.error('docs/options.md differs from schemas/options.ts: run node --import=@tapjs/typescript/import scripts/options-table.ts')
  process.exitCode = 1
} else {
  await writeFile(FILE, written)
  console.log('docs/options.md written')
}
