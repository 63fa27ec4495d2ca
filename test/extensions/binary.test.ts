import { randomBytes, randomInt } from 'node:crypto'
import t from 'tap'
import type { BinaryData } from '../../plugin/index.js'
import { decode, encode } from '../../plugin/extensions/z85.js'
import { start } from '../helpers/harness.js'

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
  for (const data of ['text', null, 1, {}, { data: 1 }, { data: 'x' }]) {
    t.match(await client.publish('/a', data, { ext: { binary: {} } }), { successful: false, error: '400:binary:message_invalid' })
  }
  t.match(await client.publish('/a', 'text', { ext: { other: 1 } }), { successful: true })
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
