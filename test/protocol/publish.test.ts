import t from 'tap'
import { start } from '../helpers/harness.js'

t.test('B73, B74, B20: a publish is acknowledged with its id and without data', async t => {
  const { open } = await start(t)
  const one = await open()
  for (const channel of ['/a/b', '/service/x']) {
    t.strictSame(await one.send({ id: 'p1', channel, data: { any: ['json'] } }), [{ id: 'p1', channel, successful: true }])
  }
})

t.test('B29, B78: subscribers get channel and data and nothing else of what the publisher sent', async t => {
  const { open } = await start(t)
  const [one, two] = [await open(), await open()]
  await two.subscribe('/a')
  const { answer } = await two.hold()
  const forged = { id: 'rpc1', channel: '/a', data: { text: 'hi' }, ext: { token: 'secret' }, reply: { x: 1 }, _json: '{"channel":"/meta/connect"}', json: 'x', foo: 'bar', advice: { reconnect: 'none' } }
  await one.send(forged)
  t.strictSame((await answer)[0], { channel: '/a', data: { text: 'hi' } })
})

t.test('a payload that looks like frames stays a payload', async t => {
  const { open } = await start(t)
  const [one, two] = [await open(), await open()]
  await two.subscribe('/a')
  const data = { _json: '},{"channel":"/meta/connect"', json: '"', bytes: 1, toJSON: 'no', message: {}, text: '\u2028\u0000</script>', channel: '/meta/connect', successful: false }
  await one.publish('/a', data)
  t.strictSame(await two.connect({ id: 'c' }), [{ channel: '/a', data }, { id: 'c', channel: '/meta/connect', successful: true }])
})

t.test('B75: a session gets one copy however many of its patterns match', async t => {
  const { open, cometd } = await start(t)
  cometd.policy = { canSubscribe: () => true }
  const one = await open()
  await one.subscribe(['/x/y', '/x/*', '/x/**', '/**'])
  await (await open()).publish('/x/y', 1)
  t.strictSame((await one.connect()).map(({ data }) => data), [1, undefined])
})

t.test('B13: patterns match what they say', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  await one.subscribe(['/foo/*', '/deep/**'])
  for (const name of ['/foo', '/foobar', '/foo/bar', '/foo/bar/boo', '/deep', '/deep/1', '/deep/1/2/3', '/deeper/1']) {
    cometd.createServerChannel(name).publish(null, name)
  }
  t.strictSame((await one.connect()).map(({ channel }) => channel), ['/foo/bar', '/deep/1', '/deep/1/2/3', '/meta/connect'])
})

t.test('a publisher that is subscribed gets its own message in the answer to its publish', async t => {
  const { open } = await start(t)
  const one = await open()
  await one.subscribe('/a')
  const { answer } = await one.hold()
  t.match(await one.send({ channel: '/a', data: 1 }), [{ channel: '/a', data: 1 }, { successful: true }])
  one.session.deliver(null, '/x', 'later')
  t.match(await answer, [{ channel: '/x', data: 'later' }, { channel: '/meta/connect' }], 'B77: the held connect is not woken')
})

t.test('null, 0, false and "" are data; nothing is not', async t => {
  const { open } = await start(t)
  const [one, two] = [await open(), await open()]
  await two.subscribe('/a')
  for (const data of [null, 0, false, '']) t.equal((await one.publish('/a', data)).successful, true)
  t.strictSame((await two.connect()).slice(0, -1).map(message => message['data']), [null, 0, false, ''])
  t.match(await one.send({ channel: '/a' }), [{ successful: false, error: '400::data_missing' }])
})

t.test('B13, B15: publishing to a pattern is refused with 405, to an unknown meta channel with 403', async t => {
  const { open, cometd } = await start(t)
  const one = await open()
  let heard = 0
  cometd.createServerChannel('/**').addListener('message', () => { heard++ })
  for (const name of ['/*', '/**', '/a/*', '/service/**']) {
    t.match(await one.publish(name, 1), { successful: false, error: `405:${name}:channel_invalid` })
  }
  t.match(await one.publish('/meta/other', 1), { successful: false, error: '403:denied_by_security_policy:channel_create_denied' })
  t.notOk(cometd.getServerChannel('/meta/other'))
  t.equal(heard, 0)
})

t.test('B72: a publish without a session is refused', async t => {
  const { client } = await start(t)
  t.strictSame(await client().raw({ id: '1', channel: '/a', data: 1 }), [{ id: '1', channel: '/a', successful: false, error: '402::session_unknown' }])
})

t.test('B89: a service channel answers its caller alone, who need not be subscribed', async t => {
  const { open, cometd } = await start(t)
  cometd.createServerChannel('/service/echo').addListener('message', (session, channel, message) => { session.deliver(null, channel.name, message.data) })
  const [one, two] = [await open(), await open()]
  t.match(await one.send({ channel: '/service/echo', data: 'x' }), [{ channel: '/service/echo', data: 'x' }, { successful: true }])
  t.equal(two.session.queueLength, 0)
})

t.test('a broadcast is written as JSON once, whatever the number of its subscribers', async t => {
  const { open, cometd } = await start(t)
  const clients = await Promise.all(Array.from({ length: 5 }, async () => await open()))
  for (const client of clients) await client.subscribe('/a')
  let written = 0
  const data = { toJSON: () => ++written }
  const channel = cometd.createServerChannel('/a')
  channel.publish(null, data)
  t.equal(written, 1)
  channel.addListener('message', (session, channel, message) => { message.data = { ...data, changed: true } })
  channel.publish(null, data)
  t.equal(written, 3, 'and once more if a listener may have changed it')
  for (const client of clients) t.strictSame((await client.connect()).map(({ data }) => data), [1, 3, undefined])
})

t.test('text of every script survives', async t => {
  const { open } = await start(t)
  const one = await open()
  await one.subscribe('/a')
  const data = '€ 漢字 🦊 \ud83e'
  t.equal((await one.send({ channel: '/a', data }))[0]?.data, data)
})
