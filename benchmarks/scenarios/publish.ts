import autocannon from 'autocannon'
import { longPollingCrowd } from '../driver/entrances.js'
import type { ServerProcess } from '../driver/server-process.js'
import type { Session } from '../driver/session.js'
import { HOST, PATH } from '../peers/control.js'
import { DEFAULT_HOLD_MS, type Finding, payload, type Scenario, type Settings, SPEAKERS, WARM_UP_MS } from '../scenario.js'

const PUBLISHERS = 50
const CHANNEL = '/benchmark/publish'
const SUCCESS = /"successful":true/

function speakFor (client: autocannon.Client, session: Session | undefined): void {
  if (session === undefined) throw new Error('more connections than sessions')
  const cookie = session.cookie === undefined ? {} : { cookie: session.cookie }
  client.setHeadersAndBody({ 'content-type': 'application/json', ...cookie }, session.publishBody(CHANNEL, [payload(1)]))
}

/** Fifty sessions, each over a connection of its own, publish on a channel that nobody subscribes to. */
async function measure (server: ServerProcess, { seconds }: Settings): Promise<Finding> {
  const crowd = longPollingCrowd(server)
  const sessions = await Promise.all(Array.from({ length: PUBLISHERS }, () => crowd.joinOne()))
  const options: autocannon.Options = {
    url: `http://${HOST}:${server.port}${PATH}`,
    connections: PUBLISHERS,
    method: 'POST',
    verifyBody: body => SUCCESS.test(String(body))
  }
  const publishFor = async (seconds: number) => {
    let next = 0
    return await autocannon({ ...options, duration: seconds, setupClient: client => speakFor(client, sessions[next++]) })
  }
  await publishFor(WARM_UP_MS / 1_000)

  let result: autocannon.Result | undefined
  const cpuUs = await server.cpuDuring(async () => { result = await publishFor(seconds) })
  crowd.leave()
  if (result === undefined) throw new Error('autocannon gave no result')

  const { '2xx': publishes, non2xx, errors, timeouts, mismatches: unsuccessful } = result
  const failures = { non2xx, errors, timeouts, unsuccessful }
  return {
    value: cpuUs / publishes,
    counts: { cpuUs, windowMs: result.duration * 1_000, publishes, ...failures, publishers: PUBLISHERS },
    faults: [
      ...crowd.faults,
      ...Object.entries(failures).filter(([, count]) => count > 0).map(([name, count]) => `${count} publishes: ${name}`)
    ]
  }
}

export const publish: Scenario = {
  name: 'publish',
  unit: 'µs CPU per publish',
  bar: { ratioToRival: 0.75 },
  transport: 'long-polling',
  servers: SPEAKERS['long-polling'],
  holdTimeoutMs: DEFAULT_HOLD_MS,
  connections: 2 * PUBLISHERS,
  measure
}
