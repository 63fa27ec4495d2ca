import t from 'tap'
import type { CometDIdentity, CometDPluginOptions } from '../../plugin/index.js'
import { createTestClock, type TestClient, type WireMessage } from '../../plugin/testing.js'
import { memoryLog } from '../helpers/harness.js'
import { startKit } from '../helpers/kit.js'

const START = Date.UTC(2000, 0, 1)

/** Takes what clients send as `ext.authentication` for who they are. */
const believing: CometDPluginOptions = {
  policy: { identify: (session, message) => message.ext?.['authentication'] as CometDIdentity | undefined }
}

const as = (authentication: unknown): WireMessage => ({ ext: { authentication } }) as WireMessage

/** Notes what the server says of authentication, and answers with what `credentials` has by then. */
function watch (client: TestClient): { said: unknown[], credentials: unknown } {
  const watched: { said: unknown[], credentials: unknown } = { said: [], credentials: undefined }
  client.addExtension({
    outgoing: message => {
      if (message.channel !== '/meta/connect' || watched.credentials === undefined) return
      message.ext = { authentication: watched.credentials }
      watched.credentials = undefined
    },
    incoming: ({ ext }) => { if (ext?.['authentication'] !== undefined) watched.said.push(ext['authentication']) }
  })
  return watched
}

t.test('the identity of a session is the user of its request', async t => {
  const user = { sub: 'ada', roles: ['admin'] }
  const { cometd, open } = await startKit(t, {}, {
    prepare: app => {
      app.decorateRequest('user', null)
      app.addHook('onRequest', async request => { if (request.headers['x-user'] === 'ada') Object.assign(request, { user }) })
    }
  })
  let known: unknown
  cometd.addListener('sessionAdded', session => { known = session.identity })
  t.equal((await open({ headers: { 'x-user': 'ada' } })).session?.identity, user)
  t.equal(known, user)
  t.equal((await open()).session?.identity, undefined)
})

t.test('or what the policy says, before it is asked whether there may be a session', async t => {
  const { client, open } = await startKit(t, {
    policy: {
      identify: async (session, message) => message.ext?.['authentication'] === 'secret' ? { sub: 'ada' } : null,
      canHandshake: session => session.identity?.['sub'] === 'ada'
    }
  })
  t.match((await open({}, as('secret'))).session?.identity, { sub: 'ada' })
  t.match(await client().handshake(as('guess')), { successful: false, error: '403::handshake_denied', advice: { reconnect: 'none' } })
})

t.test('or what the application sets, at any time', async t => {
  const { open } = await startKit(t, { policy: { canHandshake: session => { session.identity = { sub: 'ada' } } } })
  const { session } = await open()
  t.strictSame(session?.identity, { sub: 'ada' })
  if (session !== undefined) session.identity = undefined
  t.equal(session?.identity, undefined)
})

t.test('local sessions have none of their own', async t => {
  const { cometd } = await startKit(t, { policy: { identify: () => t.fail('asked') as never } })
  const session = cometd.newLocalSession()
  t.match(await session.handshake(), { successful: true })
  t.equal(session.serverSession?.identity, undefined)
})

t.test('a policy that fails to say who somebody is refuses the handshake', async t => {
  const { lines, logger } = memoryLog()
  const failing = await startKit(t, { policy: { identify: () => { throw new Error('oops') } } }, { logger } as never)
  t.match(await failing.client().handshake(), { successful: false, error: '500::internal_error', advice: { reconnect: 'handshake' } })
  const late = await startKit(t, { policy: { identify: async () => await new Promise<CometDIdentity>(() => {}) } })
  const reply = late.client().handshake()
  await late.clock.advance(8_050)
  t.match(await reply, { successful: false, error: '503::processing_timeout' })
  for (const identity of ['ada', 5, { expiresAt: 'soon' }, { exp: 'soon' }, { expiresAt: new Date(NaN) }]) {
    const { client } = await startKit(t, { policy: { identify: () => identity as never } }, { logger } as never)
    t.match(await client().handshake(), { successful: false, error: '500::internal_error' }, JSON.stringify(identity))
  }
  t.equal(lines.filter(({ level }) => level >= 50).length, 6)
  const { open } = await startKit(t)
  const { session } = await open()
  t.throws(() => { (session as { identity: unknown }).identity = { expiresAt: 'soon' } }, { code: 'COMETD_ERR_IDENTITY_INVALID' })
  t.throws(() => { (session as { identity: unknown }).identity = null }, { code: 'COMETD_ERR_IDENTITY_INVALID' })
})

