import { randomInt } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import t from 'tap'
import type { CometDServer, ServerSession } from '../../plugin/index.js'
import { type Client, start, turn, type Wire } from '../helpers/harness.js'

// Mulberry32: small, and the same on every machine.
function seededRandom (seed: number): (below: number) => number {
  return below => {
    seed = (seed + 0x6D2B79F5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below)
  }
}

interface Track { client: Client, session: ServerSession, sent: number[], got: number[] }

const STEPS = 3_000

t.test('whatever clients do, each session is held or will expire, no count is off, and each message comes once or waits', async t => {
  const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31))
  t.comment(`SEED=${seed}`)
  const random = seededRandom(seed)
  const { app, open, cometd, clock, client } = await start(t, { timeout: 3_000, maxInterval: 5_000, maxSessionsPerBrowser: 2, maxProcessing: 400 })
  const responses = new Map<string, ServerResponse>()
  app.addHook('onRequest', async (request, reply) => { responses.set(String(request.headers['x-tag']), reply.raw) })
  let fail = false
  app.addHook('onSend', async request => { if (fail && request.headers['x-tag'] !== undefined) throw new Error('unlucky') })
  cometd.createServerChannel('/throws').addListener('message', () => { throw new Error('thrown') })
  cometd.createServerChannel('/rejects').addListener('message', async () => { throw new Error('rejected') })
  cometd.createServerChannel('/never').addListener('message', async () => await new Promise(() => {}))
  cometd.createServerChannel('/ends').addListener('message', async session => { session?.disconnect() })

  const tracks: Track[] = []
  const pending = new Set<Promise<unknown>>()
  let number = 0
  let tag = 0

  const post = (track: Track, messages: Wire[]): string => {
    const name = String(++tag)
    const answer = track.client.post(messages.map(message => ({ id: '1', clientId: track.session.id, ...message })), { 'x-tag': name }).then(response => {
      if (response.statusCode !== 200) return
      for (const { channel, data } of response.json() as Wire[]) if (channel === '/numbers') track.got.push(data)
    }, () => {})
    pending.add(answer)
    answer.finally(() => pending.delete(answer)).catch(t.threw)
    return name
  }
  const connect = { channel: '/meta/connect', connectionType: 'long-polling' }
  const some = (): Track => tracks[random(tracks.length)] as Track
  const join = async (): Promise<void> => {
    const newcomer = client()
    if (tracks.length > 0 && random(2) === 0) newcomer.cookie = some().client.cookie
    await newcomer.open()
    tracks.push({ client: newcomer, session: newcomer.session, sent: [], got: [] })
  }
  const deliver = (track: Track): void => { if (track.session.deliver(null, '/numbers', ++number)) track.sent.push(number) }
  const steps: Array<() => unknown> = [
    join,
    () => post(some(), [connect]),
    () => post(some(), [connect]),
    () => post(some(), [{ ...connect, advice: { timeout: random(4_000), interval: random(2_000) } }]),
    () => deliver(some()),
    () => deliver(some()),
    () => { const track = some(); track.session.batch(() => { deliver(track); deliver(track) }) },
    () => post(some(), [{ channel: '/meta/subscribe', subscription: ['/a', '/a/*'][random(2)] }, { channel: '/a', data: 1 }]),
    () => post(some(), [{ channel: ['/throws', '/rejects', '/never'][random(3)], data: 1 }, ...(random(2) === 0 ? [connect] : [])]),
    () => { if (random(10) === 0) post(some(), [{ channel: ['/ends', '/meta/disconnect'][random(2)], data: 1 }]) },
    () => { if (random(10) === 0) some().session.disconnect() },
    // The network breaks under a request that is open.
    () => { responses.get(String(1 + random(tag)))?.destroy() },
    () => { responses.get(String(tag))?.destroy() },
    async () => { fail = true; post(some(), [connect]); deliver(some()); await turn(); await turn(); fail = false },
    () => { clock.tick(random(1_500)) },
    turn
  ]

  const check = (): void => {
    const held = new Map<unknown, number>()
    for (const { session } of tracks) {
      if (session.removed) continue
      if (session.tick === -1) throw new Error(`immortal: held ${session.held}`)
      if (session.held) held.set(session.binding, (held.get(session.binding) ?? 0) + 1)
    }
    for (const binding of new Set(tracks.map(({ session }) => session.binding))) {
      const { held: counted } = binding as unknown as { held: number }
      if (counted !== (held.get(binding) ?? 0)) throw new Error(`counted ${counted} held connects, there are ${held.get(binding)}`)
    }
    for (const { sent, got } of tracks) {
      if (got.some((n, i) => i > 0 && n <= (got[i - 1] as number)) && new Set(got).size !== got.length) throw new Error(`twice: ${got.join()}`)
      if (got.some(n => !sent.includes(n))) throw new Error('a message that was not sent')
    }
  }

  for (let i = 0; i < 5; i++) await join()
  for (let step = 0; step < STEPS; step++) {
    await steps[random(steps.length)]?.()
    if (random(3) === 0) await turn()
    check()
    if (step % 40 === 0) await collect(tracks)
    if (tracks.every(({ session }) => session.removed)) await join()
  }

  // Everything that is open comes to its end; what was sent has come or still waits.
  for (let i = 0; i < 40; i++) {
    clock.tick(500)
    await turn()
    check()
  }
  await Promise.all(pending)
  t.equal(sessionsOf(cometd, tracks), 0, 'all sessions have expired')
  t.ok(number > STEPS / 10 && tag > STEPS / 10)
  t.ok(await open(), 'the server is as it was')
})

// Takes what waits for each session: then everything that was sent must have come.
async function collect (tracks: Track[]): Promise<void> {
  for (let i = 0; i < 4; i++) await turn()
  for (const { client, session, sent, got } of tracks) {
    if (session.removed) continue
    const waiting = session.queueLength
    for (const { channel, data } of await client.raw({ channel: '/meta/connect', connectionType: 'long-polling', clientId: session.id, advice: { timeout: 0 } })) {
      if (channel === '/numbers') got.push(data)
    }
    if (waiting > 0 && session.queueLength > 0) throw new Error('the queue was not sent')
    const lost = sent.filter(n => !got.includes(n))
    if (lost.length > 0) throw new Error(`lost: ${lost.join()}`)
  }
}

function sessionsOf (cometd: CometDServer, tracks: Track[]): number {
  return tracks.filter(({ session }) => cometd.getServerSession(session.id) !== undefined).length
}
