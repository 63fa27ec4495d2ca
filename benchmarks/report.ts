import { availableParallelism } from 'node:os'
import { OURS, RIVAL, SERVERS, type Bar, type Finding, type Scenario, type ServerName } from './scenario.js'

export interface Run extends Finding {
  server: ServerName
  round: number
}

/** A scenario and all of its runs. */
export interface Result {
  scenario: Scenario
  runs: Run[]
}

/** The raw figures of one scenario, and what the table makes of them. */
export function toJson ({ scenario: { name, unit, bar, holdTimeoutMs }, runs }: Result): object {
  return {
    scenario: name,
    unit,
    bar,
    holdTimeoutMs,
    node: process.version,
    cores: availableParallelism(),
    medians: Object.fromEntries(SERVERS.map(server => [server, median(runs, server)])),
    runs
  }
}

/** One Markdown table of medians. */
export function toTable (results: Result[]): string {
  const header = ['scenario', 'unit', ...SERVERS, 'to cometd-nodejs-server', 'to faye', 'bar', 'met']
  const rows = results.map(({ scenario, runs }) => {
    const ours = median(runs, OURS)
    const rival = median(runs, RIVAL)
    // Where the bar is a fixed one, the peers are there for information: some of them do nothing at all.
    const comparable = scenario.bar === undefined || !('atMost' in scenario.bar)
    return [
      scenario.name,
      scenario.unit,
      ...SERVERS.map(server => inDigits(median(runs, server))),
      inDigits(comparable ? ratio(ours, rival) : undefined),
      inDigits(comparable ? ratio(ours, median(runs, 'faye')) : undefined),
      inWords(scenario.bar),
      runs.some(({ server, faults }) => server === OURS && faults.length > 0) ? 'no: faults' : verdict(scenario.bar, ours, rival)
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

function inWords (bar: Bar | undefined): string {
  if (bar === undefined) return '–'
  return 'atMost' in bar ? `≤ ${bar.atMost}` : `≤ ${bar.ratioToRival} ×`
}

function verdict (bar: Bar | undefined, ours: number | undefined, rival: number | undefined): string {
  if (bar === undefined || ours === undefined) return '–'
  if ('atMost' in bar) return ours <= bar.atMost ? 'yes' : 'no'
  const toRival = ratio(ours, rival)
  return toRival === undefined ? '–' : toRival <= bar.ratioToRival ? 'yes' : 'no'
}
