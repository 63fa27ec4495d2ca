import type { Member } from '../driver/crowd.js'
import { crowdOf } from '../driver/entrances.js'
import type { ServerProcess } from '../driver/server-process.js'
import { DEFAULT_HOLD_MS, type Finding, payload, type Scenario, type Settings, SPEAKERS, WARM_UP_MS } from '../scenario.js'

const PUBLISHERS = 50
const CHANNEL = '/benchmark/publish'

/** @returns how many publishes were acknowledged */
async function publishFor (durationMs: number, publishers: Member[]): Promise<number> {
  const data = [payload(1)]
  const end = performance.now() + durationMs
  const counts = await Promise.all(publishers.map(async publisher => {
    let count = 0
    for (; performance.now() < end; count++) await publisher.publish(CHANNEL, data)
    return count
  }))
  return counts.reduce((sum, count) => sum + count)
}

/** Fifty clients publish on a channel that nobody subscribes to; each waits for the acknowledgement before the next. */
async function measure (server: ServerProcess, { seconds }: Settings): Promise<Finding> {
  const crowd = crowdOf(server, 'websocket')
  const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, () => crowd.joinOne()))
  await publishFor(WARM_UP_MS, publishers)

  let publishes = 0
  const start = performance.now()
  const cpuUs = await server.cpuDuring(async () => { publishes = await publishFor(seconds * 1_000, publishers) })
  const windowMs = performance.now() - start
  crowd.leave()
  return {
    value: cpuUs / publishes,
    counts: { cpuUs, windowMs, publishes, publishers: PUBLISHERS },
    faults: crowd.faults
  }
}

export const wsPublish: Scenario = {
  name: 'ws-publish',
  unit: 'µs CPU per publish',
  bar: { ratioToRival: 0.85 },
  transport: 'websocket',
  servers: SPEAKERS.websocket,
  holdTimeoutMs: DEFAULT_HOLD_MS,
  connections: PUBLISHERS,
  measure
}
