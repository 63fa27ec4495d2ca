import t from 'tap'
import { start } from '../helpers/harness.js'

t.test('B47, B17: a handshake is answered with its id, a new clientId, the version, the transports and whole advice', async t => {
  const { client, cometd } = await start(t, { timeout: 12_000, interval: 5 })
  const { clientId, ...reply } = await client().handshake({ id: 'abc' })
  t.strictSame(reply, {
    id: 'abc',
    channel: '/meta/handshake',
    successful: true,
    version: '1.0',
    minimumVersion: '1.0',
    supportedConnectionTypes: ['websocket', 'long-polling'],
    advice: { reconnect: 'retry', interval: 5, timeout: 12_000 }
  })
  t.equal(cometd.getServerSession(clientId)?.id, clientId)
})

t.test('B22: clientIds are alphanumeric, 160 bits long and all different', async t => {
  const { client } = await start(t)
  const ids = new Set<string>()
  for (let i = 0; i < 50; i++) ids.add((await client().handshake()).clientId)
  t.equal(ids.size, 50)
  for (const id of ids) t.match(id, /^[a-z0-9]{40}$/)
})

t.test('B48: a handshake without a common connection type is refused, told what there is, and makes no session', async t => {
  const { client, cometd } = await start(t)
  let added = 0
  cometd.addListener('sessionAdded', () => { added++ })
  const reply = await client().handshake({ supportedConnectionTypes: ['iframe', 'callback-polling'] })
  t.match(reply, {
    successful: false,
    error: '400::connection_types_unsupported',
    supportedConnectionTypes: ['websocket', 'long-polling'],
    advice: { reconnect: 'none', interval: 0, timeout: 30_000 }
  })
  t.notOk('clientId' in reply)
  t.equal(added, 0)
})

t.test('B44: version and supportedConnectionTypes are needed, and of the right type', async t => {
  const { client } = await start(t)
  for (const version of [undefined, true, -1, '', 'one', null, ['1.0']]) {
    t.match(await client().handshake({ version }), { successful: false, error: '400::version_invalid', advice: { reconnect: 'none' } })
  }
  for (const supportedConnectionTypes of [undefined, 'long-polling', {}, null]) {
    t.match(await client().handshake({ supportedConnectionTypes }), { successful: false, error: '400::connection_types_invalid' })
  }
})

t.test('B45: what comes with a handshake is neither processed nor answered, and leaks no session', async t => {
  const { client, cometd } = await start(t)
  let heard = 0
  cometd.createServerChannel('/a').addListener('message', () => { heard++ })
  const fan = client()
  const handshake = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }
  const replies = await fan.raw({ channel: '/a', data: 1 }, handshake, handshake, { channel: '/meta/connect' })
  t.equal(replies.length, 1)
  t.match(replies[0], { channel: '/meta/handshake', successful: true })
  t.equal(heard, 0)
})

t.test('B45: a session born beside other messages expires like any other', async t => {
  const { client, cometd, clock } = await start(t)
  const fan = client()
  const [{ clientId }] = await fan.raw({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }, { channel: '/a', data: 1 }) as [{ clientId: string }]
  t.ok(cometd.getServerSession(clientId))
  clock.tick(10_100)
  t.notOk(cometd.getServerSession(clientId))
})

t.test('B51: the clientId of a handshake request is ignored', async t => {
  const { open } = await start(t)
  const one = await open()
  const before = one.clientId
  const reply = await one.handshake({ clientId: before })
  t.equal(reply.successful, true)
  t.not(reply.clientId, before)
})

t.test('B5, B50: a policy may lead a client through several handshakes', async t => {
  const { client, cometd } = await start(t)
  cometd.policy = {
    canHandshake (session, message) {
      if (message.ext?.['answer'] === 42) return true
      message.reply.ext = { question: 'life' }
      message.reply.advice = { reconnect: 'handshake' }
      return false
    }
  }
  const one = client()
  t.match(await one.handshake(), { successful: false, error: '403::handshake_denied', ext: { question: 'life' }, advice: { reconnect: 'handshake', interval: 0, timeout: 30_000 } })
  t.match(await one.handshake({ ext: { answer: 42 } }), { successful: true })
})

t.test('B50: a client that the policy denies is told to stop', async t => {
  const { client, cometd } = await start(t)
  cometd.policy = { canHandshake: async () => false }
  t.strictSame((await client().handshake()).advice, { reconnect: 'none', interval: 0, timeout: 30_000 })
})

t.test('the fields that a client adds to its handshake can be read by the policy', async t => {
  const { client, cometd } = await start(t)
  cometd.policy = { canHandshake: (session, message) => (message['authentication'] as { token: string }).token === 'secret' }
  t.equal((await client().handshake({ authentication: { token: 'secret' } })).successful, true)
  t.equal((await client().handshake({ authentication: { token: 'guess' } })).successful, false)
})

t.test('B76: events that fall due during a handshake wait for the first connect', async t => {
  const { client, cometd } = await start(t)
  cometd.addListener('sessionAdded', session => { session.deliver(null, '/welcome', 'hello') })
  const one = client()
  t.equal((await one.handshake()).channel, '/meta/handshake')
  t.match(await one.connect(), [{ channel: '/welcome', data: 'hello' }, { channel: '/meta/connect', successful: true }])
})
