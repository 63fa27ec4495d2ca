import { randomInt } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import t from 'tap'
import type { ServerSession } from '../../plugin/index.js'
import { type Client, type Harness, start, turn, type Wire } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { remember, serverSideOf, SocketClient } from '../helpers/socket.js'

// Mulberry32: small, and the same on every machine.
function seededRandom (seed: number): (below: number) => number {
  return below => {
    seed = (seed + 0x6D2B79F5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below)
  }
}

/** A client with its session, over one transport or the other. */
interface Track { client: Client, socket: SocketClient | undefined, session: ServerSession, sent: number[], got: number[] }

const STEPS = 10_000
const ODD = ['refuse', 'veto', 'fault', 'shed', 'reply', 'toString', 'constructor', 'hasOwnProperty', 'then', 'holdFor', 'batch', 'valueOf']

t.test('whatever clients do over both transports, each session is held or will expire, no count is off, and each message comes once or waits', { timeout: 120_000 }, async t => {
  const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31))
  t.comment(`SEED=${seed}`)
  const random = seededRandom(seed)
  const harness = await start(t, { timeout: 3_000, maxInterval: 5_000, maxSessionsPerBrowser: 2, maxProcessing: 400 })
  const { app, open, cometd, clock, client } = harness
  const responses = new Map<string, ServerResponse>()
  app.addHook('onRequest', async (request, reply) => { responses.set(String(request.headers['x-tag']), reply.raw) })
  let fail = false
  app.addHook('onSend', async request => { if (fail && request.headers['x-tag'] !== undefined) throw new Error('unlucky') })
  cometd.createServerChannel('/throws').addListener('message', () => { throw new Error('thrown') })
  cometd.createServerChannel('/rejects').addListener('message', async () => { throw new Error('rejected') })
  cometd.createServerChannel('/never').addListener('message', async () => await new Promise(() => {}))
  cometd.createServerChannel('/ends').addListener('message', async session => { session?.disconnect() })
  await listen(app)
  remember(app)

  const tracks: Track[] = []
  const gone: Track[] = []
  const pending = new Set<Promise<unknown>>()
  let browser = 0
  let number = 0
  let tag = 0
  let resumed = 0

  const some = (): Track => tracks[random(tracks.length)] as Track
  const withId = (track: Track, messages: Wire[]): Wire[] => messages.map(message => ({ id: '1', clientId: track.session.id, ...message }))

  const post = (track: Track, messages: Wire[]): void => {
    const answer = track.client.post(withId(track, messages), { 'x-tag': String(++tag) }).then(response => {
      if (response.statusCode === 200) take(track, response.json())
    }, () => {})
    pending.add(answer)
    answer.finally(() => pending.delete(answer)).catch(t.threw)
  }
  /** Over the transport that the client uses now. */
  const send = (track: Track, ...messages: Wire[]): void => {
    if (isOpen(track)) track.socket?.raw(withId(track, messages))
    else post(track, messages)
  }
  const connect = (track: Track, advice?: Wire): Wire => ({ channel: '/meta/connect', connectionType: isOpen(track) ? 'websocket' : 'long-polling', ...(advice && { advice }) })

  /** What listeners of an application may do, in any event, at the worst moment. */
  let calm = false
  const careless = (): unknown => {
    if (calm) return undefined
    switch (random(40)) {
      case 0: throw new Error('thrown')
      case 1: return Promise.reject(new Error('rejected'))
      case 2: return new Promise(() => {})
      case 3: return turn()
      case 4: return cometd.createServerChannel('/a').publish(null, 'noise')
      case 5: return tracks[random(tracks.length)]?.session.deliver(null, '/a', 'noise')
      case 6: return random(20) === 0 && tracks[random(tracks.length)]?.session.disconnect()
      case 7: return cometd.createServerChannel(`/made/${random(5)}`)
      default: return undefined
    }
  }
  const SESSION_EVENTS = ['removed', 'suspended', 'resumed', 'queueOffer', 'queueDrain'] as const
  const SERVER_EVENTS = ['sessionAdded', 'sessionRemoved', 'channelCreating', 'channelAdded', 'channelRemoved', 'subscribed', 'unsubscribed'] as const
  for (const event of SERVER_EVENTS) cometd.addListener(event, careless)
  cometd.addListener('sessionAdded', session => { for (const event of SESSION_EVENTS) session.addListener(event, careless) })

  const openSocket = async (cookie: string | undefined): Promise<SocketClient> => await SocketClient.open(app, { headers: cookie === undefined ? {} : { cookie } })
  const join = async (): Promise<void> => {
    const newcomer = client()
    if (tracks.length > 0 && random(2) === 0) newcomer.cookie = some().client.cookie
    let socket: SocketClient | undefined
    if (random(2) === 0) {
      await newcomer.open()
    } else {
      newcomer.cookie ??= `BAYEUX_BROWSER=${(++browser).toString(16).padStart(40, '0')}`
      socket = await openSocket(newcomer.cookie)
      newcomer.clientId = (await socket.handshake())['clientId']
      await socket.connect()
    }
    tracks.push({ client: newcomer, socket, session: newcomer.session, sent: [], got: [] })
  }
  /** The client goes on over a new socket. */
  const resume = async (track: Track): Promise<void> => {
    if (track.session.removed) return
    await leaveSocket(harness, track)
    const socket = await openSocket(track.client.cookie)
    track.socket = socket
    socket.clientId = track.session.id
    socket.raw(withId(track, [connect(track, { timeout: 0 })]))
    resumed++
  }
  const breakSocket = async (track: Track): Promise<void> => {
    const { socket } = track
    if (socket === undefined || !isOpen(track)) return
    await caughtUp(harness, track)
    const serverSide = serverSideOf(app, socket)
    if (random(2) === 0) socket.ws.terminate()
    else serverSide?.terminate()
    await socket.closed
    while (serverSide?.readyState !== undefined && serverSide.readyState !== serverSide.CLOSED) await turn()
  }
  const deliver = (track: Track): void => { if (track.session.deliver(null, '/numbers', ++number)) track.sent.push(number) }

  const steps: Array<() => unknown> = [
    join,
    () => { const track = some(); send(track, connect(track)) },
    () => { const track = some(); send(track, connect(track)) },
    () => { const track = some(); send(track, connect(track, { timeout: random(4_000), interval: random(2_000) })) },
    () => deliver(some()),
    () => deliver(some()),
    () => { const track = some(); track.session.batch(() => { deliver(track); deliver(track) }) },
    () => send(some(), { channel: '/meta/subscribe', subscription: ['/a', '/a/*'][random(2)] }, { channel: '/a', data: 1 }),
    () => { const track = some(); send(track, { channel: ['/throws', '/rejects', '/never'][random(3)], data: 1 }, ...(random(2) === 0 ? [connect(track)] : [])) },
    () => { if (random(10) === 0) send(some(), { channel: ['/ends', '/meta/disconnect'][random(2)], data: 1 }) },
    () => { if (random(10) === 0) some().session.disconnect() },
    () => { if (random(10) === 0) { const { session } = some(); cometd.revoke(other => other === session) } },
    // Its client does not authenticate again.
    () => { if (random(10) === 0) some().session.identity = { expiresAt: clock.now + random(4_000) } },
    () => { some().session.metaConnectDeliveryOnly = random(3) === 0 },
    async () => await resume(some()),
    async () => await breakSocket(some()),
    // Falls back to long-polling while the socket is still open.
    async () => { const track = some(); await leaveSocket(harness, track, false); post(track, [{ ...connect(track), connectionType: 'long-polling' }]) },
    // The network breaks under a request that is open.
    () => { responses.get(String(1 + random(tag)))?.destroy() },
    () => { responses.get(String(tag))?.destroy() },
    async () => { fail = true; const track = some(); post(track, [{ ...connect(track), connectionType: 'long-polling' }]); deliver(track); await turn(); await turn(); fail = false },
    () => { clock.tick(random(1_500)) },
    // The process stands still; what arrived meanwhile comes at once.
    () => { clock.jump(random(4_000)) },
    () => { const name = ODD[random(ODD.length)] as string; send(some(), { channel: '/a', data: 1, [name]: random(2), ext: { [name]: {} }, id: name }) },
    () => send(some(), ...new Array(random(20)).fill({ channel: '/a', data: 'many' })),
    () => { const track = some(); if (isOpen(track)) track.socket?.raw([]) },
    turn
  ]

  const check = (): void => {
    const held = new Map<unknown, number>()
    for (const { session } of tracks) {
      if (session.removed) {
        if (session.held) throw new Error('a removed session is held')
        continue
      }
      if (session.tick === -1) throw new Error(`immortal: held ${session.held}`)
      if (session.held && session.outlet === undefined) held.set(session.binding, (held.get(session.binding) ?? 0) + 1)
    }
    for (const binding of new Set(tracks.map(({ session }) => session.binding))) {
      if (binding === undefined) continue
      const { held: counted } = binding as unknown as { held: number }
      if (counted !== (held.get(binding) ?? 0)) throw new Error(`counted ${counted} held connects, there are ${held.get(binding)}`)
    }
    const { heldConnects } = harness.cometd.statistics
    const all = Object.values(heldConnects).reduce((sum, count) => sum + count)
    const now = harness.cometd.sessions.all.filter(session => session.held).length
    if (all !== now) throw new Error(`counted ${JSON.stringify(heldConnects)} held connects, there are ${now}`)
    for (const track of tracks) {
      read(track)
      if (new Set(track.got).size !== track.got.length) throw new Error(`twice: ${track.got.join()}`)
      if (track.got.some(n => !track.sent.includes(n))) throw new Error('a message that was not sent')
    }
  }

  for (let i = 0; i < 5; i++) await join()
  for (let step = 0; step < STEPS; step++) {
    const index = random(steps.length)
    try {
      await steps[index]?.()
      if (random(3) === 0) await turn()
      check()
      if (step % 50 === 49) {
        // Else something would be queued while it is looked at what is.
        calm = true
        await collect(harness, tracks)
        calm = false
        // Those who are gone would make the walk a dull one.
        gone.push(...tracks.filter(({ session }) => session.removed))
        tracks.splice(0, tracks.length, ...tracks.filter(({ session }) => !session.removed))
      }
    } catch (err) {
      throw Object.assign(err as Error, { message: `SEED=${seed} step ${step}, kind ${index}: ${(err as Error).message}` })
    }
    while (tracks.filter(({ session }) => !session.removed).length < 3) await join()
  }

  calm = true
  // Everything that is open comes to its end; what was sent has come or still waits.
  for (let i = 0; i < 40; i++) {
    clock.tick(500)
    await turn()
    check()
  }
  await Promise.all(pending)
  t.strictSame(tracks.filter(({ session }) => cometd.getServerSession(session.id) !== undefined), [], 'all sessions have expired')
  t.ok(number > STEPS / 10 && tag > STEPS / 10 && resumed > STEPS / 50, `${number} messages, ${tag} requests, ${resumed} sockets for sessions that went on`)
  t.ok(await open(), 'the server is as it was')
  const sockets = [...tracks, ...gone].flatMap(({ socket }) => socket ?? [])
  await Promise.all(sockets.map(async ({ closed }) => await closed))
  t.pass('and no socket of a session that is gone is open')
})

