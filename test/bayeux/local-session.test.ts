import t from 'tap'
import { RemoteCallFailure } from '../../plugin/index.js'
import { memoryLog, once, start, turn } from '../helpers/harness.js'

t.test('a local session has a session of the server, which does not expire', async t => {
  const { cometd, clock } = await start(t, { maxSessions: 1, metaConnectDeliveryOnly: true })
  const local = cometd.newLocalSession('bot')
  t.strictSame([local.id, local.connected, local.serverSession], [undefined, false, undefined])
  t.match(await local.publish('/a', 1), { successful: false, error: '402::session_unknown' })
  t.match(await local.handshake(), { successful: true, channel: '/meta/handshake' })
  t.match(local.id, /^bot_[0-9a-f]{40}$/)
  t.equal(cometd.getServerSession(local.id as string), local.serverSession)
  t.equal(local.serverSession?.local, true)
  await clock.tickAsync(3_600_000)
  t.equal(local.connected, true)
  const other = cometd.newLocalSession()
  t.match(await other.handshake(), { successful: true }, 'and does not count')
  t.match(other.id, /^local_/)
})

t.test('it publishes, subscribes and hears what comes, one message after the other', async t => {
  const { cometd, open } = await start(t)
  const local = cometd.newLocalSession()
  const client = await open()
  cometd.addListener('sessionAdded', session => session.deliver(null, '/welcome', 1))
  const heard: unknown[] = []
  local.addListener('/welcome', message => { heard.push(message) })
  await local.handshake()
  await turn()
  t.strictSame(heard, [{ channel: '/welcome', data: 1 }])

  const listener = (message: { channel: string, data?: unknown }): void => {
    heard.push([message.channel, message.data])
    if (message.data === 'ping') cometd.createServerChannel('/a/c').publish(null, 'pong')
    if (typeof message.data === 'object') message.data = Object.assign(message.data ?? {}, { own: true })
  }
  t.match(await local.subscribe('/a/*', listener), { successful: true, subscription: '/a/*' })
  t.match(await local.subscribe('/a/b', message => { heard.push(message.data) }), { successful: true })
  await client.subscribe('/a/*')
  heard.length = 0
  cometd.createServerChannel('/a/b').publish(null, 'ping')
  await turn()
  await turn()
  t.strictSame(heard, ['ping', ['/a/b', 'ping'], ['/a/c', 'pong']])
  t.match(await local.publish('/a/d', { by: 'local' }), { successful: true })
  t.match(await local.publish('/a/d', undefined), { successful: true })
  t.match(await client.connect(), [{ data: 'ping' }, { data: 'pong' }, { data: { by: 'local' } }, { data: null }, {}], 'what it hears is its own copy')

  t.equal(await local.unsubscribe('/a/*', () => {}), undefined)
  t.match(await local.unsubscribe('/a/*', listener), { successful: true })
  t.strictSame(local.serverSession?.subscriptions.map(({ name }) => name), ['/a/b'])
})

t.test('a channel with two listeners has one subscription', async t => {
  const { cometd } = await start(t)
  const local = cometd.newLocalSession()
  await local.handshake()
  const one = (): void => {}
  await local.subscribe('/a', one)
  await local.subscribe('/a', () => {})
  t.equal(await local.unsubscribe('/a', one), undefined)
  t.equal(local.serverSession?.subscriptions.length, 1)
  local.addListener('/a', one)
  t.ok(local.removeListener('/a', one))
  t.notOk(local.removeListener('/a', one))
})

t.test('policy and authorizers are asked about it, and it may listen to everything', async t => {
  const { cometd } = await start(t)
  const local = cometd.newLocalSession()
  await local.handshake()
  t.match(await local.subscribe('/**', () => t.fail('not published')), { successful: true })
  cometd.policy = { canPublish: session => !session.local, canHandshake: () => false }
  t.match(await local.publish('/a', 1), { successful: false, error: '403:denied_by_security_policy:publish_denied' })
  t.match(await cometd.newLocalSession().handshake(), { successful: false, error: '403::handshake_denied' })
  t.match(await local.subscribe('no channel', () => {}), { successful: false })
})

t.test('nobody else can use it, whatever they know', async t => {
  const { cometd, client } = await start(t, { trustClientSession: true })
  const local = cometd.newLocalSession()
  await local.handshake()
  const thief = client()
  thief.clientId = local.id as string
  t.match(await thief.connect(), [{ error: '402::session_unknown' }])
})

