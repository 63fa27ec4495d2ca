import t from 'tap'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
// What a program needs to know of its surroundings; how to reach the npm registry, above all.
const ENVIRONMENT = Object.entries(process.env)
  .filter(([name]) => /^(PATH|HOME|NODE_EXTRA_CA_CERTS|\w+_proxy|npm_config_(registry|cache|cafile|userconfig|globalconfig))$/i.test(name))
  .map(([name, value]) => `${name}=${value}`)
const NOT_IN_A_CLONE = ['node_modules', '.git', '.tap', '.build', 'dist', 'coverage']

interface Program { name: string, code: string }

/** Runs a command. Gives what it wrote; rejects with it if it fails. `env -i`: tap puts its loader and its coverage into the environment of every child process. */
async function run (cwd: string, command: string, ...args: string[]): Promise<string> {
  try {
    return (await promisify(execFile)('env', ['-i', ...ENVIRONMENT, command, ...args], { cwd, timeout: 60_000, maxBuffer: 10_000_000 })).stdout
  } catch (err) {
    const { stdout, stderr } = err as { stdout: string, stderr: string }
    throw new Error(`${command} ${args.join(' ')}\n${stdout}\n${stderr}`, { cause: err })
  }
}

async function runProgram (folder: string, file: string): Promise<string> {
  return await run(folder, process.execPath, file)
}

/** The programs of the documentation: code that imports the package and makes a server with it. */
async function programs (language: 'js' | 'ts'): Promise<Program[]> {
  const pages = ['README.md', ...(await readdir(join(root, 'docs'))).filter(name => name.endsWith('.md')).map(name => `docs/${name}`)]
  const found = await Promise.all(pages.map(async page => {
    const blocks = (await readFile(join(root, page), 'utf8')).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))
    return [...blocks].map(([, code], index) => ({ name: `${basename(page, '.md')}-${index + 1}`, code: code as string }))
  }))
  // Types for clients make no server.
  return found.flat().filter(({ code }) => / from 'fastify-cometd\/client'$/m.test(code) || (/ from 'fastify-cometd'$/m.test(code) && /Fastify\(|createCometDServer\(/.test(code)))
}

/** Lets a program import what only the documentation needs: other plugins, clients. */
async function lend (folder: string, code: string): Promise<void> {
  for (const [, name] of code.matchAll(/ from '((?:@[\w-]+\/)?[\w-]+)'/g)) {
    const target = join(folder, 'node_modules', name as string)
    if (builtinModules.includes(name as string) || existsSync(target)) continue
    await mkdir(dirname(target), { recursive: true })
    await symlink(join(root, 'node_modules', name as string), target)
  }
}

async function compile (folder: string, files: Program[]): Promise<void> {
  await Promise.all(files.map(async ({ name, code }) => await writeFile(join(folder, name), code)))
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023'],
      module: 'nodenext',
      strict: true,
      skipLibCheck: false,
      typeRoots: [join(root, 'node_modules/@types')],
      types: ['node']
    },
    files: files.map(({ name }) => name)
  }))
  await run(folder, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', folder)
}

const HANDSHAKE = `const response = await app.inject({
  method: 'POST',
  url: '/cometd',
  payload: [{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }]
})
console.log(response.json()[0].successful, app.cometd.options.timeout)
await app.close()
`

const ESM = `import Fastify from 'fastify'
import cometd, { cometdPlugin } from 'fastify-cometd'

const app = Fastify()
if (cometd !== cometdPlugin) throw new Error('two plugins')
await app.register(cometd, { timeout: 1234 })
${HANDSHAKE}`

const COMMONJS = `'use strict'
const Fastify = require('fastify')

async function main () {
  const app = Fastify()
  await app.register(require('fastify-cometd'), { timeout: 1234 })
  if (require('fastify-cometd').createCometDServer().options.timeout !== 30000) throw new Error('not the same')
  ${HANDSHAKE}
}
main()
`

