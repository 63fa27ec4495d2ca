import t from 'tap'
import { start } from '../helpers/harness.js'

t.test('B9, B10: a single message is taken, the answer is always an array', async t => {
  const { open } = await start(t)
  const one = await open()
  const response = await one.post({ channel: '/a', data: 1, clientId: one.clientId, id: '1' })
  t.strictSame(response.json(), [{ channel: '/a', id: '1', successful: true }])
})

t.test('B82: the answer is JSON in UTF-8', async t => {
  const { open } = await start(t)
  const response = await (await open()).post([{ channel: '/a' }])
  t.equal(response.headers['content-type'], 'application/json; charset=utf-8')
})

t.test('what is not an array of messages is a bad request, in the form of Fastify', async t => {
  const { client } = await start(t)
  const bad = ['', '{', '[', 'null', '7', '"x"', '[7]', '[null]', '[[]]', '[{"channel":7}]', '[{"id":{}}]', '[{"clientId":7}]', '[{"ext":[]}]', '[{"ext":"x"}]',
    '[{"advice":7}]', '[{"connectionType":7}]', '[{"channel":["/x"]}]', '{"channel":7}', '[{"channel":"/a"},{"channel":7}]']
  for (const payload of bad) {
    const response = await client().post(payload, { 'content-type': 'application/json' })
    t.equal(response.statusCode, 400, payload)
    t.match(response.json(), { statusCode: 400, error: 'Bad Request', code: /^FST_ERR_/ })
  }
  t.match((await client().post('[{"channel":7}]', { 'content-type': 'application/json' })).json(), { code: 'FST_ERR_VALIDATION', message: 'body/0/channel Expected string' })
  t.equal((await client().post(undefined, { 'content-type': 'application/json' })).statusCode, 400)
})

t.test('nothing is coerced: a number stays a number, and null counts as absent', async t => {
  const { open } = await start(t)
  const one = await open()
  t.strictSame(await one.raw({ id: 1, channel: '/a', data: '1', clientId: one.clientId, ext: null, advice: null, connectionType: null }), [{ id: 1, channel: '/a', successful: true }])
  t.strictSame(await one.raw({ id: null, channel: '/a', data: 1, clientId: null }), [{ channel: '/a', successful: false, error: '402::session_unknown' }])
})

t.test('B23: an id is any text of up to 255 characters, or a number, and comes back as it was', async t => {
  const { open } = await start(t)
  const one = await open()
  for (const id of ['a b', '<', '', 'é', 'Aw==', '4ff5ab52-9d5d-4b0c-a1c8-5a64c3a4a4a9', '1'.repeat(255), 1.5, -1, 0]) {
    t.strictSame(await one.send({ id, channel: '/a', data: 1 }), [{ id, channel: '/a', successful: true }])
  }
  const long = '1'.repeat(256)
  t.strictSame(await one.send({ id: long, channel: '/a', data: 1 }), [{ id: long, channel: '/a', successful: false, error: '405::message_id_invalid' }])
  const infinite = `[{"id":1e999,"channel":"/a","data":1,"clientId":"${one.clientId}"}]`
  t.equal((await one.post(infinite, { 'content-type': 'application/json' })).statusCode, 400)
})

t.test('an empty array is a no-op, answered by an empty array', async t => {
  const { client } = await start(t)
  const response = await client().post([])
  t.equal(response.statusCode, 200)
  t.strictSame(response.json(), [])
})

t.test('the session is checked first, then the channel, then its name, then the policy, then the data', async t => {
  const { open, cometd } = await start(t)
  cometd.policy = { canPublish: () => false }
  const one = await open()
  const unknown = { successful: false, error: '402::session_unknown' }
  t.strictSame(await one.raw({}), [unknown])
  t.strictSame(await one.raw({ channel: 'bad' }), [{ channel: 'bad', ...unknown }])
  t.strictSame(await one.raw({ clientId: one.clientId }), [{ successful: false, error: '400::channel_missing' }])
  t.strictSame(await one.raw({ clientId: one.clientId, channel: 'bad' }), [{ channel: 'bad', successful: false, error: '405:bad:channel_invalid' }])
  t.match(await one.send({ channel: '/a' }), [{ error: '403:denied_by_security_policy:publish_denied' }])
  cometd.policy = null
  t.match(await one.send({ channel: '/a' }), [{ error: '400::data_missing' }])
})

t.test('B12: a name that is none is refused, whatever it is asked for', async t => {
  const { open } = await start(t)
  const one = await open()
  for (const name of ['', '/', 'a', 'a/b', '/a/', '//', '/a//b', '/a b', '/a\0', '/**/a', '/*a', '/a*', '/a/***', '/é', '/a?b', '/a/*/b', '/"', '/a\n', '__proto__', 'constructor']) {
    const error = `405:${name}:channel_invalid`
    t.match(await one.publish(name, 1), { successful: false, error })
    t.match(await one.subscribe(name), { successful: false, error })
  }
  for (const name of ['/a', '/A-Z_!~()$@.+#{}', '/__proto__', '/constructor/prototype', '/a/b/c', '/toString']) {
    t.match(await one.publish(name, 1), { successful: true })
    t.match(await one.subscribe(name), { successful: true })
  }
})

t.test('a bad message is refused by itself; the others of its request go on', async t => {
  const { open } = await start(t)
  const one = await open()
  const replies = await one.send({ channel: '/a', data: 1 }, { channel: 'bad', data: 1 }, { channel: '/b' }, { channel: '/meta/subscribe', subscription: '/c' }, { channel: '/c', data: 2 })
  t.strictSame(replies.map(({ successful, data }) => successful ?? data), [2, true, false, false, true, true])
})

t.test('each message of a request is checked against its own session and cookie', async t => {
  const { client, open, cometd } = await start(t)
  const mine = await open()
  const tab = client()
  tab.cookie = mine.cookie
  await tab.open()
  const foreign = await open()
  const heard: string[] = []
  cometd.createServerChannel('/a').addListener('message', session => { heard.push(session?.id as string) })
  const replies = await mine.raw(...[mine, tab, foreign].map(({ clientId }) => ({ channel: '/a', data: 1, clientId })))
  t.strictSame(replies.map(({ successful }) => successful), [true, true, false])
  t.strictSame(heard, [mine.clientId, tab.clientId])
  t.equal(replies[2]?.error, '402::session_unknown')
})

t.test('an answer carries the events of its first session; those of another wait for their own connect', async t => {
  const { client, open } = await start(t)
  const mine = await open()
  const tab = client()
  tab.cookie = mine.cookie
  await tab.open()
  await mine.subscribe('/a')
  await tab.subscribe('/a')
  const replies = await mine.raw(...[mine, tab].map(({ clientId }) => ({ channel: '/a', data: 1, clientId })))
  t.equal(replies.length, 4)
  t.equal((await tab.connect()).length, 3)
})

t.test('a policy that sees an array sees it whatever form it came in', async t => {
  const { open, cometd } = await start(t)
  const seen: unknown[] = []
  cometd.addExtension({ incoming: (server, session, message) => { if (message.subscription) seen.push(message.subscription) } })
  const one = await open()
  await one.subscribe('/secret')
  await one.subscribe(['/secret'])
  t.strictSame(seen, [['/secret'], ['/secret']])
})
