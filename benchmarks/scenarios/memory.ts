import { setTimeout as sleep } from 'node:timers/promises'
import { crowdOf } from '../driver/entrances.js'
import type { Transport } from '../driver/message.js'
import type { ServerProcess } from '../driver/server-process.js'
import { ENDLESS_HOLD_MS, type Finding, type Scenario, SPEAKERS } from '../scenario.js'

const SESSIONS = 4_000
/** Enough to load and run every line of code before the first look. */
const WARM_UP_SESSIONS = 20
const CHANNEL = '/benchmark/memory'
const SETTLE_MS = 2_000
const BYTES_PER_KB = 1_024

async function settledRssBytes (server: ServerProcess): Promise<number> {
  await sleep(SETTLE_MS)
  const { rssBytes } = await server.ask('memory')
  return rssBytes
}

/** What 4,000 sessions, each with a subscription and a held connect, add to the server's resident memory. */
async function measure (server: ServerProcess, transport: Transport): Promise<Finding> {
  const crowd = crowdOf(server, transport)
  await crowd.join(WARM_UP_SESSIONS, CHANNEL)
  const rssBeforeBytes = await settledRssBytes(server)
  await crowd.join(SESSIONS, CHANNEL)
  const rssAfterBytes = await settledRssBytes(server)
  crowd.leave()
  return {
    value: (rssAfterBytes - rssBeforeBytes) / BYTES_PER_KB / SESSIONS,
    counts: { rssBeforeBytes, rssAfterBytes, sessions: SESSIONS },
    faults: crowd.faults
  }
}

function memoryOver (transport: Transport): Omit<Scenario, 'name' | 'bar'> {
  return {
    unit: 'KB of RSS per held session',
    transport,
    servers: SPEAKERS[transport],
    holdTimeoutMs: ENDLESS_HOLD_MS,
    connections: SESSIONS + WARM_UP_SESSIONS,
    measure: server => measure(server, transport)
  }
}

export const memory: Scenario = { name: 'memory', ...memoryOver('long-polling'), bar: { ratioToRival: 0.75 } }

export const wsMemory: Scenario = { name: 'ws-memory', ...memoryOver('websocket'), bar: { ratioToRival: 0.85 } }