// CommonJS in TypeScript: as above, with types.
const TYPED_COMMONJS = `import Fastify from 'fastify'
import cometd, { type CometDServer } from 'fastify-cometd'

async function main (): Promise<void> {
  const app = Fastify()
  await app.register(cometd, { timeout: 1234 })
  const server: CometDServer = app.cometd
  server.policy = null
  ${HANDSHAKE}
}
main()
`

const TYPED_ESM = `import Fastify, { type FastifyBaseLogger, type FastifyReply, type FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import cometd, {
  CometDServer, createCometDServer, errors, type SecurityPolicy, type ServerExtension, type ServerSession, type SessionExtension
} from 'fastify-cometd'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
function same<A, B> (equal: Equal<A, B>): void {}

const app = Fastify()
await app.register(cometd, { timeout: 1234, routeOptions: { logLevel: 'warn', onRequest: async (request, reply) => { reply.header('x', request.id) } } })
same<typeof app.cometd, CometDServer>(true)
if (!(app.cometd instanceof CometDServer)) throw new Error('another class')

// @ts-expect-error an option of the wrong type
Fastify().register(cometd, { timeout: '1234' })
// @ts-expect-error an option that does not exist
Fastify().register(cometd, { timeOut: 1234 })
try {
  // @ts-expect-error a live option of the wrong type
  app.cometd.options.timeout = '1234'
} catch (err) {
  if (!(err instanceof errors.COMETD_ERR_OPTION_INVALID)) throw err
}

const service = app.cometd.createServerChannel('/service/echo')
service.addListener('message', async (session, channel, message) => {
  same<typeof session, ServerSession>(true)
  same<typeof message.data, unknown>(true)
  await session.deliver(null, channel.name, message.data)
})
service.addListener('message', (session, channel, message, callback) => callback(null, true))
const news = app.cometd.createServerChannel('/news')
news.addListener('message', session => {
  same<typeof session, ServerSession | null>(true)
})
try {
  // @ts-expect-error an event that does not exist
  news.addListener('massage', () => {})
} catch (err) {
  if (!(err instanceof errors.COMETD_ERR_EVENT_UNKNOWN)) throw err
}
app.cometd.addListener('sessionAdded', (session, message) => {
  message.reply.ext = { id: session.id }
  session.addListener('removed', (session, timeout, reason) => { same<typeof reason, 'disconnect' | 'timeout' | 'queueMaxed' | 'identityExpired' | 'revoked' | 'close'>(true) })
  session.addListener('queueMaxed', () => 'dropOldest')
})

const { context } = app.cometd
same<typeof context.request, FastifyRequest | undefined>(true)
same<typeof context.reply, FastifyReply | undefined>(true)
same<typeof context.response, ServerResponse | undefined>(true)

const policy: SecurityPolicy = {
  canHandshake: (session, message, callback) => callback(null, true),
  canSubscribe: async (session, message, channel) => channel.name !== '/secret'
}
app.cometd.policy = policy
const serverExtension: ServerExtension = { incoming: (server, session, message, callback) => callback(), outgoing: async () => {} }
app.cometd.addExtension(serverExtension)
const sessionExtension: SessionExtension = { outgoing: (sender, session, message) => ({ ...message, channel: '/other' }) }
app.cometd.addListener('sessionAdded', session => session.addExtension(sessionExtension))

// Instances with HTTP/2 or with another logger take the plugin, too.
Fastify({ http2: true }).register(cometd, { timeout: 1 })
Fastify({ loggerInstance: app.log as FastifyBaseLogger & { own: number } }).register(cometd)
createServer(createCometDServer({ timeout: 1 }).handle)

${HANDSHAKE}`

