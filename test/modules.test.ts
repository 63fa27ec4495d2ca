import t from 'tap'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url)
const modules = ['schemas', 'plugin'].flatMap(room =>
  readdirSync(fileURLToPath(new URL(room, root)), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => `${room}/${name}`))

// What would keep a process busy or alive; files that are being read are not among it.
const busy = (): string[] => process.getActiveResourcesInfo().filter(name => !name.startsWith('FS') && name !== 'CloseReq').sort()

// Coverage counts only what some test loads.
t.test('every module can be imported, and starts nothing', async t => {
  t.ok(modules.length > 25)
  await import('fastify')
  const before = busy()
  for (const name of modules) {
    await import(new URL(name.replace(/\.ts$/, '.js'), root).href)
    t.strictSame(busy(), before, name)
  }
})
