import t from 'tap'
import { memoryLog, start } from '../helpers/harness.js'

t.test('without a policy sessions may do everything but listen to all channels at once', async t => {
  const { open } = await start(t)
  const one = await open()
  for (const name of ['/**', '/*']) t.match(await one.subscribe(name), { successful: false, error: '403:denied_by_security_policy:subscribe_denied' })
  t.match(await one.subscribe(['/a', '/a/*', '/a/**']), { successful: true })
  t.match(await one.publish('/a', 1), { successful: true })
})

t.test('a policy is asked about everything, with what it needs to know', async t => {
  const { open, cometd } = await start(t)
  const asked: unknown[] = []
  cometd.policy = {
    canHandshake: (session, message) => { asked.push(['handshake', message.channel]) },
    canCreate: (session, message, name) => { asked.push(['create', session.id, message.channel, name]) },
    canSubscribe: (session, message, channel) => { asked.push(['subscribe', session.id, channel.name]) },
    canPublish: (session, message, channel) => { asked.push(['publish', session.id, channel.name, message.data]) }
  }
  const one = await open()
  const { clientId } = one
  await one.subscribe('/a')
  await one.publish('/a', 1)
  await one.publish('/b', 2)
  t.strictSame(asked, [
    ['handshake', '/meta/handshake'],
    ['create', clientId, '/meta/subscribe', '/a'], ['subscribe', clientId, '/a'],
    ['publish', clientId, '/a', 1],
    ['create', clientId, '/b', '/b'], ['publish', clientId, '/b', 2]
  ])
})

t.test('policies may be synchronous, give a promise or call back; they are asked as methods', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  class Policy {
    verdict = false
    canPublish (): boolean { return this.verdict }
    async canCreate (): Promise<boolean> { return true }
    canSubscribe (session: unknown, message: unknown, channel: unknown, callback: (err?: unknown, allowed?: boolean) => void): void {
      setImmediate(callback, null, this.verdict)
    }
  }
  const policy = new Policy()
  cometd.policy = policy
  t.match(await one.publish('/a', 1), { successful: false, error: '403:denied_by_security_policy:publish_denied' })
  t.match(await one.subscribe('/a'), { successful: false, error: '403:denied_by_security_policy:subscribe_denied' })
  t.notOk(cometd.getServerChannel('/a'), 'a refused message makes no channel')
  policy.verdict = true
  t.match(await one.publish('/a', 1), { successful: true })
  t.match(await one.subscribe('/a'), { successful: true })
})

t.test('a policy that fails refuses, and is logged', async t => {
  const { lines, logger } = memoryLog()
  const { client, open, cometd } = await start(t, {}, { logger })
  const one = await open()
  const fail = (): never => { throw new Error('database down') }
  cometd.policy = { canHandshake: fail, canCreate: async () => fail(), canSubscribe: fail, canPublish: (session, message, channel, callback) => { callback(new Error('database down')) } }
  t.match(await client().handshake(), { successful: false, error: '500::internal_error', advice: { reconnect: 'handshake', interval: 10_000 } })
  cometd.createServerChannel('/b')
  t.match(await one.publish('/a', 1), { successful: false, error: '500::internal_error' })
  t.match(await one.publish('/b', 1), { successful: false, error: '500::internal_error' })
  t.match(await one.subscribe('/b'), { successful: false, error: '500::internal_error' })
  t.equal(lines.filter(({ err }) => (err as Error | undefined)?.message === 'database down').length, 4)
  t.notMatch(JSON.stringify(await one.publish('/a', 1)), /database/, 'the client is not told why')
})

t.test('creation may be denied', async t => {
  const { open, cometd } = await start(t)
  cometd.policy = { canCreate: () => false }
  const one = await open()
  t.match(await one.publish('/a', 1), { successful: false, error: '403:denied_by_security_policy:channel_create_denied' })
  t.match(await one.subscribe('/a'), { successful: false, error: '403:denied_by_security_policy:create_denied' })
})

t.test('a publish whose session ends while it waits for the policy is refused', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  cometd.policy = { canPublish: async session => { session.disconnect() } }
  t.match((await one.send({ channel: '/a', data: 1 })).at(-1), { successful: false, error: '402::session_unknown' })
})

t.test('an asynchronous policy with names that every object has costs nothing but a refusal', async t => {
  const { open, cometd } = await start(t)
  cometd.policy = { canCreate: async () => true, canPublish: async () => true, canSubscribe: async () => true }
  const one = await open()
  for (const name of ['__proto__', 'constructor', 'no-slash', '/__proto__', '/constructor', '/hasOwnProperty']) {
    const valid = name.startsWith('/')
    t.equal((await one.publish(name, 1)).successful, valid)
    t.equal((await one.subscribe(name)).successful, valid)
  }
})
