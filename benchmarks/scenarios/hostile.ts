// What one client can do to the server and to all others. Scenarios of the group `hostile`: bars are absolute, there are no peers.

import { setTimeout as sleep } from 'node:timers/promises'
import { crowdOf, longPollingCrowd } from '../driver/entrances.js'
import type { HttpReply } from '../driver/http-client.js'
import type { ServerProcess } from '../driver/server-process.js'
import type { Session } from '../driver/session.js'
import { ENDLESS_HOLD_MS, type Finding, OURS, type Scenario } from '../scenario.js'

const MIB = 1_048_576
/** A little less than the default `bodyLimit`. */
const BODY_BYTES = 1_000_000
const MEASURED_BYTES = 6 * MIB
/** Enough for code to be compiled. */
const WARM_UP_BYTES = 3 * MIB
/** Just within the default `maxValues`. */
const HALF = 49_000
const CHANNEL = '/benchmark/hostile'
const DECLARED = 20_000

/** As much of `unit` as fits into a body, between `head` and `tail`. */
function fill (head: string, unit: string, tail: string, bytes = BODY_BYTES): string {
  return head + unit.repeat(Math.floor((bytes - head.length - tail.length) / unit.length)) + tail
}

function counted (head: string, unit: (index: number) => string, tail: string, most = Infinity): string {
  let body = head
  for (let index = 0; index < most && body.length < BODY_BYTES - tail.length - 40; index++) body += unit(index)
  return body + tail
}

const message = (clientId: string, fields: string): string => `{"id":"1","channel":"${CHANNEL}","clientId":"${clientId}",${fields}`
const meta = (clientId: string, name: string, fields: string): string => `{"id":"1","channel":"/meta/${name}","clientId":"${clientId}",${fields}`

interface Kind {
  body: (clientId: string) => string
  contentType?: string
}

/** Bodies of one client, and what they are made of. */
const KINDS: Record<string, Kind> = {
  text: { body: id => fill(`[${message(id, '"data":"')}`, 'x', '"}]') },
  'wide-text': { body: id => fill(`[${message(id, '"data":"')}`, 'x'.repeat(99) + '\\u20ac', '"}]') },
  objects: { body: id => fill(`[${message(id, '"data":[')}`, '{},', '{}]}]') },
  arrays: { body: id => fill(`[${message(id, '"data":[')}`, '[],', '[]]}]') },
  numbers: { body: id => fill(`[${message(id, '"data":[')}`, '1e20,', '1]}]') },
  depth: { body: id => `[${message(id, '"data":')}${'['.repeat(BODY_BYTES / 2 - 100)}${']'.repeat(BODY_BYTES / 2 - 100)}}]` },
  fields: { body: id => counted(`[${message(id, '"data":1')}`, index => `,"f${index}":1`, '}]') },
  'half-fields': { body: id => counted(`[${message(id, '"data":1')}`, index => `,"f${index}":1`, '}]', HALF) },
  'half-keys': { body: id => counted(`[${message(id, '"data":{"x":1')}`, index => `,"k${index}":1`, '}}]', HALF) },
  'half-keys-ext': { body: id => counted(`[${message(id, '"data":1,"ext":{"constructor":1')}`, index => `,"k${index}":1`, '}}]', HALF) },
  'half-objects': { body: id => counted(`[${message(id, '"data":[')}`, () => '{},', '{}]}]', HALF) },
  'half-depth': { body: id => `[${message(id, '"data":')}${'['.repeat(HALF)}${']'.repeat(HALF)}}]` },
  names: { body: id => counted(`[${meta(id, 'subscribe', '"subscription":["/a"')}`, index => `,"/${index}"`, ']}]') },
  'names-off': { body: id => counted(`[${meta(id, 'unsubscribe', '"subscription":["/a"')}`, index => `,"/${index}"`, ']}]') },
  messages: { body: () => fill('[', '{},', '{}]') },
  'few-messages': { body: () => fill('[', '{},', '{}]', 1_490) },
  'small-publishes': { body: id => `[${Array.from({ length: 480 }, () => `${message(id, '"data":1')}}`).join()}]` },
  'small-subscribes': { body: id => `[${Array.from({ length: 480 }, (_, index) => `${meta(id, 'subscribe', `"subscription":"/s/${index}"`)}}`).join()}]` },
  'name-segments': { body: id => `[${Array.from({ length: 480 }, (_, index) => `{"channel":"${'/a'.repeat(31)}/${index}","clientId":"${id}","data":1}`).join()}]` },
  form: { body: () => fill('message=%5B%7B%7D%5D', '&message=1', ''), contentType: 'application/x-www-form-urlencoded' },
  'form-fields': { body: () => fill('message=%5B%7B%7D%5D', '&a', ''), contentType: 'application/x-www-form-urlencoded' }
}

