import t from 'tap'
import { type ServerChannel } from '../../plugin/index.js'
import { start, turn } from '../helpers/harness.js'
import { SocketClient } from '../helpers/socket.js'

t.test('a persistent channel is not swept, and one that is so no longer is', async t => {
  const { cometd, clock } = await start(t)
  const channel = cometd.createServerChannel('/news')
  t.equal(channel.persistent, false)
  channel.persistent = true
  t.equal(channel.persistent, true)
  await clock.tickAsync(10_000)
  t.equal(cometd.getServerChannel('/news'), channel)
  channel.persistent = false
  await clock.tickAsync(950)
  t.ok(cometd.getServerChannel('/news'), 'it has not been unused for a whole sweepPeriod')
  await clock.tickAsync(100)
  t.equal(cometd.getServerChannel('/news'), undefined)
})

t.test('what the application sets keeps its channel, but not one that a client made', async t => {
  const { cometd, clock, open } = await start(t)
  cometd.addListener('channelCreating', channel => { if (channel.name.startsWith('/rooms/')) channel.lazy = true })
  cometd.createServerChannel('/lazy/**').lazy = true
  cometd.createServerChannel('/quiet').broadcastToPublisher = false
  cometd.createServerChannel('/plain').attributes.set('a', 1)
  const client = await open()
  await client.publish('/rooms/1', 1)
  t.equal(cometd.getServerChannel('/rooms/1')?.lazy, true)
  await clock.tickAsync(5_000)
  t.strictSame(['/lazy/**', '/quiet', '/plain', '/rooms/1'].map(name => cometd.getServerChannel(name) !== undefined), [true, true, false, false])
})

t.test('a channel that a client made becomes the application\'s by createServerChannel', async t => {
  const { cometd, clock, open } = await start(t, { maxChannels: 1 })
  const client = await open()
  await client.subscribe('/mine')
  t.match(await client.subscribe('/other'), { successful: false, error: '403:max_channels:create_denied' })
  cometd.createServerChannel('/mine').lazy = true
  t.match(await client.subscribe('/other'), { successful: true })
  await client.send({ channel: '/meta/unsubscribe', subscription: '/mine' })
  await clock.tickAsync(5_000)
  t.ok(cometd.getServerChannel('/mine'))
})

t.test('initializers run once, before anybody sees the channel', async t => {
  const { cometd, open } = await start(t)
  const calls: string[] = []
  const client = await open()
  cometd.addListener('channelCreating', channel => {
    calls.push(`listener ${channel.name}`)
    t.equal(cometd.getServerChannel(channel.name), undefined)
    t.equal(cometd.createServerChannel(channel.name), channel, 'for the initializer it is there')
  })
  cometd.addListener('channelAdded', channel => { calls.push(`added ${channel.name}`) })
  const initialise = (channel: ServerChannel): void => {
    calls.push(`initializer ${channel.name}`)
    channel.persistent = true
    channel.addListener('message', () => { calls.push('message') })
  }
  const channel = cometd.createServerChannel('/a', initialise)
  t.equal(cometd.createServerChannel('/a', initialise), channel)
  await client.publish('/a', 1)
  await client.publish('/b', 1)
  t.strictSame(calls, ['initializer /a', 'listener /a', 'added /a', 'message', 'listener /b', 'added /b'])
})

t.test('a channel whose initializer throws is not made', async t => {
  const { cometd, clock } = await start(t)
  let fail = true
  const create = (): ServerChannel<'/a'> => cometd.createServerChannel('/a', channel => {
    channel.lazy = true
    channel.lazy = false
    if (fail) throw new Error('no')
  })
  t.throws(create, { message: 'no' })
  t.equal(cometd.getServerChannel('/a'), undefined)
  await clock.tickAsync(5_000)
  fail = false
  t.equal(create(), cometd.getServerChannel('/a'))
})

t.test('attributes last as long as the channel', async t => {
  const { cometd, clock } = await start(t)
  const channel = cometd.createServerChannel('/a')
  channel.attributes.set('topic', 'tea')
  t.equal(cometd.getServerChannel('/a')?.attributes.get('topic'), 'tea')
  await clock.tickAsync(5_000)
  t.equal(cometd.createServerChannel('/a').attributes.size, 0)
})