function take (track: Track, messages: Wire[]): void {
  for (const { channel, data } of messages) if (channel === '/numbers') track.got.push(data)
}

function read (track: Track): void {
  for (const frame of track.socket?.frames.splice(0) ?? []) take(track, frame)
}

function isOpen ({ socket }: Track): boolean {
  return socket !== undefined && socket.ws.readyState === socket.ws.OPEN
}

/** Everything that the server has sent has come, or the socket is closed. What is being processed is given up if need be. */
async function caughtUp ({ clock }: Harness, track: Track): Promise<void> {
  const { socket } = track
  if (socket === undefined) return
  const state = { done: false }
  const finish = (): void => { state.done = true }
  socket.closed.then(finish, finish)
  if (isOpen(track)) socket.caughtUp().then(finish, finish)
  for (let turns = 1; !state.done; turns++) {
    await turn()
    if (turns % 200 === 0) clock.tick(500)
  }
  read(track)
}

/** The client uses its socket no more; `close`: it breaks it off, else it has the server find out. */
async function leaveSocket (harness: Harness, track: Track, close = true): Promise<void> {
  const { socket } = track
  if (socket === undefined) return
  await caughtUp(harness, track)
  if (close) {
    socket.ws.terminate()
    await socket.closed
  }
  // What it was sent after that, it reads although it has left.
  const rest = (): void => { for (const frame of socket.frames.splice(0)) take(track, frame) }
  socket.ws.on('message', rest)
  rest()
  track.socket = undefined
}

