import { BinaryExtension, CometD, type Message, TimeStampExtension, TimeSyncExtension } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import Fastify, { type FastifyInstance } from 'fastify'
import { randomBytes, randomInt } from 'node:crypto'
import t, { type Test } from 'tap'
import cometd, { type BinaryData, type CometDPluginOptions, TimesyncExtension } from '../../plugin/index.js'
import { listen } from '../helpers/http.js'
import { cometdPeer } from './cometd-peer.js'
import type { Peer, TransportName } from './peer.js'

adapt()

async function pair (t: Test, transport: TransportName, options: CometDPluginOptions): Promise<{ app: FastifyInstance, client: CometD, peer: Peer }> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd, options)
  const client = new CometD()
  const peer = cometdPeer(client, `${await listen(app)}/cometd`, [transport])
  t.teardown(async () => await peer.close())
  return { app, client, peer }
}

const bytesOf = (message: Message): Buffer => Buffer.from((message.data as { data: ArrayBuffer }).data)

for (const transport of ['long-polling', 'websocket'] as TransportName[]) {
  t.test(`TimeStampExtension: both sides see when messages were sent, over ${transport}`, async t => {
    const { app, client, peer } = await pair(t, transport, { extensions: { timestamp: true } })
    client.registerExtension('timestamp', new TimeStampExtension())
    const theirs = new Promise(resolve => app.cometd.createServerChannel('/a').addListener('message', (session, channel, message) => resolve(message['timestamp'])))
    await peer.open()
    const ours = new Promise<Message>(resolve => client.subscribe('/a', resolve, () => client.publish('/a', {})))
    t.ok(Math.abs(Date.parse(await theirs as string) - Date.now()) < 5_000)
    t.ok(Math.abs(Date.parse((await ours as Message & { timestamp: string }).timestamp) - Date.now()) < 5_000)
  })

  t.test(`TimeSyncExtension: the client learns the server's time over ${transport}`, async t => {
    const { app, client, peer } = await pair(t, transport, { timeout: 300 })
    app.cometd.addExtension(new TimesyncExtension({ accuracyTarget: 0, now: () => Date.now() + 3_600_000 }))
    // Not in the client's types.
    const timesync = new TimeSyncExtension() as TimeSyncExtension & { getTimeOffset: () => number, getNetworkLag: () => number }
    client.registerExtension('timesync', timesync as never)
    const replies: Array<{ p: number }> = []
    const several = new Promise<void>(resolve => client.addListener('/meta/connect', ({ ext }) => {
      if (replies.push((ext as { timesync: { p: number } }).timesync) === 4) resolve()
    }))
    const id = await peer.open()
    await several
    for (const { p } of replies.slice(1)) t.ok(p >= 290, `a connect was held for ${p} ms`)
    t.ok(Math.abs(timesync.getTimeOffset() - 3_600_000) < 200, `offset ${timesync.getTimeOffset()} ms`)
    t.ok(timesync.getNetworkLag() < 200, `lag ${timesync.getNetworkLag()} ms`)
    t.type(app.cometd.getServerSession(id)?.attributes.get('lag'), 'number')
  })

  t.test(`BinaryExtension: bytes arrive as they were sent, in all directions, over ${transport}`, async t => {
    const { app, client, peer } = await pair(t, transport, { extensions: { binary: true } })
    client.registerExtension('binary', new BinaryExtension())
    app.cometd.remoteCall('reverse', (session, bytes: Buffer) => Buffer.from(bytes).reverse())
    const id = await peer.open()
    const got: Message[] = []
    let more = (): void => {}
    const next = async (): Promise<Message> => {
      if (got.length === 0) await new Promise<void>(resolve => { more = resolve })
      return got.shift() as Message
    }
    const take = (message: Message): void => {
      got.push(message)
      more()
    }
    await new Promise(resolve => client.subscribe('/bytes', take, resolve))
    client.addListener('/service/bytes', take)

    for (const length of [0, 1, 2, 3, 4, 5, ...Array.from({ length: 8 }, () => randomInt(6, 6_000))]) {
      const bytes = randomBytes(length)
      const heard = new Promise<BinaryData>(resolve => app.cometd.createServerChannel('/bytes').addListener('message', function listener (session, channel, { data }) {
        channel.removeListener('message', listener)
        resolve(data as BinaryData)
      }))
      client.publishBinary('/bytes', new Uint8Array(bytes), length % 2 === 0, { length })
      const data = await heard
      const came = await next()
      t.strictSame([data.equals(bytes), data.last, data.meta], [true, length % 2 === 0, { length }])
      t.ok(bytesOf(came).equals(bytes), `${length} bytes of a client`)
      t.match(came.data, { last: length % 2 === 0, meta: { length } })
      app.cometd.createServerChannel('/bytes').publish(null, bytes)
      t.ok(bytesOf(await next()).equals(bytes), 'of the application')
      app.cometd.getServerSession(id)?.deliver(null, '/service/bytes', bytes)
      t.ok(bytesOf(await next()).equals(bytes), 'to one client')
    }
    const much = randomBytes(randomInt(100_000, 200_000))
    app.cometd.createServerChannel('/bytes').publish(null, Object.assign(much, { last: false, meta: 'much' }))
    const came = await next()
    t.ok(bytesOf(came).equals(much), 'many at once')
    t.match(came.data, { last: false, meta: 'much' })
    const result = await new Promise<Message>(resolve => client.remoteCallBinary('reverse', new Uint8Array([1, 2, 3]), true, {}, resolve))
    t.strictSame([...bytesOf(result)], [3, 2, 1])
  })
}
