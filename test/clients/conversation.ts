import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import cometd, { type CometDPluginOptions, type ServerSession } from '../../plugin/index.js'
import { once } from '../helpers/harness.js'
import { Mailbox } from './mailbox.js'
import type { Peer, TransportName } from './peer.js'
import { Proxy } from './proxy.js'

interface Circumstances {
  refuseUpgrades?: boolean
  /** What the client needs of the server. */
  options?: CometDPluginOptions
  fastify?: FastifyServerOptions
}

/** Of both clients, in the end. */
const SUBSCRIPTIONS = ['/news', '/rooms/*', '/rooms/**', '/private']

async function serve (proxy: Proxy, options: CometDPluginOptions, fastify: FastifyServerOptions): Promise<FastifyInstance> {
  const app = Fastify(fastify)
  await app.register(cometd, { timeout: 400, maxInterval: 1_000, closeInterval: 50, maxSessionsPerBrowser: 10, ...options })
  app.cometd.policy = {
    canSubscribe: async (session, message, channel) => channel.name !== '/secret',
    canPublish: (session, message, channel, callback) => callback(null, channel.name !== '/readonly')
  }
  app.cometd.createServerChannel('/service/echo').addListener('message', async (session, channel, message) => {
    session.deliver(null, channel.name, { echo: message.data })
  })
  app.cometd.createServerChannel('/service/private').addListener('message', (session, channel, message, callback) => {
    const { to, text } = message.data as { to: string, text: string }
    app.cometd.getServerSession(to)?.deliver(session, '/private', { from: session.id, text })
    callback()
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  proxy.leadTo((app.server.address() as AddressInfo).port)
  return app
}

/** Everything that a client and the server do with each other, over a network that breaks, by the given transport. */
export async function converse (t: Test, makePeer: (url: string) => Peer, transport: TransportName, { refuseUpgrades = false, options = {}, fastify = {} }: Circumstances): Promise<void> {
  const proxy = await Proxy.start(t, { refuseUpgrades })
  let app = await serve(proxy, options, fastify)
  t.teardown(async () => await app.close())
  const [alice, bob] = [makePeer(proxy.url), makePeer(proxy.url)]
  t.teardown(async () => await Promise.all([alice.close(), bob.close()]))

  const added = once(app.cometd, 'sessionAdded')
  const aliceId = await alice.open()
  t.equal((await added as [ServerSession])[0].id, aliceId, '1. handshake')

  const news = new Mailbox()
  const stop = await alice.subscribe('/news', news.put)
  t.strictSame(app.cometd.getServerChannel('/news')?.subscribers.map(({ id }) => id), [aliceId], '2. subscribe')

  await alice.publish('/news', 'own')
  t.strictSame(await news.take(1), ['own'], '3. a publisher that is subscribed hears itself')

  const bobId = await bob.open()
  await bob.publish('/news', { from: 'bob' })
  t.strictSame(await news.take(1), [{ from: 'bob' }], '4. publish from another client')

  const rooms = new Mailbox()
  await bob.subscribe('/rooms/*', (data, channel) => rooms.put([channel, data]))
  await alice.publish('/rooms/1', 1)
  await alice.publish('/rooms/2/deeper', 2)
  await alice.publish('/rooms/3', 3)
  t.strictSame(await rooms.take(2), [['/rooms/1', 1], ['/rooms/3', 3]], '5. a wildcard')

  await bob.subscribe('/rooms/**', () => {})
  await alice.publish('/rooms/1', 'once')
  await alice.publish('/rooms/1', 'end')
  t.strictSame(await rooms.take(2), [['/rooms/1', 'once'], ['/rooms/1', 'end']], '6. one copy for overlapping patterns')

  const echoes = new Mailbox()
  await alice.subscribe('/service/echo', echoes.put)
  await alice.publish('/service/echo', 'hello')
  t.strictSame(await echoes.take(1), [{ echo: 'hello' }], '7. a service answers its caller')

  const letters = new Mailbox()
  await bob.subscribe('/private', letters.put)
  await alice.publish('/service/private', { to: bobId, text: 'psst' })
  t.strictSame(await letters.take(1), [{ from: aliceId, text: 'psst' }], '8. a private message')

  const accepted: Array<Promise<void>> = []
  bob.batch(() => { for (let i = 0; i < 10; i++) accepted.push(bob.publish('/news', i)) })
  await Promise.all(accepted)
  t.strictSame(await news.take(10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], '9. a batch arrives whole and in order')

  app.cometd.createServerChannel('/news').publish(null, 'from the server')
  t.strictSame(await news.take(1), ['from the server'], '10. server-side publish')

  app.cometd.getServerSession(aliceId)?.deliver(null, '/news', 'for alice')
  t.strictSame(await news.take(1), ['for alice'], '11. server-side delivery')

  await t.rejects(bob.subscribe('/secret', () => {}), '12. a refused subscription')
  await t.rejects(bob.publish('/readonly', 1), '13. a refused publish')

  const large = 'x'.repeat(transport === 'websocket' && alice.largest !== undefined ? alice.largest : 500_000)
  await bob.publish('/news', '€ 漢字 🦊')
  app.cometd.createServerChannel('/news').publish(null, large)
  const [scripts, received] = await news.take(2)
  t.ok(scripts === '€ 漢字 🦊' && received === large, '14. text in many scripts, and a large message')

  const session = app.cometd.getServerSession(aliceId) as ServerSession
  const renewed = [await renewal(app, session), await renewal(app, session)]
  await bob.publish('/news', 'still here')
  t.strictSame(await news.take(1), ['still here'], '15. connects time out and are renewed')
  t.strictSame([...renewed, await alice.transport(), await bob.transport()], Array(4).fill(transport), `over ${transport}`)

  await stop()
  await bob.publish('/news', 'unheard')
  await bob.publish('/service/private', { to: aliceId, text: 'x' })
  t.strictSame(news.mails, [], '16. unsubscribe')

  await alice.subscribe('/news', news.put)
  const [first, second] = [app.cometd.getServerSession(aliceId) as ServerSession, once(app.cometd, 'sessionAdded')]
  const expired = once(first, 'removed')
  const { port } = app.server.address() as AddressInfo
  proxy.cut()
  t.strictSame((await expired).slice(1), [true, 'timeout'], '17. a client that is cut off expires')

  const back = once(app.cometd, 'subscribed')
  proxy.leadTo(port)
  await second
  await back
  for (const name of SUBSCRIPTIONS) await untilSubscribed(app, name)
  app.cometd.createServerChannel('/news').publish(null, 'after the gap')
  t.strictSame(await news.take(1), ['after the gap'], '18. it comes back by a new handshake, subscribed as before')

  await app.close()
  app = await serve(proxy, options, fastify)
  for (const name of SUBSCRIPTIONS) await untilSubscribed(app, name)
  app.cometd.createServerChannel('/news').publish(null, 'after the restart')
  t.strictSame(await news.take(1), ['after the restart'], '19. it survives a restart of the server')

  const [kicked] = app.cometd.getServerChannel('/news')?.subscribers as [ServerSession]
  while (await renewal(app, kicked) !== transport);
  t.equal(await alice.transport(), transport, 'over the same transport in the end')
  t.equal(proxy.upgrades > 0, refuseUpgrades || transport === 'websocket', 'after it tried WebSocket, if it may')

  await once(kicked, 'suspended')
  const removed = once(app.cometd, 'sessionRemoved')
  const comers: string[] = []
  app.cometd.addListener('sessionAdded', ({ id }) => { comers.push(id) })
  if (alice.comesBack === true) app.cometd.revoke(session => session === kicked)
  else kicked.disconnect()
  t.strictSame([(await removed)[0], (await removed)[1]], [kicked, false], '20. server-side disconnect')
  app.cometd.createServerChannel('/news').publish(null, 'unheard')

  const again = makePeer(proxy.url)
  const againId = await again.open()
  const gone = once(app.cometd, 'sessionRemoved')
  await again.close()
  const [left, timeout] = await gone as [ServerSession, boolean]
  t.strictSame([left.id, timeout], [againId, false], '21. disconnect')
  t.strictSame(news.mails, [], 'nothing came that was not expected')
  t.strictSame(comers.filter(id => id !== againId), [], 'and who was disconnected by the server stayed away')
}

/** The transport of the session's next connect that is held until its time is over. */
async function renewal ({ cometd }: FastifyInstance, session: ServerSession): Promise<string> {
  return await new Promise(resolve => session.addListener('resumed', function resumed (session, { connectionType }, timeout) {
    if (!timeout) return
    session.removeListener('resumed', resumed)
    // What it says, and what it does.
    const carrier = cometd.context.request?.ws === true ? 'websocket' : 'long-polling'
    resolve(connectionType === carrier ? carrier : `${carrier} as ${connectionType}`)
  }))
}

async function untilSubscribed (app: FastifyInstance, name: string): Promise<void> {
  while ((app.cometd.getServerChannel(name)?.subscribers.length ?? 0) === 0) await once(app.cometd, 'subscribed')
}
