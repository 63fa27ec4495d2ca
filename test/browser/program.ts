import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

// Without what tap puts there to follow its child processes: the coverage of dist is nobody's business.
const { PATH = '', HOME = '' } = process.env
const env = { PATH, HOME, _TAPJS_PROCESSINFO_COVERAGE_: '0' }

/**
 * Where programs run that import the package by its name: what they get is what was compiled last.
 * @throws if nothing was
 */
export function surroundings (): { cwd: string, env: NodeJS.ProcessEnv } {
  if (!existsSync(join(root, 'dist/plugin/index.js'))) throw new Error("there is no dist: 'npm run build' makes it, and so does 'npm test'")
  return { cwd: root, env }
}

/** A program of this repository that serves HTTP and prints its address. */
export class Program {
  readonly #file: string
  #process: ChildProcess | undefined
  /** Where it serves: chosen at the first start, the same after a restart. */
  url = ''

  constructor (file: string) {
    this.#file = file
  }

  async start (): Promise<void> {
    const port = this.url === '' ? '0' : new URL(this.url).port
    const { cwd, env } = surroundings()
    const program = spawn(process.execPath, [this.#file], { cwd, env: { ...env, PORT: port }, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = program
    for await (const line of createInterface(program.stdout)) {
      const [url] = /http:\/\/\S+/.exec(line) ?? []
      if (url === undefined) continue
      this.url = url
      return
    }
    throw new Error(`${this.#file} ended without serving`)
  }

  /** @returns its exit code, or null if the signal ended it */
  async stop (signal: NodeJS.Signals): Promise<number | null> {
    const program = this.#process
    if (program === undefined || program.exitCode !== null || program.signalCode !== null) return null
    program.kill(signal)
    const [code] = await once(program, 'exit') as [number | null]
    return code
  }
}