t.test('broadcastToPublisher', async t => {
  await t.test('of the server is that of new sessions', async t => {
    const { open } = await start(t, { broadcastToPublisher: false })
    const [ada, grace] = [await open(), await open()]
    for (const client of [ada, grace]) await client.subscribe('/a')
    t.equal((await ada.send({ channel: '/a', data: 1 })).length, 1, 'the reply only')
    t.match(await grace.connect(), [{ channel: '/a', data: 1 }, {}])
    ada.session.broadcastToPublisher = true
    t.match(await ada.send({ channel: '/a', data: 2 }), [{ channel: '/a', data: 2 }, { successful: true }])
  })

  for (const name of ['/a/b', '/a/*', '/**', '/a/{x}'] as const) {
    await t.test(`of the channel ${name} counts as well`, async t => {
      const { cometd, open } = await start(t)
      cometd.createServerChannel(name).broadcastToPublisher = false
      t.equal(cometd.createServerChannel(name).broadcastToPublisher, false)
      const client = await open()
      await client.subscribe('/a/b')
      t.equal((await client.send({ channel: '/a/b', data: 1 })).length, 1)
      cometd.createServerChannel(name).broadcastToPublisher = true
      t.equal((await client.send({ channel: '/a/b', data: 1 })).length, 2)
      cometd.createServerChannel('/a/b').publish(client.session, 3)
      t.equal(client.session.broadcastToPublisher, true)
    })
  }
})

t.test('lazy messages', async t => {
  for (const name of ['/a/b', '/a/*', '/a/**', '/a/{x}'] as const) {
    await t.test(`of ${name} wait until their time is over`, async t => {
      const { cometd, clock, open } = await start(t, { maxLazyTimeout: 3_000 })
      cometd.createServerChannel(name).lazy = true
      const client = await open()
      await client.subscribe('/a/b')
      const { answer } = await client.hold()
      const channel = cometd.createServerChannel('/a/b')
      let answered = false
      answer.then(() => { answered = true })
      channel.publish(null, 1)
      await clock.tickAsync(1_000)
      channel.publish(null, 2)
      await clock.tickAsync(1_900)
      await turn()
      t.equal(answered, false)
      await clock.tickAsync(200)
      t.match(await answer, [{ data: 1 }, { data: 2 }, { channel: '/meta/connect' }])
    })
  }

  await t.test('leave with one that is not', async t => {
    const { cometd, open, clock } = await start(t)
    cometd.createServerChannel('/lazy').lazy = true
    const client = await open()
    await client.subscribe(['/lazy', '/eager'])
    const { answer } = await client.hold()
    cometd.createServerChannel('/lazy').publish(null, 1)
    cometd.createServerChannel('/eager').publish(null, 2)
    t.match(await answer, [{ data: 1 }, { data: 2 }, { channel: '/meta/connect' }])
    await client.hold()
    await clock.tickAsync(6_000)
    t.equal(client.session.subscriptions.length, 2, 'and nobody is woken later')
  })

  await t.test('leave with the answer to a connect whose time is over', async t => {
    const { cometd, open, clock } = await start(t, { timeout: 2_000 })
    cometd.createServerChannel('/lazy').lazy = true
    const client = await open()
    await client.subscribe('/lazy')
    const { answer } = await client.hold()
    cometd.createServerChannel('/lazy').publish(null, 1)
    await clock.tickAsync(2_100)
    t.match(await answer, [{ data: 1 }, { channel: '/meta/connect' }])
  })

  await t.test('do not keep a connect from being held, unless they have waited long enough', async t => {
    const { cometd, open, clock } = await start(t)
    const channel = cometd.createServerChannel('/lazy')
    t.equal(channel.lazyTimeout, undefined)
    channel.lazyTimeout = 1_000
    t.strictSame([channel.lazyTimeout, channel.lazy], [1_000, true])
    const client = await open()
    await client.subscribe('/lazy')
    channel.publish(null, 1)
    const { answer } = await client.hold()
    await clock.tickAsync(1_100)
    t.match(await answer, [{ data: 1 }, {}])
    channel.publish(null, 2)
    await clock.tickAsync(1_100)
    t.match(await client.connect(), [{ data: 2 }, {}])
  })

  await t.test('wait no longer than the shortest of their channels\' times', async t => {
    const { cometd, open, clock } = await start(t)
    cometd.createServerChannel('/a/*').lazyTimeout = 1_000
    cometd.createServerChannel('/a/b').lazyTimeout = 3_000
    cometd.createServerChannel('/c').lazyTimeout = 500
    const client = await open()
    await client.subscribe(['/a/b', '/c'])
    const { answer } = await client.hold()
    cometd.createServerChannel('/a/b').publish(null, 1)
    cometd.createServerChannel('/c').publish(null, 2)
    await clock.tickAsync(600)
    t.match(await answer, [{ data: 1 }, { data: 2 }, {}])
  })

  await t.test('can be made so one by one, by a listener', async t => {
    const { cometd, open, clock } = await start(t)
    cometd.createServerChannel('/a').addListener('message', (session, channel, message) => {
      t.equal(message.lazy, false, 'whatever the client says')
      message.lazy = message.data === 'lazy'
    })
    cometd.addExtension({ outgoing: () => {} })
    const client = await open()
    const other = await open()
    await client.subscribe('/a')
    const { answer } = await client.hold()
    await other.publish('/a', 'lazy', { lazy: true })
    await clock.tickAsync(4_000)
    await other.publish('/a', 'eager')
    t.match(await answer, [{ data: 'lazy' }, { data: 'eager' }, {}])
  })

  await t.test('leave together over WebSocket, and are forgotten with their session', async t => {
    const { app, cometd, clock } = await start(t)
    const channel = cometd.createServerChannel('/lazy')
    channel.lazyTimeout = 1_000
    const client = await SocketClient.join(app)
    await client.subscribe('/lazy')
    client.session.addExtension({ outgoing: () => {} })
    channel.publish(null, 1)
    channel.publish(null, 2)
    await client.caughtUp()
    t.strictSame(client.events('/lazy'), [])
    await clock.tickAsync(1_100)
    await client.until(() => client.events('/lazy').length === 2)
    t.equal(client.frames.filter(frame => frame[0]?.['channel'] === '/lazy').length, 1, 'in one frame')
    channel.publish(null, 3)
    client.session.disconnect()
    await client.closed
    await clock.tickAsync(2_000)
    t.strictSame(client.events('/lazy'), [1, 2, 3], 'what waited leaves before the socket is closed')
  })

  await t.test('do not wait if the time is no time', async t => {
    const { cometd } = await start(t)
    const channel = cometd.createServerChannel('/a')
    for (const bad of [-1, 1.5, NaN, '5']) t.throws(() => { channel.lazyTimeout = bad as number }, { code: 'COMETD_ERR_OPTION_INVALID' })
  })
})