/** CPU of the server for each MiB of bodies of one kind. Each comes over a session of its own, so that no budget hides its price. */
async function measureKind (server: ServerProcess, { body, contentType = 'application/json' }: Kind): Promise<Finding> {
  const crowd = longPollingCrowd(server)
  const length = body('x'.repeat(40)).length
  const [warmUp, requests] = [WARM_UP_BYTES, MEASURED_BYTES].map(bytes => Math.ceil(bytes / length)) as [number, number]
  const sessions: Session[] = []
  for (let i = 0; i < warmUp + requests; i++) sessions.push(await crowd.joinOne())
  const answers: HttpReply[] = []
  const send = async (session: Session): Promise<void> => { answers.push(await session.send(body(session.clientId), contentType)) }
  for (const session of sessions.splice(0, warmUp)) await send(session)
  const cpuUs = await server.cpuDuring(async () => { for (const session of sessions) await send(session) })
  crowd.leave()
  const [first] = answers
  const bytes = requests * length
  return {
    value: cpuUs / 1_000 / (bytes / MIB),
    counts: { cpuUs, bytes, status: first?.status ?? 0, replies: first?.messages.length ?? 0 },
    faults: answers.some(({ status }) => status >= 500) ? ['the server failed'] : []
  }
}

const common = { transport: 'long-polling', servers: [OURS], holdTimeoutMs: ENDLESS_HOLD_MS, group: 'hostile' } as const

const kinds: Scenario[] = Object.entries(KINDS).map(([name, kind]) => ({
  ...common,
  name: `hostile-${name}`,
  unit: 'ms CPU per MiB',
  // A request of 1,490 bytes costs what any request costs, 700 times.
  ...(name !== 'few-messages' && { bar: { atMost: 100 } }),
  connections: 100,
  measure: async server => await measureKind(server, kind)
}))

/** 499 wildcards in 5 KB, each of which has to do with thousands of declared channels. */
const wildcards: Scenario = {
  ...common,
  name: 'hostile-wildcards',
  unit: 'ms CPU per MiB',
  bar: { atMost: 100 },
  declare: DECLARED,
  connections: 1_000,
  measure: async server => {
    const names = Array.from({ length: 499 }, (_, index) => `"/d/${index % 100}/${index % 2 === 0 ? '**' : '*'}"`)
    return await measureKind(server, { body: id => `[${meta(id, 'subscribe', `"subscription":[${names.join()}]`)}}]` })
  }
}

/** How much more it takes to declare eight times as many channels. */
const declaring: Scenario = {
  ...common,
  name: 'hostile-declare',
  unit: '× CPU of 2,500 channels, for 20,000',
  bar: { atMost: 9 },
  connections: 0,
  async measure (server) {
    const { few, many } = await server.ask('declare')
    return { value: many / few, counts: { fewUs: few, manyUs: many }, faults: [] }
  }
}

