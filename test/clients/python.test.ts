import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { RemoteClients, withRuntime } from './remote.js'
import { testTransports } from './scenarios.js'

const folder = fileURLToPath(new URL('python/', import.meta.url))
const requirements = join(folder, 'requirements.txt')
// Kept for the next time.
const environment = join(tmpdir(), `fastify-cometd-python-${createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)}`)
const python = join(environment, 'bin/python')

function missing (): string | undefined {
  if (existsSync(python)) return
  const made = `${environment}-${process.pid}`
  try {
    // Its programs are not needed, so it may be moved.
    execFileSync('python3', ['-m', 'venv', made], { stdio: 'pipe' })
    execFileSync(join(made, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements], { stdio: 'pipe' })
    rmSync(environment, { recursive: true, force: true })
    renameSync(made, environment)
  } catch (err) {
    rmSync(made, { recursive: true, force: true })
    return `there is no aiocometd to test with: it takes python3-venv and the Python package index: ${(err as Error).message}`
  }
}

withRuntime(t, missing(), () => {
  for (const library of ['aiocometd', 'aiocometd_ng']) {
    testTransports(t, library, RemoteClients.start(t, python, [join(folder, 'clients.py'), library]).peers({}, { comesBack: true }), {
      // It takes `advice.interval` for seconds, and gives a connect up when a fifth more than `timeout` is over.
      options: { closeInterval: 0, timeout: 1_500 }
    })
  }
})
