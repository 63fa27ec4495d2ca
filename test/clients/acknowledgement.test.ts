import { AckExtension, CometD } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import Fastify from 'fastify'
import { randomInt } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import cometd from '../../plugin/index.js'
import { cometdPeer } from './cometd-peer.js'
import type { TransportName } from './peer.js'
import { Proxy } from './proxy.js'

const MESSAGES = 10_000

adapt()

for (const transport of ['long-polling', 'websocket'] as TransportName[]) {
  t.test(`with acknowledgements, ${MESSAGES} messages arrive once and in order over ${transport} although connections are cut at random`, async t => {
    const proxy = await Proxy.start(t)
    const app = Fastify()
    t.teardown(async () => await app.close())
    await app.register(cometd, { extensions: { acknowledgement: true }, timeout: 2_000, maxInterval: 20_000, maxQueue: MESSAGES, maxQueueBytes: 10_000_000 })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    proxy.leadTo(port)

    const client = new CometD()
    client.registerExtension('ack', new AckExtension())
    const peer = cometdPeer(client, proxy.url, [transport])
    t.teardown(async () => await peer.close())
    const id = await peer.open()
    const received: unknown[] = []
    let complete = (): void => {}
    const all = new Promise<void>(resolve => { complete = resolve })
    await peer.subscribe('/numbers', data => { if (received.push(data) >= MESSAGES) complete() })

    const numbers = app.cometd.createServerChannel('/numbers')
    let cuts = 0
    let cutting: NodeJS.Timeout | undefined
    const cutLater = (): void => {
      cutting = setTimeout(() => {
        proxy.cut()
        proxy.leadTo(port)
        cuts++
        cutLater()
      }, randomInt(20, 120))
    }
    cutLater()
    let sent = 0
    const sending = setInterval(() => {
      for (let i = 0; i < 20 && sent < MESSAGES; i++) numbers.publish(null, sent++)
      if (sent === MESSAGES) clearInterval(sending)
    }, 5)
    t.teardown(() => { clearInterval(sending); clearTimeout(cutting) })
    await all
    clearTimeout(cutting)

    t.strictSame(received, Array.from({ length: MESSAGES }, (_, i) => i))
    t.ok(cuts > 10, `${cuts} cuts`)
    t.ok(app.cometd.getServerSession(id), 'all in one session')
  })
}