/** Heap that 30 held connects keep, which were filled with as much as they may be. */
const heap: Scenario = {
  ...common,
  name: 'hostile-heap',
  unit: 'MiB of heap per MiB received',
  bar: { atMost: 1.5 },
  connections: 100,
  async measure (server) {
    const crowd = longPollingCrowd(server)
    const sessions: Session[] = []
    for (let i = 0; i < 30; i++) sessions.push(await crowd.joinOne())
    const bodyOf = ({ clientId }: Session): string => fill(`[${meta(clientId, 'connect', '"connectionType":"long-polling","ext":{"x":[')}`, '{},', '{}]}}]', 140_000)
    await sleep(500)
    const before = await server.ask('heap')
    let bytes = 0
    for (const session of sessions) {
      const body = bodyOf(session)
      bytes += body.length
      // Held: the answer never comes.
      session.send(body, 'application/json').catch(() => {})
    }
    await sleep(2_000)
    const after = await server.ask('heap')
    crowd.leave()
    return { value: (after.heapBytes - before.heapBytes) / bytes, counts: { bytes, heapBytes: after.heapBytes - before.heapBytes }, faults: [] }
  }
}

/** The longest time between two turns of the event loop while something concerns 10,000 held connects. */
function gap (name: string, bringAbout: (server: ServerProcess, publisher: Session) => Promise<unknown>): Scenario {
  const HELD = 10_000
  return {
    ...common,
    name,
    unit: 'ms between two turns, 10,000 held',
    bar: { atMost: 50 },
    connections: HELD,
    async measure (server) {
      const crowd = longPollingCrowd(server)
      const answers: Array<Promise<HttpReply>> = []
      await crowd.enter(HELD, CHANNEL, session => { answers.push(session.connect()) })
      const publisher = await crowd.joinOne()
      await sleep(3_000)
      await server.ask('gap')
      await bringAbout(server, publisher)
      const settled = await Promise.allSettled(answers)
      const { gapMs } = await server.ask('gap')
      crowd.leave()
      const failed = settled.filter(answer => answer.status === 'rejected' || answer.value.status !== 200).length
      return { value: gapMs, counts: { gapMs, failed }, faults: failed > 0 ? [`${failed} connects unanswered`] : [] }
    }
  }
}

const broadcastGap = gap('hostile-broadcast', async (server, publisher) => await publisher.publish(CHANNEL, [1]))
const closeGap = gap('hostile-close', async server => await server.ask('close'))

/** What a broadcast costs that is followed by one delivery to each of 8,000 sockets, beside one that is not. */
const frames: Scenario = {
  ...common,
  name: 'hostile-frames',
  unit: '× CPU of a broadcast alone, 8,000 sockets',
  bar: { atMost: 2.5 },
  transport: 'websocket',
  connections: 8_000,
  async measure (server) {
    const SOCKETS = 8_000
    const crowd = crowdOf(server, 'websocket')
    let received = 0
    let waitFor = { count: 0, resolve: () => {} }
    await crowd.join(SOCKETS, CHANNEL, (_, events) => {
      received += events.length
      if (received >= waitFor.count) waitFor.resolve()
    })
    const cost = async (question: 'broadcast' | 'broadcastAndDeliver', times: number): Promise<number> => {
      received = 0
      const all = new Promise<void>(resolve => { waitFor = { count: SOCKETS * times, resolve } })
      return await server.cpuDuring(async () => {
        await server.ask(question)
        await all
      })
    }
    const rounds: Array<[number, number]> = []
    for (let round = 0; round < 6; round++) rounds.push([await cost('broadcast', 1), await cost('broadcastAndDeliver', 2)])
    crowd.leave()
    // The first has code to compile.
    const [alone, both] = [0, 1].map(i => rounds.slice(1).reduce((sum, round) => sum + (round[i] as number), 0)) as [number, number]
    return { value: both / alone, counts: { aloneUs: alone, bothUs: both }, faults: crowd.faults }
  }
}

export const hostile: Scenario[] = [...kinds, wildcards, declaring, heap, broadcastGap, closeGap, frames]
