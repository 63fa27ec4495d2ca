import t from 'tap'
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import { surroundings } from './browser/program.js'

t.setTimeout(120_000)

t.test('the tests of the examples pass', { timeout: 110_000 }, async t => {
  const { cwd, env } = surroundings()
  const files = readdirSync(`${cwd}/examples`, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.test.js')).map(name => `examples/${name}`)
  t.ok(files.length >= 4, files.join(' '))
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap', ...files], { cwd, env, timeout: 100_000 })
    .catch(err => err as { stdout: string, stderr: string })
  const count = (what: string): number => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(stdout)?.[1])
  const passed = count('pass')
  t.ok(passed > 30, `${passed} passed`)
  if (passed !== count('tests')) t.fail(`${stdout}\n${stderr}`)
})
