import { setTimeout as sleep } from 'node:timers/promises'
import { longPollingCrowd } from '../driver/entrances.js'
import type { ServerProcess } from '../driver/server-process.js'
import { ENDLESS_HOLD_MS, type Finding, type Scenario, SPEAKERS } from '../scenario.js'

const SESSIONS = 10_000
const CHANNEL = '/benchmark/idle'
const SETTLE_MS = 5_000
const WINDOW_MS = 20_000

/** What the server does for 10,000 held sessions while nothing happens: timers and sweeps. */
async function measure (server: ServerProcess): Promise<Finding> {
  const crowd = longPollingCrowd(server)
  await crowd.join(SESSIONS, CHANNEL)
  await sleep(SETTLE_MS)
  const start = performance.now()
  const cpuUs = await server.cpuDuring(() => sleep(WINDOW_MS))
  const windowMs = performance.now() - start
  crowd.leave()
  return {
    value: 100 * cpuUs / (windowMs * 1_000),
    counts: { cpuUs, windowMs, sessions: SESSIONS },
    faults: crowd.faults
  }
}

export const idle: Scenario = {
  name: 'idle',
  unit: '% of a core, 10,000 held',
  bar: { atMost: 1 },
  transport: 'long-polling',
  servers: SPEAKERS['long-polling'],
  holdTimeoutMs: ENDLESS_HOLD_MS,
  connections: SESSIONS,
  measure
}
