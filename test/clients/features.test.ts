import { AckExtension, CometD, type Message } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import cometd, { type CometDPluginOptions, RemoteCallFailure } from '../../plugin/index.js'
import { once } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { cometdPeer } from './cometd-peer.js'
import type { TransportName } from './peer.js'

adapt()

interface Pair { app: FastifyInstance, client: CometD, open: () => Promise<string> }

/** The official client, and an application for it. */
async function pair (t: Test, transport: TransportName, options: CometDPluginOptions = {}): Promise<Pair> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd, options)
  const client = new CometD()
  const peer = cometdPeer(client, `${await listen(app)}/cometd`, [transport])
  t.teardown(async () => await peer.close())
  return { app, client, open: peer.open }
}

async function call (client: CometD, target: string, data: unknown): Promise<Message> {
  return await new Promise(resolve => client.remoteCall(target, data as object, resolve))
}

for (const transport of ['long-polling', 'websocket'] as TransportName[]) {
  t.test(`the client's remoteCall gets results and failures over ${transport}`, async t => {
    const { app, client, open } = await pair(t, transport)
    app.cometd.remoteCall('sum', (session, numbers: number[]) => numbers.reduce((sum, number) => sum + number))
    app.cometd.remoteCall('rooms/{id}/join', async (session, user, { parameters }) => ({ user, room: parameters.id }))
    app.cometd.remoteCall('full', () => { throw new RemoteCallFailure({ seats: 0 }) })
    app.cometd.remoteCall('broken', async () => { throw new Error('secret') })
    app.cometd.service('/service/echo', (session, message) => message.data)
    await open()
    t.match(await call(client, 'sum', [1, 2, 3]), { successful: true, data: 6 })
    t.match(await call(client, 'rooms/5/join', 'Ada'), { successful: true, data: { user: 'Ada', room: '5' } })
    t.match(await call(client, 'full', {}), { successful: false, data: { seats: 0 } })
    t.strictSame((await call(client, 'broken', {})).data, { message: '500::internal_error' })
    t.match(await call(client, 'echo', 'a service answers a remote call, too'), { data: 'a service answers a remote call, too' })
    const all = await Promise.all([1, 2, 3].map(async number => (await call(client, 'sum', [number, 1])).data))
    t.strictSame(all, [2, 3, 4])
  })

  const welcome = (acknowledged: boolean): void => {
    t.test(`the client hears what was delivered during its handshake before it connects, over ${transport}${acknowledged ? ' with acknowledgements' : ''}`, async t => {
      const { app, client, open } = await pair(t, transport, { allowMessageDeliveryDuringHandshake: true, extensions: { acknowledgement: acknowledged } })
      const order: string[] = []
      app.cometd.addListener('sessionAdded', session => {
        for (const data of [1, 2]) session.deliver(null, '/welcome', data)
      })
      app.cometd.createServerChannel('/meta/connect').addListener('message', () => { order.push('connect') })
      client.addListener('/welcome', ({ data }: Message) => { order.push(`welcome ${data as number}`) })
      const connected = new Promise(resolve => client.addListener('/meta/connect', resolve))
      if (acknowledged) client.registerExtension('ack', new AckExtension())
      await open()
      await connected
      t.strictSame(order.slice(0, 3), ['welcome 1', 'welcome 2', 'connect'])
      t.equal(order.filter(entry => entry.startsWith('welcome')).length, 2, 'once')
    })
  }
  welcome(false)
  welcome(true)

  t.test(`the client gets lazy messages together over ${transport}`, async t => {
    const { app, client, open } = await pair(t, transport)
    const lazy = app.cometd.createServerChannel('/lazy')
    lazy.lazyTimeout = 300
    await open()
    const heard: unknown[] = []
    const both = new Promise<void>(resolve => {
      client.subscribe('/lazy', ({ data }: Message) => { if (heard.push(data) === 2) resolve() })
    })
    const [, session] = await once(app.cometd, 'subscribed') as [unknown, { addListener: (event: string, listener: (...args: never[]) => void) => void }]
    const drained: number[] = []
    session.addListener('queueDrain', (session: unknown, queue: unknown[]) => { if (queue.length > 0) drained.push(queue.length) })
    await once(session as never, 'suspended')
    lazy.publish(null, 1)
    lazy.publish(null, 2)
    await both
    t.strictSame([heard, drained], [[1, 2], [2]])
  })

  t.test(`a local session and the client talk over ${transport}`, async t => {
    const { app, client, open } = await pair(t, transport)
    const local = app.cometd.newLocalSession('bot')
    await local.handshake()
    await local.subscribe('/questions', async ({ data }) => { await local.publish('/answers', `${data as string}!`) })
    await open()
    const answer = new Promise(resolve => client.subscribe('/answers', ({ data }: Message) => resolve(data), () => client.publish('/questions', 'why')))
    t.equal(await answer, 'why!')
  })
}