t.test('an identity that has ended gets no session', async t => {
  for (const identity of [{ expiresAt: START }, { expiresAt: new Date(START - 1) }, { exp: START / 1_000 - 1 }]) {
    const { cometd, client } = await startKit(t, { policy: { identify: () => identity } })
    t.match(await client().handshake(), { successful: false, error: '401::identity_expired', advice: { reconnect: 'none' } })
    t.equal(cometd.statistics.sessions, 0)
  }
  const { client } = await startKit(t, { policy: { canHandshake: session => { session.identity = { exp: 1 } } } })
  t.match(await client().handshake(), { error: '401::identity_expired' })
})

for (const [name, identity] of [['expiresAt in ms', { expiresAt: START + 60_000 }], ['expiresAt as a Date', { expiresAt: new Date(START + 60_000) }], ['exp in seconds, as in a JWT', { exp: START / 1_000 + 60 }]] as const) {
  t.test(`a client whose identity ends (${name})`, async t => {
    const { cometd, clock, open } = await startKit(t, { policy: { identify: (session, message) => message.ext?.['authentication'] === undefined ? identity : undefined }, timeout: 90_000 })
    const removed: unknown[] = []
    cometd.addListener('sessionRemoved', (session, timeout, reason) => removed.push([timeout, reason]))
    const client = await open()
    const { said } = watch(client)

    await t.test('is asked to authenticate again before', async t => {
      await clock.advance(49_900)
      t.strictSame(said, [])
      await clock.advance(200)
      t.match(said, [{ required: true, timeout: Number }])
      const [{ timeout }] = said as [{ timeout: number }]
      t.ok(timeout > 9_800 && timeout <= 10_000, String(timeout))
    })

    await t.test('and if it does not, its session ends with an error that it can show', async t => {
      await clock.advance(9_800)
      t.ok(client.session)
      await clock.advance(200)
      t.match(await client.ended, { channel: '/meta/connect', successful: false, error: '401::identity_expired', advice: { reconnect: 'none' } })
      t.equal(client.session, undefined)
      t.strictSame(removed, [[false, 'identityExpired']])
      // It is asked with each of the short connects that it sends in between, and never told that all is well.
      t.ok(said.length > 5 && said.length < 20, String(said.length))
      t.ok(said.every(word => (word as { required?: boolean }).required === true))
    })
  })
}

t.test('a client that authenticates again goes on with its session', async t => {
  const { clock, open } = await startKit(t, { ...believing, timeout: 90_000 })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 60_000 }))
  const { clientId, session } = client
  const news = await client.subscribe('/news')
  const watched = watch(client)
  await clock.advance(51_000)
  watched.said.length = 0
  watched.credentials = { sub: 'ada', expiresAt: START + 120_000, roles: ['admin'] }
  await clock.advance(1_100)
  t.strictSame(watched.said.at(-1), { successful: true })
  t.equal(client.clientId, clientId)
  t.match(session?.identity, { roles: ['admin'] })
  await client.publish('/news', 'still here')
  t.match(await news.message(), { data: 'still here' })

  watched.said.length = 0
  await clock.advance(50_000)
  t.strictSame(watched.said, [], 'and is left alone until the new one ends')
  await clock.advance(8_000)
  t.match(watched.said[0], { required: true })
  await clock.advance(20_000)
  t.match(await client.ended, { error: '401::identity_expired' })
})

t.test('a client may authenticate again before it is asked', async t => {
  const { clock, open } = await startKit(t, { ...believing, timeout: 10_000 })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 60_000 }))
  const watched = watch(client)
  watched.credentials = { sub: 'ada' }
  await clock.advance(10_100)
  t.strictSame(watched.said, [{ successful: true }])
  await clock.advance(600_000)
  t.ok(client.session, 'the new identity has no end')
})