t.test('it calls remote calls', async t => {
  const { cometd, clock } = await start(t)
  cometd.remoteCall('double', async (session, number: number) => number * 2)
  cometd.remoteCall('no', () => { throw new RemoteCallFailure('no') })
  cometd.createServerChannel('/service/veto').addListener('message', () => false)
  const local = cometd.newLocalSession()
  const failure = (data: string) => ({ code: 'COMETD_ERR_REMOTE_CALL_FAILED', data }) as never
  await t.rejects(local.remoteCall('double', 1), failure('402::session_unknown'))
  await local.handshake()
  t.equal(await local.remoteCall('double', 21), 42)
  await t.rejects(local.remoteCall('no'), failure('no'))
  await t.rejects(local.remoteCall('veto'), failure('404::message_deleted'))
  const late = t.rejects(local.remoteCall('nobody', null, 1_000), failure('406::timeout'))
  await turn()
  await clock.tickAsync(1_100)
  await late
  const cut = t.rejects(local.remoteCall('nobody'), failure('402::session_unknown'))
  await turn()
  local.serverSession?.disconnect()
  await cut
})

t.test('it ends by itself, by the server, or with the server', async t => {
  const { cometd } = await start(t)
  const local = cometd.newLocalSession()
  for (const end of [async () => await local.disconnect(), async () => local.serverSession?.disconnect(), async () => await local.handshake(), async () => await cometd.close()]) {
    await local.handshake()
    const { id } = local
    const removed = once(cometd, 'sessionRemoved')
    await end()
    await removed
    t.not(local.id, id)
  }
  t.match(await local.handshake(), { successful: false, error: '503::server_closed' })
  t.equal(local.connected, false)
})

t.test('what is caused in a batch comes when it ends', async t => {
  const { cometd } = await start(t)
  cometd.service('/service/echo', (session, message) => message.data)
  const local = cometd.newLocalSession()
  t.equal(local.batch(() => 1), 1, 'without a session there is nothing to hold back')
  await local.handshake()
  const heard: unknown[] = []
  await local.subscribe('/a', ({ data }) => { heard.push(data) })
  t.equal(local.batch(() => {
    cometd.createServerChannel('/a').publish(null, 1)
    t.strictSame(heard, [])
    return 2
  }), 2)
  await turn()
  t.strictSame(heard, [1])
  cometd.createServerChannel('/a').publish(null, 2)
  await local.batch(async () => {
    await turn()
    t.strictSame(heard, [1], 'also what was on its way')
  })
  await turn()
  t.strictSame(heard, [1, 2])
  local.addListener('/service/*', ({ data }) => { heard.push(data) })
  await local.publish('/service/echo', 3)
  await turn()
  t.strictSame(heard, [1, 2, 3])
})

t.test('extensions see what it sends and what comes', async t => {
  const log = memoryLog()
  const { cometd } = await start(t, {}, { logger: log.logger })
  const local = cometd.newLocalSession()
  const seen: string[] = []
  local.addExtension({
    outgoing: async (session, message) => {
      seen.push(`out ${message.channel as string}`)
      if (message.data === 'delete') return false
      if (message.data === 'fail') throw new Error('no')
      return message.data === 'change' ? { ...message, data: 'changed' } as never : true
    },
    incoming: (session, message) => {
      seen.push(`in ${message.channel as string}`)
      return message['data'] === 'drop' || message.id === 'lost' ? null : undefined
    }
  })
  const counting = { incoming: () => {} }
  local.addExtension(counting)
  t.equal(local.extensions.length, 2)
  t.ok(local.removeExtension(counting))
  local.addExtension({ incoming: (session, message) => message['data'] === 'move' ? { ...message, channel: 'elsewhere' } as never : true })
  await local.handshake({ ext: { token: 1 } })
  const heard: unknown[] = []
  await local.subscribe('/a', ({ data }) => { heard.push(data) })
  t.match(await local.publish('/a', 'delete'), { successful: false, error: '404::message_deleted' })
  for (const data of ['change', 'fail', 'drop']) t.match(await local.publish('/a', data), { successful: true })
  await turn()
  t.strictSame(heard, ['changed', 'fail'])
  local.addListener('elsewhere', ({ data }) => { heard.push(data) })
  await local.publish('/a', 'move')
  await turn()
  t.strictSame(heard, ['changed', 'fail', 'move'])
  t.strictSame(seen.slice(0, 4), ['out /meta/handshake', 'in /meta/handshake', 'out /meta/subscribe', 'in /meta/subscribe'])
  cometd.addExtension({ outgoing: (server, sender, session, message) => !('successful' in message) })
  t.match(await local.publish('/a', 1), { successful: false, error: '404::message_deleted' }, 'so does a reply that is deleted')
})
