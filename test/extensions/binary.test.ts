import { randomBytes, randomInt } from 'node:crypto'
import t from 'tap'
import type { BinaryData } from '../../plugin/index.js'
import { decode, encode } from '../../plugin/extensions/z85.js'
import { start } from '../helpers/harness.js'
import { SocketClient } from '../helpers/socket.js'

// Not in the client's types.
const { Z85 } = await import('cometd/Z85.js' as string) as { Z85: { encode: (bytes: Uint8Array) => string, decode: (text: string) => ArrayBuffer } }

t.test('Z85 is that of RFC 32, and that of the client for any length', t => {
  t.equal(encode(Buffer.from('864FD26FB559F75B', 'hex')), 'HelloWorld')
  t.strictSame(decode('HelloWorld'), Buffer.from('864FD26FB559F75B', 'hex'))
  for (let i = 0; i < 2_000; i++) {
    const bytes = i < 40 ? Buffer.alloc(i, 255) : randomBytes(randomInt(0, 60))
    const text = encode(bytes)
    const theirs = Z85.encode(new Uint8Array(bytes))
    if (text !== theirs || !decode(text)?.equals(bytes) || !Buffer.from(Z85.decode(text)).equals(bytes)) t.fail(bytes.toString('hex'))
  }
  for (const length of [65_536, 100_001, 1_000_003]) {
    const bytes = randomBytes(length + 3).subarray(3)
    t.ok(decode(encode(bytes))?.equals(bytes), 'a part of a greater buffer')
  }
  t.end()
})

t.test('what is no Z85 is not read', t => {
  for (const text of ['x', 'HelloW', 'Hell"', 'Hellö', 'Hell\u0141', '#####', '%nSc1', '##']) t.equal(decode(text), undefined, text)
  t.end()
})

t.test('listeners get a Buffer, and subscribers what came', async t => {
  const { cometd, open } = await start(t, { extensions: { binary: true } })
  const heard: Array<[unknown, unknown]> = []
  cometd.createServerChannel('/a').addListener('message', (session, channel, { data, ext }) => { heard.push([data, ext]) })
  const client = await open()
  await client.subscribe('/a')
  const data = { data: 'HelloWorld', last: false, meta: { name: 'x' } }
  t.match(await client.send({ channel: '/a', data, ext: { binary: {}, other: 1 } }), [{ channel: '/a', data, ext: { binary: {} } }, { successful: true }])
  t.match(await client.send({ channel: '/a', data: { data: '' }, ext: { binary: {} } }), [{ data: { data: '', last: true }, ext: { binary: {} } }, { successful: true }])
  const [[first, ext], [second, none]] = heard as [[BinaryData, unknown], [BinaryData, unknown]]
  t.ok(Buffer.isBuffer(first))
  t.equal(first.toString('hex'), '864fd26fb559f75b')
  t.strictSame([first.last, first.meta, ext], [false, { name: 'x' }, { other: 1 }])
  t.strictSame([second.length, second.last, second.meta, none], [0, true, undefined, undefined])
})

t.test('bytes that are none are refused', async t => {
  const { open } = await start(t, { extensions: { binary: true } })
  const client = await open()
  for (const data of ['text', null, 1, [], {}, { data: 1 }, { data: 'x' }, { data: '', last: 'yes' }, { data: '', last: null }]) {
    t.match(await client.publish('/a', data, { ext: { binary: {} } }), { successful: false, error: '400:binary:message_invalid' })
  }
  for (const ext of [undefined, { other: 1 }, { binary: null }, { binary: false }]) t.match(await client.publish('/a', 'text', { ext }), { successful: true })
  t.match(await client.send({ channel: '/meta/subscribe', subscription: '/a', data: 'text', ext: { binary: {} } }), [{ successful: true }], 'meta messages have none')
})

t.test('Buffers can be published and delivered', async t => {
  const { cometd, open } = await start(t, { extensions: { binary: true } })
  const client = await open()
  await client.subscribe('/a')
  const bytes = Buffer.from('864FD26FB559F75B', 'hex')
  t.equal(cometd.createServerChannel('/a').publish(null, bytes), true)
  t.equal(client.session.deliver(null, '/b', new Uint8Array(bytes)), true)
  client.session.deliver(null, '/c', Object.assign(Buffer.from(bytes), { last: false, meta: [1] }))
  t.match(await client.connect(), [
    { channel: '/a', data: { data: 'HelloWorld', last: true }, ext: { binary: {} } },
    { channel: '/b', data: { data: 'HelloWorld', last: true }, ext: { binary: {} } },
    { channel: '/c', data: { data: 'HelloWorld', last: false, meta: [1] }, ext: { binary: {} } },
    { channel: '/meta/connect' }
  ])
})

t.test('a remote call takes and gives bytes', async t => {
  const { cometd, open } = await start(t, { extensions: { binary: true } })
  cometd.remoteCall('reverse', (session, bytes: Buffer) => bytes.reverse())
  const client = await open()
  t.match(await client.send({ channel: '/service/reverse', data: { data: encode(Buffer.from('abc')) }, ext: { binary: {} } }),
    [{ id: '3', successful: true, data: { data: encode(Buffer.from('cba')) }, ext: { binary: {} } }, { successful: true }])
})

t.test('a broadcast is encoded once, whoever gets it and whatever extensions see it before', async t => {
  const { app, cometd, open } = await start(t, { extensions: { binary: true, timestamp: true, acknowledgement: true } })
  const seen: unknown[] = []
  cometd.addExtension({
    incoming (server, session, { data }) { seen.push(Buffer.isBuffer(data)) },
    outgoing (server, sender, session, message) { if ('data' in message) seen.push(Buffer.isBuffer(message['data'])) }
  })
  const [one, two] = [await open(), await SocketClient.join(app)]
  for (const client of [one, two]) await client.subscribe('/a')
  seen.length = 0
  const data = { data: encode(Buffer.from('bytes')), last: false, meta: 1 }
  await two.send({ channel: '/a', data, ext: { binary: {} } })
  t.strictSame(seen, [true, true], 'extensions of the application are on the side of the Buffer')
  const message = { channel: '/a', data, ext: { binary: {} }, timestamp: /^20/ }
  t.match(await two.until(() => two.messages.find(({ data }) => data !== undefined)), message)
  t.match((await one.connect())[0], message)
})

t.test('a listener may put other bytes in the place of those that came, or none', async t => {
  const { cometd, open } = await start(t, { extensions: { binary: true } })
  const results: unknown[] = [Buffer.from('other'), { text: 'none' }]
  cometd.createServerChannel('/a').addListener('message', (session, channel, message) => { message.data = results.shift() })
  const client = await open()
  await client.subscribe('/a')
  const send = async (): Promise<unknown> => (await client.send({ channel: '/a', data: { data: '' }, ext: { binary: {} } }))[0]
  t.strictSame(await send(), { channel: '/a', data: { data: encode(Buffer.from('other')), last: true }, ext: { binary: {} } })
  t.strictSame(await send(), { channel: '/a', data: { text: 'none' } })
})

t.test('what other extensions put into ext stays there', async t => {
  const { cometd, open } = await start(t, { extensions: { binary: true } })
  cometd.addExtension({ outgoing: (server, sender, session, message) => { message.ext = { mine: 1 } } })
  const { session, connect } = await open().then(client => ({ session: client.session, connect: async () => await client.connect() }))
  session.deliver(null, '/a', Buffer.alloc(4))
  t.match(await connect(), [{ data: { data: '00000' }, ext: { mine: 1, binary: {} } }, { ext: { mine: 1 } }])
})
