// npm run bench -- [scenario…] [--runs=3] [--seconds=5] [--only=server,…] [--json]
//
// Measures every server of every scenario `runs` times, each time in a fresh process, and the servers in turn (ours, the
// peers, ours, …), so that whatever else the machine does hits all of them. Prints one table of medians, and writes all
// figures to benchmarks/results/. The exit code tells whether all runs were free of faults, not whether a bar was met.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ServerProcess } from './driver/server-process.js'
import { type Result, type Run, toJson, toTable } from './report.js'
import { SERVERS, type Finding, type Scenario, type ServerName, type Settings } from './scenario.js'
import { fanOut, flood, wsFanOut, wsFanOutAck, wsFlood } from './scenarios/broadcast.js'
import { close } from './scenarios/close.js'
import { hostile } from './scenarios/hostile.js'
import { idle } from './scenarios/idle.js'
import { memory, wsMemory } from './scenarios/memory.js'
import { publish } from './scenarios/publish.js'
import { schema } from './scenarios/schema.js'
import { wsPublish } from './scenarios/ws-publish.js'

const SCENARIOS = [fanOut, publish, flood, memory, idle, close, wsFanOut, wsFanOutAck, wsPublish, wsFlood, wsMemory, schema, ...hostile]
const RESULTS = join(process.cwd(), 'benchmarks', 'results')
/** Files that a process has open beside its connections. */
const OTHER_FILES = 200

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    only: { type: 'string', default: SERVERS.join() },
    json: { type: 'boolean', default: false }
  }
})
const scenarios = positionals.length === 0 ? SCENARIOS : positionals.flatMap(name => named(name, SCENARIOS))
const servers = options.only.split(',').map(name => oneOf(name, SERVERS))
const rounds = positive('runs', options.runs)
const settings: Settings = { seconds: positive('seconds', options.seconds) }

function named (name: string, known: Scenario[]): Scenario[] {
  const scenarios = known.filter(scenario => scenario.name === name || scenario.group === name)
  if (scenarios.length === 0) throw new Error(`no scenario '${name}': there are ${known.map(({ name }) => name).join(', ')}`)
  return scenarios
}

function oneOf (name: string, known: readonly ServerName[]): ServerName {
  const server = known.find(server => server === name)
  if (server === undefined) throw new Error(`no server '${name}': there are ${known.join(', ')}`)
  return server
}

function positive (name: string, value: string): number {
  const number = Number(value)
  if (!(number > 0)) throw new Error(`--${name} must be a positive number, not '${value}'`)
  return number
}

/** Both this process and the server's need a file for each connection; children inherit the limit. */
function checkOpenFiles ({ name, connections }: Scenario): void {
  const { userLimits } = process.report.getReport() as unknown as { userLimits?: { open_files: { soft: string } } }
  const limit = Number(userLimits?.open_files.soft)
  const needed = connections + OTHER_FILES
  if (limit < needed) throw new Error(`'${name}' needs ${needed} open files in each process, this shell allows ${limit}: raise 'ulimit -n'`)
}

async function runOnce (scenario: Scenario, name: ServerName): Promise<Finding> {
  const { transport, holdTimeoutMs, declare = 0 } = scenario
  const server = await ServerProcess.start(name, { transport, holdTimeoutMs, declare })
  try {
    return await scenario.measure(server, settings)
  } finally {
    await server.stop()
  }
}

async function runAll (scenario: Scenario): Promise<Result> {
  checkOpenFiles(scenario)
  const runs: Run[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const server of servers.filter(server => scenario.servers.includes(server))) {
      const finding = await runOnce(scenario, server)
      const faults = finding.faults.map(fault => `  FAULT: ${fault}`).slice(0, 5)
      console.error([`${scenario.name} ${round}/${rounds} ${server}: ${finding.value.toFixed(2)} ${scenario.unit}`, ...faults].join('\n'))
      runs.push({ server, round, ...finding })
    }
  }
  return { scenario, runs }
}

async function save (result: Result): Promise<void> {
  await mkdir(RESULTS, { recursive: true })
  await writeFile(join(RESULTS, `${result.scenario.name}.json`), `${JSON.stringify(toJson(result), null, 2)}\n`)
}

const results: Result[] = []
for (const scenario of scenarios) {
  try {
    const result = await runAll(scenario)
    results.push(result)
    await save(result)
    if (result.runs.some(({ faults }) => faults.length > 0)) process.exitCode = 1
  } catch (error) {
    console.error(`${scenario.name} failed: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
console.log(options.json ? JSON.stringify(results.map(toJson), null, 2) : toTable(results))
