import { setTimeout as sleep } from 'node:timers/promises'
import { longPollingCrowd } from '../driver/entrances.js'
import type { HttpReply } from '../driver/http-client.js'
import type { ServerProcess } from '../driver/server-process.js'
import { succeeded } from '../driver/session.js'
import { ENDLESS_HOLD_MS, type Finding, OURS, type Scenario } from '../scenario.js'

const SESSIONS = 1_000
const CHANNEL = '/benchmark/close'
/** Time for the last connects to arrive and be held. */
const SETTLE_MS = 500

/** How long `app.close()` takes with 1,000 held connects, each of which must get an HTTP 200 with its reply. */
async function measure (server: ServerProcess): Promise<Finding> {
  const crowd = longPollingCrowd(server)
  const answers: Array<Promise<HttpReply>> = []
  await crowd.enter(SESSIONS, CHANNEL, session => { answers.push(session.connect()) })
  const settled = Promise.allSettled(answers.map(async answer => succeeded(await answer, '/meta/connect')))
  await sleep(SETTLE_MS)
  const { closeMs } = await server.ask('close')
  await server.stop()
  const refused = (await settled).filter(answer => answer.status === 'rejected')
  crowd.leave()
  return {
    value: closeMs,
    counts: { closeMs, sessions: SESSIONS, answered: SESSIONS - refused.length },
    faults: refused.length > 0 ? [`${refused.length} of ${SESSIONS} connects unanswered, the first: ${refused[0]?.reason}`] : []
  }
}

export const close: Scenario = {
  name: 'close',
  unit: 'ms to close, 1,000 held',
  bar: { atMost: 500 },
  transport: 'long-polling',
  servers: [OURS],
  holdTimeoutMs: ENDLESS_HOLD_MS,
  connections: SESSIONS,
  measure
}