// Takes what waits for each session: then everything that was sent must have come.
async function collect (harness: Harness, tracks: Track[]): Promise<void> {
  // Nothing is being processed any more.
  harness.clock.tick(450)
  for (let i = 0; i < 4; i++) await turn()
  for (const track of tracks) {
    await caughtUp(harness, track)
    const { client, session, sent, got } = track
    if (session.removed) {
      await toldOf(track)
      continue
    }
    if (isOpen(track) && session.outlet !== undefined && !session.metaConnectDeliveryOnly) {
      // What another client has sent meanwhile.
      while (session.outlet?.flushing) await turn()
      await caughtUp(harness, track)
      if (session.queueLength > 0) throw new Error('the queue was not sent over an open socket')
    } else {
      await leaveSocket(harness, track)
      take(track, await client.raw({ channel: '/meta/connect', connectionType: 'long-polling', clientId: session.id, advice: { timeout: 0 } }))
      if (session.queueLength > 0) throw new Error('the queue was not sent')
    }
    const lost = sent.filter(n => !got.includes(n))
    if (lost.length > 0) throw new Error(`lost: ${lost.join()}`)
  }
}

// Its socket is closed, or says so as soon as it is used: the session was gone before the socket could take it up.
async function toldOf ({ socket, session }: Track): Promise<void> {
  if (socket === undefined) return
  socket.raw([{ id: 'probe', channel: '/meta/connect', clientId: session.id, connectionType: 'websocket' }])
  const refused = socket.until(() => socket.messages.some(({ id, error }) => id === 'probe' && ['402::session_unknown', '401::session_revoked', '401::identity_expired'].includes(error)))
  await Promise.race([refused, socket.closed])
}
