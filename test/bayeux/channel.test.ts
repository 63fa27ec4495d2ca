import t from 'tap'
import { once, start } from '../helpers/harness.js'

t.test('a channel knows what it is', async t => {
  const { cometd } = await start(t)
  const describe = (name: string): unknown => {
    const { meta, service, broadcast, wildNames } = cometd.createServerChannel(name)
    return { meta, service, broadcast, wildNames }
  }
  t.strictSame(describe('/a/b/c'), { meta: false, service: false, broadcast: true, wildNames: ['/a/b/*', '/a/b/**', '/a/**', '/**'] })
  t.strictSame(describe('/a'), { meta: false, service: false, broadcast: true, wildNames: ['/*', '/**'] })
  t.strictSame(describe('/service/x'), { meta: false, service: true, broadcast: false, wildNames: ['/service/*', '/service/**', '/**'] })
  t.strictSame(describe('/meta/connect'), { meta: true, service: false, broadcast: false, wildNames: ['/meta/*', '/meta/**', '/**'] })
  t.strictSame(describe('/a/*'), { meta: false, service: false, broadcast: true, wildNames: [] })
})

t.test('createServerChannel gives the channel that is there, and refuses what is no name', async t => {
  const { cometd } = await start(t)
  const added = once(cometd, 'channelAdded')
  const channel = cometd.createServerChannel('/a')
  t.strictSame(await added, [channel])
  t.equal(cometd.createServerChannel('/a'), channel)
  t.equal(cometd.getServerChannel('/a'), channel)
  t.equal(cometd.getServerChannel('/b'), undefined)
  for (const name of ['a', '', '/', '/a/', '/a/**/b', '__proto__', undefined, null, 7, {}]) {
    t.throws(() => cometd.createServerChannel(name as string), { code: 'COMETD_ERR_CHANNEL_INVALID' })
  }
  for (const name of ['handshake', 'connect', 'subscribe', 'unsubscribe', 'disconnect']) t.ok(cometd.getServerChannel(`/meta/${name}`))
})

t.test('publish reaches the subscribers, and tells whether it did', async t => {
  const { open, cometd } = await start(t)
  const [one, two] = [await open(), await open()]
  await two.subscribe('/a')
  const channel = cometd.createServerChannel('/a')
  t.equal(channel.publish(one.session, 1), true)
  let answer: unknown
  t.equal(channel.publish(null, 2, (err, result) => { answer = [err, result] }), true)
  t.strictSame(answer, [undefined, true])
  channel.addListener('message', async () => true)
  const eventually = channel.publish(null, 3, (err, result) => { answer = [err, result, 'later'] })
  t.type(eventually, Promise)
  t.equal(await eventually, true)
  t.strictSame(answer, [undefined, true, 'later'])
  await channel.publish(null, undefined)
  t.strictSame((await two.connect()).map(({ data }) => data), [1, 2, 3, null, undefined])
})

t.test('publish tells its caller of channels and data that cannot be', async t => {
  const { cometd } = await start(t)
  const code = 'COMETD_ERR_CHANNEL_UNFIT'
  for (const name of ['/service/a', '/meta/connect', '/a/*', '/a/**']) {
    const channel = cometd.createServerChannel(name)
    t.throws(() => channel.publish(null, 1), { code })
    let given: { code?: string } = {}
    t.equal(channel.publish(null, 1, err => { given = err as { code: string } }), false)
    t.equal(given.code, code)
  }
  t.throws(() => cometd.createServerChannel('/a').publish(null, 1n), { code: 'COMETD_ERR_DATA_INVALID' })
})

t.test('what the publisher changes afterwards is not sent', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  await one.subscribe('/a')
  const data = { text: 'as published' }
  cometd.createServerChannel('/a').publish(null, data)
  data.text = 'changed'
  t.equal((await one.connect())[0]?.data.text, 'as published')
  t.notOk(Object.isFrozen(data))
})

t.test('a channel without subscribers and listeners is swept; a reference to it works on', async t => {
  const { open, cometd, clock } = await start(t, { sweepPeriod: 100 })
  const kept = cometd.createServerChannel('/kept')
  const listened = cometd.createServerChannel('/listened')
  const listener = (): void => {}
  listened.addListener('message', listener)
  clock.tick(1_000)
  t.notOk(cometd.getServerChannel('/kept'))
  t.strictSame(kept.subscribers, [])
  t.ok(cometd.getServerChannel('/listened'))
  t.ok(cometd.getServerChannel('/meta/connect'))

  const one = await open()
  await one.subscribe('/kept')
  t.equal(kept.publish(null, 1), true)
  t.equal((await one.connect())[0]?.data, 1)
  t.strictSame(kept.subscribers.map(({ id }) => id), [one.clientId])
  let heard = 0
  const count = (): void => { heard++ }
  kept.addListener('message', count)
  t.strictSame(cometd.getServerChannel('/kept')?.listeners('message'), [count])
  t.strictSame(kept.listeners('message'), [count])
  await one.publish('/kept', 2)
  t.equal(heard, 1)
  t.equal(kept.removeListener('message', count), true)

  listened.removeListener('message', listener)
  clock.tick(1_000)
  t.notOk(cometd.getServerChannel('/listened'))
  listened.addListener('message', count)
  t.equal(cometd.getServerChannel('/listened'), listened, 'it comes back to life')
})

t.test('a channel that is published to again and again is not swept', async t => {
  const { open, cometd, clock } = await start(t, { sweepPeriod: 100 })
  const one = await open()
  for (let i = 0; i < 20; i++) {
    await one.publish('/a', i)
    clock.tick(90)
  }
  t.ok(cometd.getServerChannel('/a'))
})

t.test('a channel tells who subscribes and unsubscribes', async t => {
  const { open, cometd } = await start(t)
  const channel = cometd.createServerChannel('/a')
  const events: string[] = []
  channel.addListener('subscribed', (channel, session, message) => { events.push(`subscribed ${session.id === message.clientId}`) })
  channel.addListener('unsubscribed', (channel, session, message) => { events.push(`unsubscribed ${message?.channel}`) })
  const one = await open()
  await one.subscribe('/a')
  t.strictSame(channel.subscribers, [one.session])
  await one.send({ channel: '/meta/unsubscribe', subscription: '/a' })
  t.strictSame(events, ['subscribed true', 'unsubscribed /meta/unsubscribe'])
})
