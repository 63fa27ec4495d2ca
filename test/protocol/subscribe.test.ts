import t from 'tap'
import { start } from '../helpers/harness.js'

t.test('B65, B40: a subscription is confirmed and echoed as it was sent', async t => {
  const { open } = await start(t)
  const one = await open()
  t.strictSame(await one.send({ id: '7', channel: '/meta/subscribe', subscription: '/a' }), [{ id: '7', channel: '/meta/subscribe', subscription: '/a', successful: true }])
  t.strictSame((await one.subscribe(['/b', '/c/*', '/b'])).subscription, ['/b', '/c/*', '/b'])
  t.strictSame(one.session.subscriptions.map(({ name }) => name), ['/a', '/b', '/c/*'])
})

t.test('B67: an array of subscriptions is taken whole or not at all', async t => {
  const { open, cometd } = await start(t)
  cometd.policy = { canSubscribe: async (session, message, channel) => channel.name !== '/secret', canCreate: (session, message, name) => name !== '/new' }
  const one = await open()
  const refused = [
    ['/secret', '403:denied_by_security_policy:subscribe_denied'],
    ['/new', '403:denied_by_security_policy:create_denied'],
    ['/meta/connect', '403:denied_by_security_policy:subscribe_denied'],
    ['bad', '405:bad:channel_invalid']
  ] as const
  for (const [name, error] of refused) {
    t.match(await one.subscribe(['/a', name, '/b']), { successful: false, error, subscription: ['/a', name, '/b'] })
  }
  t.strictSame(one.session.subscriptions, [])
  for (const name of ['/a', '/b', '/secret', '/new']) t.notOk(cometd.getServerChannel(name), `${name} was not made`)
})

t.test('B66: the event of a channel that was just subscribed to rides in the same answer', async t => {
  const { open, cometd } = await start(t)
  cometd.createServerChannel('/a').addListener('subscribed', channel => { channel.publish(null, 'welcome') })
  const one = await open()
  t.match(await one.send({ channel: '/meta/subscribe', subscription: '/a' }), [{ channel: '/a', data: 'welcome' }, { channel: '/meta/subscribe', successful: true }])
})

t.test('B70: a subscription that is missing is refused; one of the wrong type is a bad request', async t => {
  const { open } = await start(t)
  const one = await open()
  for (const channel of ['/meta/subscribe', '/meta/unsubscribe']) {
    for (const subscription of [undefined, null, []]) {
      t.match(await one.send({ channel, subscription }), [{ successful: false, error: '403::subscription_missing' }])
    }
    for (const subscription of [7, {}, [7], [['/a']], true]) {
      t.equal((await one.post([{ channel, subscription, clientId: one.clientId }])).statusCode, 400)
    }
    t.match(await one.send({ channel, subscription: '' }), [{ successful: false, error: '405::channel_invalid' }])
  }
})

t.test('B18, B19: subscribing to a service channel succeeds and is not recorded', async t => {
  const { open, cometd } = await start(t)
  const [one, two] = [await open(), await open()]
  t.match(await one.subscribe('/service/chat'), { successful: true })
  t.match(await one.send({ channel: '/meta/unsubscribe', subscription: '/service/chat' }), [{ successful: true }])
  t.strictSame(one.session.subscriptions, [])
  t.match(await two.publish('/service/chat', 1), { successful: true })
  t.equal(one.session.queueLength, 0)
  t.strictSame(cometd.getServerChannel('/service/chat')?.subscribers, [])
})

t.test('B16: clients may not subscribe to meta channels, wildcards among them', async t => {
  const { open } = await start(t)
  const one = await open()
  for (const name of ['/meta/handshake', '/meta/*', '/meta/**', '/meta/other']) {
    t.match(await one.subscribe(name), { successful: false, error: '403:denied_by_security_policy:subscribe_denied' })
  }
})

t.test('B68, B69: unsubscribing succeeds for any channel name, and ends the subscription', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  await one.subscribe(['/a', '/b'])
  t.match(await one.send({ channel: '/meta/unsubscribe', subscription: '/a' }), [{ successful: true, subscription: '/a' }])
  t.match(await one.send({ channel: '/meta/unsubscribe', subscription: ['/b', '/unknown'] }), [{ successful: true }])
  t.match(await one.send({ channel: '/meta/unsubscribe', subscription: '/b' }), [{ successful: true }])
  t.match(await one.send({ channel: '/meta/unsubscribe', subscription: ['/a', 'x'] }), [{ successful: false, error: '405:x:channel_invalid' }])
  await one.publish('/a', 1)
  t.equal(one.session.queueLength, 0)
  t.strictSame(cometd.getServerChannel('/a')?.subscribers, [])
})

t.test('a subscription is made once however often it is asked for', async t => {
  const { open, cometd } = await start(t)
  let subscribed = 0
  cometd.addListener('subscribed', () => { subscribed++ })
  const one = await open()
  await one.subscribe('/a')
  await one.subscribe(['/a', '/a'])
  t.equal(subscribed, 1)
  t.strictSame((await one.send({ channel: '/a', data: 1 })).map(({ data }) => data), [1, undefined])
})

t.test('a session that ends while its subscription waits for a policy is not subscribed', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  const { session } = one
  cometd.policy = { canSubscribe: async () => { session.disconnect() } }
  t.match((await one.send({ channel: '/meta/subscribe', subscription: '/a' })).at(-1), { successful: false, error: '402::session_unknown' })
  t.notOk(cometd.getServerChannel('/a'))
})