t.test('a template binds the segments of a name to its parameters', async t => {
  await t.test('for its own listeners', async t => {
    const { cometd, open } = await start(t)
    const heard: unknown[] = []
    cometd.createServerChannel('/rooms/{id}').addListener('message', (session, channel, message) => { heard.push([channel.name, message.channel, message.parameters.id]) })
    cometd.createServerChannel('/rooms/{room}/users/{user}').addListener('message', (session, channel, { parameters }) => { heard.push(parameters) })
    cometd.createServerChannel('/rooms/*').addListener('message', (session, channel, { parameters }) => { heard.push(parameters) })
    const client = await open()
    t.match(await client.publish('/rooms/5', 1, { parameters: { id: 'forged' } }), { successful: true })
    await client.publish('/rooms/5/users/ada', 1)
    await client.publish('/rooms/5/users', 1)
    t.strictSame(heard, [{}, ['/rooms/{id}', '/rooms/5', '5'], { room: '5', user: 'ada' }])
  })

  await t.test('also for services', async t => {
    const { cometd, open } = await start(t)
    cometd.createServerChannel('/service/{what}/get').addListener('message', (session, channel, message) => { session.deliver(null, message.channel, message.parameters.what) })
    const client = await open()
    t.match(await client.send({ channel: '/service/time/get', data: {} }), [{ channel: '/service/time/get', data: 'time' }, { successful: true }])
  })

  await t.test('has no subscribers but those of its own name', async t => {
    const { cometd, open } = await start(t)
    const client = await open()
    await client.subscribe('/rooms/{id}')
    const channel = cometd.createServerChannel('/rooms/{id}')
    const ids: string[] = []
    channel.addListener('message', (session, channel, { parameters }) => { ids.push(parameters.id) })
    channel.publish(null, 'for all of this name')
    t.match(await client.connect(), [{ data: 'for all of this name' }, {}])
    cometd.createServerChannel('/rooms/5').publish(null, 'not for it')
    await client.hold()
    t.strictSame(ids, ['{id}', '5'])
    t.equal(channel.subscribers.length, 1)
  })

  await t.test('is swept when nobody listens, and comes back when it is used', async t => {
    const { cometd, open, clock } = await start(t)
    const channel = cometd.createServerChannel('/rooms/{id}')
    await clock.tickAsync(5_000)
    t.equal(cometd.getServerChannel('/rooms/{id}'), undefined)
    const heard: string[] = []
    channel.addListener('message', (session, channel, { parameters }) => { heard.push(parameters.id) })
    await (await open()).publish('/rooms/1', 1)
    t.strictSame(heard, ['1'])
  })

  await t.test('is no wildcard, and has each parameter once', async t => {
    const { cometd } = await start(t)
    for (const name of ['/a/{b}/*', '/a/{b}/**', '/a/{b}/{b}']) t.throws(() => cometd.createServerChannel(name), { code: 'COMETD_ERR_CHANNEL_INVALID' }, name)
    t.ok(cometd.createServerChannel('/a/x{b}y/*'))
  })
})
