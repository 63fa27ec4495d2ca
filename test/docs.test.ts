import t from 'tap'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'
import * as entry from '../plugin/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'examples/README.md', ...readdirSync(join(root, 'docs')).filter(name => name.endsWith('.md')).map(name => `docs/${name}`)]

/** The first cells of the tables under a heading. */
function firstCells (page: string, heading: string): string[] {
  const section = read(page).split(/^## /m).find(text => text.startsWith(`${heading}\n`)) as string
  return [...section.matchAll(/^\| (.+?) \|/gm)].map(([, cell]) => cell as string)
}

/** The names in backquotes. */
function quoted (text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string)
}

t.test('the tables of options are those of the schemas', async t => {
  // `env -i`: tap puts its coverage into the environment of every child process.
  const { stdout } = await promisify(execFile)('env', ['-i', process.execPath, '--import=@tapjs/typescript/import', 'scripts/options-table.ts', '--check'], { cwd: root })
  t.match(stdout, 'docs/options.md is up to date')
})

t.test('every limit among the options has its answer in the docs', async t => {
  const answers = read('docs/options.md').split('## What happens when a limit is reached')[1] as string
  const limits = [...read('schemas/options.ts').matchAll(/^ {2}(max\w+|bodyLimit):/gm)].map(([, name]) => name as string)
  t.ok(limits.length > 10)
  // No limit of what clients do: how long a silent session lives.
  for (const name of limits.filter(name => name !== 'maxInterval')) t.ok(answers.includes(`\`${name}\``), name)
})

t.test('every coded error is in the docs, with its status', async t => {
  const rows = [...read('docs/errors.md').matchAll(/^\| `(COMETD_ERR_\w+)` \| (\d+) \|/gm)]
  const documented = Object.fromEntries(rows.map(([, code, status]) => [code, Number(status)]))
  const made = Object.fromEntries(Object.entries(entry.errors).map(([code, CodedError]) => [code, new (CodedError as new () => { statusCode: number })().statusCode]))
  t.strictSame(documented, made)
})

t.test('every Bayeux error of the code is in the docs, and every one of the docs is in the code', async t => {
  const sources = readdirSync(join(root, 'plugin'), { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts')).map(name => read(`plugin/${name}`)).join('\n')
  const literals = [...new Set([...sources.matchAll(/['`](\d{3}:[^'`\n]*:[^'`\n]+)['`]/g)].map(([, text]) => text as string))]
  const documented = firstCells('docs/errors.md', 'Bayeux errors').flatMap(quoted)
  t.ok(literals.length > 20)
  // What the code puts in stands for any text between two colons.
  const matches = (literal: string, error: string): boolean =>
    new RegExp(`^${literal.split(/\$\{[^}]*\}/).map(part => part.replace(/[.*+?^$()|[\]\\]/g, '\\$&')).join('[^:]+')}$`).test(error)
  for (const literal of literals) t.ok(documented.some(error => matches(literal, error)), literal)
  for (const error of documented) t.ok(literals.some(literal => matches(literal, error)), error)
})

t.test('everything that the package exports is in the docs', async t => {
  const listed = [...read('plugin/index.ts').matchAll(/^export type \{(.+?)\}/gm)].flatMap(([, names]) => (names as string).split(',').map(name => name.trim())).filter(name => name !== '')
  // What applications augment is exported as a whole: else it could not be.
  const augmented = [...read('plugin/bayeux/channel-types.ts').matchAll(/^export (?:interface|type) (\w+)/gm)].map(([, name]) => name as string)
  const types = [...listed, ...augmented]
  const documented = firstCells('docs/api.md', 'Types').flatMap(quoted)
  t.strictSame(documented.sort(), [...Object.keys(entry), ...types].sort())
})

t.test('every public member of the server, its channels and sessions is in the docs', async t => {
  for (const [file, heading] of [['server', 'Server'], ['channel', 'Channels'], ['session', 'Sessions']] as const) {
    const documented = firstCells('docs/api.md', heading).flatMap(quoted).map(text => text.split('(')[0])
    const members = publicMembers(`plugin/bayeux/${file}.ts`)
    t.ok(members.length > 8)
    for (const name of members) t.ok(documented.includes(name), `${heading}: ${name}`)
  }
})

function publicMembers (file: string): string[] {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true)
  const members = source.statements.filter(ts.isClassDeclaration).flatMap(({ members }) => [...members])
  return members
    .filter(member => !ts.getJSDocTags(member).some(({ tagName }) => tagName.text === 'internal'))
    .flatMap(({ name }) => name !== undefined && ts.isIdentifier(name) ? [name.text] : [])
}

t.test('every link leads somewhere', async t => {
  const anchor = (heading: string): string => heading.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')
  for (const page of pages) {
    const prose = read(page).replace(/^```.*?^```$/gms, '')
    for (const [, target] of prose.matchAll(/\]\(([^)]+)\)/g)) {
      const [path, fragment] = (target as string).split('#') as [string, string?]
      if (/^https?:$/.test(path.split('//')[0] as string)) continue
      const file = path === '' ? page : relative(root, join(root, dirname(page), path))
      t.ok(existsSync(join(root, file)), `${page}: ${target}`)
      if (fragment === undefined) continue
      const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchor(heading as string))
      t.ok(headings.includes(fragment), `${page}: ${target}`)
    }
  }
})