t.test('somebody without an identity may get one', async t => {
  const { clock, open } = await startKit(t, { ...believing, timeout: 10_000 })
  const client = await open()
  const watched = watch(client)
  watched.credentials = { sub: 'ada' }
  await clock.advance(10_100)
  t.match(client.session?.identity, { sub: 'ada' })
})

t.test('credentials that are none change nothing', async t => {
  const { lines, logger } = memoryLog()
  const { clock, open } = await startKit(t, { ...believing, timeout: 1_000 }, { logger } as never)
  const identity = { sub: 'ada', id: 1, expiresAt: START + 600_000 }
  const client = await open({}, as(identity))
  const watched = watch(client)
  for (const [credentials, error] of [
    [null, '401::authentication_failed'],
    ['nonsense', '500::internal_error'],
    [{ sub: 'eve', id: 1, expiresAt: START + 700_000 }, '401::authentication_failed'],
    [{ sub: 'ada', id: 2, expiresAt: START + 700_000 }, '401::authentication_failed'],
    [{ sub: 'ada', id: 1, expiresAt: START + 600_000 }, '401::authentication_failed'],
    [{ sub: 'ada', id: 1, expiresAt: START + 1 }, '401::authentication_failed']
  ] as const) {
    watched.credentials = credentials
    await clock.advance(1_100)
    t.strictSame(watched.said.splice(0), [{ successful: false, error }], JSON.stringify(credentials))
    t.strictSame(client.session?.identity, identity)
  }
  t.equal(lines.filter(({ level }) => level >= 50).length, 1)
})

t.test('a client that has not succeeded yet is still asked', async t => {
  const { clock, open } = await startKit(t, { ...believing, timeout: 90_000 })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 60_000 }))
  const watched = watch(client)
  await clock.advance(50_100)
  watched.said.length = 0
  watched.credentials = { sub: 'eve' }
  await clock.advance(2_200)
  t.match(watched.said[1], { required: true, successful: false, error: '401::authentication_failed' })
  t.match(watched.said[2], { required: true, successful: undefined, timeout: Number })
})

t.test('a session that ends while its client is being identified is not there any more', async t => {
  let found: (identity: CometDIdentity) => void = () => {}
  const { clock, open } = await startKit(t, {
    timeout: 1_000,
    policy: { identify: async (session, message) => message.channel === '/meta/handshake' ? undefined : await new Promise<CometDIdentity>(resolve => { found = resolve }) }
  })
  const client = await open()
  const watched = watch(client)
  watched.credentials = 'slow'
  await clock.advance(1_100)
  client.session?.disconnect()
  found({ sub: 'ada' })
  t.match(await client.ended, { channel: '/meta/connect' })
})

t.test('an identity that is short is not asked for all the time', async t => {
  const { clock, open } = await startKit(t, { ...believing, timeout: 1_000 })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 4_000 }))
  const { said } = watch(client)
  await clock.advance(1_900)
  t.strictSame(said, [])
  await clock.advance(200)
  t.match(said[0], { required: true })
})

t.test('a client with little time left is not kept waiting for the most of it', async t => {
  const { clock, open } = await startKit(t, { ...believing, timeout: 30_000 })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 2_000 }))
  const watched = watch(client)
  await clock.advance(1_100)
  t.match(watched.said, [{ required: true }])
  // It had to get a new token first, when its next connect was on its way.
  watched.credentials = { sub: 'ada', expiresAt: START + 60_000 }
  await clock.advance(800)
  t.match(watched.said.at(-1), { successful: true })
})

t.test('with reauthenticationTimeout 0 nobody is asked', async t => {
  const { clock, open } = await startKit(t, { ...believing, reauthenticationTimeout: 0, timeout: 5_000 })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 60_000 }))
  const { said } = watch(client)
  await clock.advance(60_100)
  t.match(await client.ended, { error: '401::identity_expired' })
  t.strictSame(said, [])
})

