import { setTimeout as sleep } from 'node:timers/promises'
import type { Member } from '../driver/crowd.js'
import { crowdOf } from '../driver/entrances.js'
import type { Message, Transport } from '../driver/message.js'
import type { ServerProcess } from '../driver/server-process.js'
import { DEFAULT_HOLD_MS, type Finding, payload, type Scenario, type Settings, SPEAKERS, WARM_UP_MS } from '../scenario.js'

const SUBSCRIBERS = 100
const CHANNEL = '/benchmark/broadcast'
/** A round that takes longer has lost something. */
const ROUND_LIMIT_MS = 10_000

/** Counts what the subscribers get: each must get every sequence number once, in order. */
class Audience {
  deliveries = 0
  lost = 0
  repeated = 0
  readonly #next = new Array<number>(SUBSCRIBERS).fill(1)
  #last = 0
  #waiting = 0
  #onComplete = () => {}

  /** Resolves when every subscriber has got the number `last`, or when that takes too long; then the rest is lost. */
  until (last: number): Promise<void> {
    this.#last = last
    this.#waiting = SUBSCRIBERS
    return new Promise(resolve => {
      const limit = setTimeout(() => {
        for (const next of this.#next) this.lost += last + 1 - next
        this.#next.fill(last + 1)
        resolve()
      }, ROUND_LIMIT_MS)
      this.#onComplete = () => {
        clearTimeout(limit)
        resolve()
      }
    })
  }

  receive (subscriber: number, events: Message[]): void {
    for (const { data } of events) {
      const { sequence } = data as { sequence: number }
      const next = this.#next[subscriber] ?? 0
      if (sequence < next) {
        this.repeated++
        continue
      }
      this.lost += sequence - next
      this.deliveries++
      this.#next[subscriber] = sequence + 1
      if (sequence === this.#last && --this.#waiting === 0) this.#onComplete()
    }
  }
}

/** Publishes `batch` messages at once, waits until all have them, and again. */
class Publisher {
  #sequence = 0
  readonly #member: Member
  readonly #audience: Audience
  readonly #batch: number

  constructor (member: Member, audience: Audience, batch: number) {
    this.#member = member
    this.#audience = audience
    this.#batch = batch
  }

  async publishFor (durationMs: number): Promise<void> {
    const end = performance.now() + durationMs
    while (performance.now() < end && this.#audience.lost === 0) {
      const data = Array.from({ length: this.#batch }, () => payload(++this.#sequence))
      const received = this.#audience.until(this.#sequence)
      await Promise.all([this.#member.publish(CHANNEL, data), received])
    }
  }
}

async function measure (server: ServerProcess, { seconds }: Settings, transport: Transport, batch: number): Promise<Finding> {
  const crowd = crowdOf(server, transport)
  const audience = new Audience()
  await crowd.join(SUBSCRIBERS, CHANNEL, (subscriber, events) => audience.receive(subscriber, events))
  const publisher = new Publisher(await crowd.joinOne(), audience, batch)
  await sleep(100)
  await publisher.publishFor(WARM_UP_MS)

  const before = audience.deliveries
  const start = performance.now()
  const cpuUs = await server.cpuDuring(() => publisher.publishFor(seconds * 1_000))
  const windowMs = performance.now() - start
  const deliveries = audience.deliveries - before
  crowd.leave()

  const { lost, repeated } = audience
  return {
    value: cpuUs / deliveries,
    counts: { cpuUs, windowMs, deliveries, lost, repeated, subscribers: SUBSCRIBERS, messagesPerRequest: batch },
    faults: [
      ...crowd.faults,
      ...lost > 0 ? [`${lost} deliveries lost`] : [],
      ...repeated > 0 ? [`${repeated} deliveries repeated`] : []
    ]
  }
}

function broadcast (transport: Transport, batch: number): Omit<Scenario, 'name' | 'bar'> {
  return {
    unit: 'µs CPU per delivery',
    transport,
    servers: SPEAKERS[transport],
    holdTimeoutMs: DEFAULT_HOLD_MS,
    connections: SUBSCRIBERS + 2,
    measure: (server, settings) => measure(server, settings, transport, batch)
  }
}

/** One message, 100 subscribers: what most applications do. */
export const fanOut: Scenario = { name: 'fan-out', ...broadcast('long-polling', 1), bar: { ratioToRival: 0.75 } }

/** Ten messages a request, so that the cost of a message outweighs that of a request. */
export const flood: Scenario = { name: 'flood', ...broadcast('long-polling', 10) }

export const wsFanOut: Scenario = { name: 'ws-fan-out', ...broadcast('websocket', 1), bar: { ratioToRival: 0.8 } }

/** What it costs that each message is acknowledged, and comes with the answer to a connect. */
export const wsFanOutAck: Scenario = { name: 'ws-fan-out-ack', ...broadcast('websocket', 1), servers: ['fastify-cometd', 'fastify-cometd-ack', 'bare', 'bare-ack'] }

export const wsFlood: Scenario = { name: 'ws-flood', ...broadcast('websocket', 10), bar: { ratioToRival: 0.25 } }
