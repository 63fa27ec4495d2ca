import Fastify from 'fastify'
import t from 'tap'
import { Payloads } from '../../plugin/transports/payloads.js'
import { freeze, type Frame } from '../../plugin/bayeux/frame.js'
import cometd from '../../plugin/index.js'
import { type Client, start } from '../helpers/harness.js'

// CPU, not time: so that what else the machine does has no part in it. The bars of `npm run bench -- hostile` are tighter.

/** ms of CPU, of the cheapest of several times: the first ones have code to compile, and garbage is collected in any. */
async function cpuOf (work: () => Promise<unknown> | unknown, times = 3): Promise<number> {
  let cost = Infinity
  for (let i = 0; i < times; i++) {
    const before = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(before)
    cost = Math.min(cost, (user + system) / 1_000)
  }
  return cost
}

t.test('no kind of body costs out of all proportion to what a text of the same length costs', async t => {
  const { open } = await start(t, { maxSessionsPerCookie: 1_000 })
  const BYTES = 1_000_000
  const fill = (head: string, unit: string, tail: string): string => head + unit.repeat((BYTES - 100) / unit.length) + tail
  const count = (head: string, unit: (i: number) => string, tail: string): string => head + Array.from({ length: 80_000 }, (_, i) => unit(i)).join() + tail
  const kinds: Record<string, (clientId: string) => string> = {
    text: id => fill(`[{"channel":"/a","clientId":"${id}","data":"`, 'x', '"}]'),
    objects: id => fill(`[{"channel":"/a","clientId":"${id}","data":[`, '{},', '{}]}]'),
    depth: id => `[{"channel":"/a","clientId":"${id}","data":${'['.repeat(BYTES / 2 - 100)}${']'.repeat(BYTES / 2 - 100)}}]`,
    messages: () => fill('[', '{},', '{}]'),
    'names to subscribe to': id => count(`[{"channel":"/meta/subscribe","clientId":"${id}","subscription":[`, i => `"/n${i}"`, ']}]'),
    'names to unsubscribe from': id => count(`[{"channel":"/meta/unsubscribe","clientId":"${id}","subscription":[`, i => `"/n${i}"`, ']}]'),
    fields: id => count(`[{"channel":"/a","clientId":"${id}","data":1,`, i => `"f${i}":1`, '}]'),
    'small messages': id => `[${new Array(480).fill(`{"channel":"/a","clientId":"${id}","data":1}`).join()}]`,
    'names of many segments': id => `[${Array.from({ length: 480 }, (_, i) => `{"channel":"${'/a'.repeat(31)}/${i}","clientId":"${id}","data":1}`).join()}]`
  }
  let text = 0
  for (const [kind, body] of Object.entries(kinds)) {
    const clients: Client[] = []
    for (let i = 0; i < 10; i++) clients.push(await open())
    const bytes = body(clients[0]?.clientId as string).length
    const cost = await cpuOf(async () => {
      const client = clients.pop() as Client
      await client.post(body(client.clientId), { 'content-type': 'application/json' })
    }, 10) * BYTES / bytes
    if (kind === 'text') text = cost
    t.ok(cost < 40 * text, `${kind}: ${(cost / text).toFixed(1)} times as much`)
  }
})

t.test('wildcards cost next to nothing, however many channels are declared', async t => {
  const { open, cometd } = await start(t)
  for (let i = 0; i < 20_000; i++) cometd.createServerChannel(`/d/${i % 100}/${i}`, { subscribe: i % 2 === 0 ? () => true : true })
  const names = Array.from({ length: 499 }, (_, i) => `/d/${i}/${i % 2 === 0 ? '**' : '*'}`)
  const clients = [await open(), await open(), await open()]
  const cost = await cpuOf(async () => await (clients.pop() as Client).subscribe(names), 3)
  t.ok(cost < 50, `${cost} ms`)
  // Those that may be heard, but have to be asked: so many, and no more.
  for (let i = 0; i < 12_000; i++) cometd.createServerChannel(`/r/${i}`, { roles: ['a'] })
  const one = await open()
  one.session.identity = { roles: ['a'] }
  t.match(await one.subscribe(['/r/*', '/r/**']), { error: '429:max_subscriptions:subscribe_denied' })
})

t.test('declaring eight times as many channels takes little more than eight times as long', async t => {
  const declare = async (count: number): Promise<void> => {
    const app = Fastify()
    await app.register(cometd)
    for (let i = 0; i < count; i++) app.cometd.createServerChannel(`/d/${i % 100}/${i}`, { subscribe: () => true })
    await app.close()
  }
  const few = await cpuOf(async () => await declare(2_500), 5)
  const many = await cpuOf(async () => await declare(20_000), 3)
  t.ok(many < 13 * few, `${(many / few).toFixed(1)} times as long`)
})

t.test('WebSocket frames that have their beginning or their end in common are found as fast as any', async t => {
  const common = freeze({ channel: '/a', data: 'common' })
  const own = Array.from({ length: 8_000 }, (_, i) => freeze({ channel: '/a', data: i }))
  const build = (lists: Frame[][]): void => {
    const payloads = new Payloads(() => {})
    for (const frames of lists) {
      const payload = payloads.of(frames)
      if (payload.text !== `[${frames.map(({ json }) => json).join()}]`) throw new Error('another payload')
    }
  }
  const alone = await cpuOf(() => { build(own.map(frame => [frame])) })
  for (const [where, lists] of [['in front', own.map(frame => [common, frame])], ['behind', own.map(frame => [frame, common])], ['around', own.map(frame => [common, frame, common])]] as const) {
    const cost = await cpuOf(() => { build(lists) })
    t.ok(cost < 10 * alone + 10, `${where}: ${(cost / alone).toFixed(1)} times as long as without`)
  }
})