t.test('a client that is away when its identity ends learns of it with its next connect', async t => {
  const { clock, cometd, open } = await startKit(t, { ...believing, maxInterval: 60_000 })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 30_000 }))
  await client.drop()
  await clock.advance(31_000)
  t.equal(cometd.statistics.sessions, 0)
  await client.resume()
  t.match(await client.ended, { successful: false, error: '401::identity_expired', advice: { reconnect: 'none' } })
})

t.test('an identity ends when the time of day says so, whatever becomes of that', async t => {
  let behind = 0
  const clock = createTestClock()
  const { open } = await startKit(t, {
    ...believing,
    timeout: 5_000,
    clock: { now: () => clock.now(), date: () => clock.date() - behind, setTimeout: (callback, milliseconds) => clock.setTimeout(callback, milliseconds), clearTimeout: handle => clock.clearTimeout(handle) }
  })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 60_000 }))
  await clock.advance(55_000)
  behind = 20_000
  await clock.advance(10_000)
  t.ok(client.session, 'the clock on the wall was put back')
  await clock.advance(15_100)
  t.match(await client.ended, { error: '401::identity_expired' })
})

t.test('nothing is left of an identity whose session has ended before', async t => {
  const clock = createTestClock()
  const timers = new Set<unknown>()
  const { open } = await startKit(t, {
    ...believing,
    clock: {
      now: () => clock.now(),
      date: () => clock.date(),
      setTimeout (callback, milliseconds) {
        const handle = clock.setTimeout(() => {
          timers.delete(handle)
          callback()
        }, milliseconds)
        timers.add(handle)
        return handle
      },
      clearTimeout (handle) {
        timers.delete(handle)
        clock.clearTimeout(handle)
      }
    }
  })
  const client = await open({}, as({ sub: 'ada', expiresAt: START + 3_600_000 }))
  const { clientId } = client
  t.equal(timers.size, 1)
  await client.disconnect()
  await clock.advance(10_000)
  t.equal(timers.size, 0)
  await clock.advance(3_600_000)
  t.match(await client.send({ channel: '/meta/connect', clientId: clientId as string, connectionType: 'long-polling' }), { error: '402::session_unknown' })
})

t.test('a session that ends while others are revoked is not revoked, too', async t => {
  const { cometd, open } = await startKit(t)
  const [one, two] = [await open(), await open()]
  await two.drop()
  one.session?.addListener('removed', () => { two.session?.disconnect() })
  cometd.revoke(() => true)
  await two.resume()
  t.match(await two.ended, { successful: true, advice: { reconnect: 'none' } })
})

t.test('revoke ends the sessions that it is told of, and their clients do not come back', async t => {
  const { cometd, open } = await startKit(t, believing)
  const [ada, other, bob] = [await open({}, as({ sub: 'ada' })), await open({}, as({ sub: 'ada' })), await open({}, as({ sub: 'bob' }))]
  const local = cometd.newLocalSession()
  await local.handshake()
  const reasons: unknown[] = []
  cometd.addListener('sessionRemoved', (session, timeout, reason) => reasons.push(reason))
  await other.drop()
  t.equal(cometd.revoke(session => session.identity?.['sub'] === 'ada'), 2)
  t.match(await ada.ended, { channel: '/meta/connect', successful: false, error: '401::session_revoked', advice: { reconnect: 'none' } })
  await other.resume()
  t.match(await other.ended, { error: '401::session_revoked' })
  t.ok(bob.session)
  t.strictSame(reasons, ['revoked', 'revoked'])
  t.equal(cometd.revoke(() => true), 1)
  t.ok(local.connected)
  t.equal(cometd.revoke(() => true), 0)
})

t.test('a predicate that throws revokes nothing', async t => {
  const { cometd, open } = await startKit(t)
  const [one, two] = [await open(), await open()]
  t.throws(() => cometd.revoke(session => {
    if (session === two.session) throw new Error('oops')
    return true
  }), { message: 'oops' })
  t.ok(one.session)
})

t.test('a predicate that is none revokes nothing', async t => {
  const { cometd, open } = await startKit(t)
  const client = await open()
  for (const predicate of [undefined, 'ada', async () => true]) t.throws(() => cometd.revoke(predicate as never), { code: 'COMETD_ERR_HANDLER_INVALID' })
  t.ok(client.session)
})
