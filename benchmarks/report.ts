import { availableParallelism } from 'node:os'
import { OURS, RIVALS, SERVERS, type Bar, type Finding, type Scenario, type ServerName } from './scenario.js'

export interface Run extends Finding {
  server: ServerName
  round: number
}

/** What ours is compared with. */
const PEERS: readonly ServerName[] = ['cometd-nodejs-server', 'faye', 'socket.io']

/** A scenario and all of its runs. */
export interface Result {
  scenario: Scenario
  runs: Run[]
}

/** The raw figures of one scenario, and what the table makes of them. */
export function toJson ({ scenario: { name, unit, bar, transport, holdTimeoutMs }, runs }: Result): object {
  return {
    scenario: name,
    unit,
    bar,
    transport,
    holdTimeoutMs,
    node: process.version,
    cores: availableParallelism(),
    medians: Object.fromEntries(SERVERS.map(server => [server, median(runs, server)])),
    runs
  }
}

/** One Markdown table of medians, with the servers that took part. */
export function toTable (results: Result[]): string {
  const servers = SERVERS.filter(server => results.some(({ runs }) => runs.some(run => run.server === server)))
  const peers = PEERS.filter(peer => servers.includes(peer))
  const header = ['scenario', 'unit', ...servers, ...peers.map(peer => `to ${peer}`), 'bar', 'met']
  const rows = results.map(({ scenario, runs }) => {
    const ours = median(runs, scenario.ours ?? OURS)
    const rival = RIVALS[scenario.transport]
    // Where the bar is a fixed one, the peers are there for information: some of them do nothing at all.
    const comparable = scenario.bar === undefined || 'ratioToRival' in scenario.bar
    return [
      scenario.name,
      scenario.unit,
      ...servers.map(server => inDigits(median(runs, server))),
      ...peers.map(peer => inDigits(comparable ? ratio(ours, median(runs, peer)) : undefined)),
      inWords(scenario.bar, rival),
      runs.some(({ server, faults }) => server === (scenario.ours ?? OURS) && faults.length > 0) ? 'no: faults' : verdict(scenario.bar, ours, median(runs, scenario.bar !== undefined && 'base' in scenario.bar ? scenario.bar.base : rival))
    ]
  })
  return [header, header.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

function median (runs: Run[], server: ServerName): number | undefined {
  const values = runs.filter(run => run.server === server).map(run => run.value).sort((a, b) => a - b)
  const middle = values.length >> 1
  return values.length % 2 === 1 ? values[middle] : ratio((values[middle - 1] ?? 0) + (values[middle] ?? NaN), 2)
}

function ratio (value: number | undefined, base: number | undefined): number | undefined {
  const result = (value ?? NaN) / (base ?? NaN)
  return Number.isFinite(result) ? result : undefined
}

function inDigits (value: number | undefined): string {
  if (value === undefined) return '–'
  return value.toFixed(value < 2 ? 2 : value < 100 ? 1 : 0)
}

function inWords (bar: Bar | undefined, rival: ServerName): string {
  if (bar === undefined) return '–'
  if ('atMost' in bar) return `≤ ${bar.atMost}`
  return 'base' in bar ? `≤ ${bar.base} + ${bar.atMostAbove}` : `≤ ${bar.ratioToRival} × ${rival}`
}

/** @param other the figure that ours is compared with, if there is one */
function verdict (bar: Bar | undefined, ours: number | undefined, other: number | undefined): string {
  if (bar === undefined || ours === undefined) return '–'
  if ('atMost' in bar) return ours <= bar.atMost ? 'yes' : 'no'
  if (other === undefined) return '–'
  return ours <= ('base' in bar ? other + bar.atMostAbove : other * bar.ratioToRival) ? 'yes' : 'no'
}