t.test('the package', { timeout: 170_000 }, async t => {
  const workshop = await mkdtemp(join(tmpdir(), 'fastify-cometd-'))
  t.teardown(async () => await rm(workshop, { recursive: true, force: true }))
  const [clone, folder] = [join(workshop, 'clone'), join(workshop, 'application')]

  await t.test('is built and packed: what is needed, and nothing else', async t => {
    await cp(root, clone, { recursive: true, filter: source => !NOT_IN_A_CLONE.includes(basename(source)) })
    await symlink(join(root, 'node_modules'), join(clone, 'node_modules'))
    await run(clone, 'npm', 'run', 'build')
    const [{ files }] = JSON.parse(await run(clone, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', workshop)) as [{ files: Array<{ path: string }> }]
    const paths = files.map(({ path }) => path)
    for (const path of ['package.json', 'README.md', 'LICENSE', 'dist/plugin/index.js', 'dist/plugin/index.d.ts', 'dist/schemas/options.js']) t.ok(paths.includes(path), path)
    t.strictSame(paths.filter(path => /^(test|benchmarks|examples|scripts|node_modules|\.)/.test(path)), [])
    for (const path of paths.filter(path => path.startsWith('dist/') && path.endsWith('.js'))) t.ok(paths.includes(path.replace(/\.js$/, '.d.ts')), `${path} has declarations`)
  })

  await t.test('is installed in an empty folder', async t => {
    const { version, devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    await mkdir(folder)
    await writeFile(join(folder, 'package.json'), '{ "name": "application", "private": true }')
    await run(folder, 'npm', 'install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund',
      join(workshop, `fastify-cometd-${version}.tgz`), `fastify@${devDependencies.fastify}`)
    t.notOk(existsSync(join(folder, 'node_modules/tap')), 'without what only its development needs')
  })

  await t.test('is registered from ESM and from CommonJS', async t => {
    await writeFile(join(folder, 'esm.mjs'), ESM)
    await writeFile(join(folder, 'commonjs.cjs'), COMMONJS)
    for (const file of ['esm.mjs', 'commonjs.cjs']) t.equal(await runProgram(folder, file), 'true 1234\n', file)
  })

  await t.test('is registered from TypeScript, whose types are right', async t => {
    const documented = (await programs('ts')).map(({ name, code }) => ({ name: `typed-${name}.mts`, code }))
    for (const { code } of documented) await lend(folder, code)
    const [readme] = await programs('js') as [Program]
    t.match(readme.name, 'README')
    await compile(folder, [{ name: 'typed-esm.mts', code: TYPED_ESM }, { name: 'typed-commonjs.cts', code: TYPED_COMMONJS }, { name: 'readme.mts', code: readme.code }, ...documented])
    for (const file of ['typed-esm.mjs', 'typed-commonjs.cjs']) t.equal(await runProgram(folder, file), 'true 1234\n', file)
    for (const { name } of documented) t.type(await runProgram(folder, name.replace('.mts', '.mjs')), 'string', name)
  })

  await t.test('runs the programs of the documentation', async t => {
    const documented = await programs('js')
    for (const { name, code } of documented) {
      await lend(folder, code)
      await writeFile(join(folder, `${name}.mjs`), code.replaceAll('8080', '0'))
    }
    // Tests end by themselves; servers do not, so one process runs all of them.
    const tests = documented.filter(({ code }) => code.includes('node:test')).map(({ name }) => name)
    const servers = documented.map(({ name }) => name).filter(name => !tests.includes(name))
    t.ok(tests.length > 2)
    t.ok(servers.length > 20)
    await writeFile(join(folder, 'servers.mjs'), `${servers.map(name => `await import('./${name}.mjs')\nconsole.log('ran ${name}')\n`).join('')}setTimeout(() => process.exit(0), 200)\n`)
    const output = await runProgram(folder, 'servers.mjs')
    for (const name of servers) t.match(output, `ran ${name}\n`, name)
    for (const name of tests) t.match(await runProgram(folder, `${name}.mjs`), '# fail 0', name)
  })
})

t.setTimeout(180_000)
