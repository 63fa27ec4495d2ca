import { CometD, type Message } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import cometd, { type CometDIdentity, type CometDPluginOptions } from '../../plugin/index.js'
import { once } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { cometdPeer } from './cometd-peer.js'
import type { TransportName } from './peer.js'

adapt()

const LIFETIME_MS = 2_000

interface Pair { app: FastifyInstance, client: CometD, open: (credentials?: object) => Promise<void> }

/** The official client, and an application that believes who it says it is. */
async function pair (t: Test, transport: TransportName, options: CometDPluginOptions = {}): Promise<Pair> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd, {
    reauthenticationTimeout: 1_000,
    policy: { identify: (session, message) => message.ext?.['authentication'] as CometDIdentity | undefined },
    ...options
  })
  const client = new CometD()
  const peer = cometdPeer(client, `${await listen(app)}/cometd`, [transport])
  t.teardown(async () => await peer.close())
  const open = async (authentication: object = { sub: 'ada' }): Promise<void> => {
    await new Promise<void>(resolve => client.handshake({ ext: { authentication } }, () => resolve()))
    await new Promise<void>(resolve => {
      const handle = client.addListener('/meta/connect', () => {
        client.removeListener(handle)
        resolve()
      })
    })
  }
  return { app, client, open }
}

/** The first message on a channel of the client that is as it should be. */
async function heard (client: CometD, channel: string, fits: (message: Message) => boolean = () => true): Promise<Message> {
  return await new Promise(resolve => client.addListener(channel, message => { if (fits(message)) resolve(message) }))
}

for (const transport of ['long-polling', 'websocket'] as TransportName[]) {
  t.test(`a plain client whose identity ends is disconnected with an error that it can show, over ${transport}`, async t => {
    const { app, client, open } = await pair(t, transport)
    const removed = once(app.cometd, 'sessionRemoved')
    const failed = heard(client, '/meta/unsuccessful')
    await open({ sub: 'ada', expiresAt: Date.now() + LIFETIME_MS })
    t.match(await failed, { channel: '/meta/connect', successful: false, error: '401::identity_expired', advice: { reconnect: 'none' } })
    t.equal((await removed)[2], 'identityExpired')
    t.ok(client.isDisconnected())
  })

  t.test(`a revoked client is disconnected with an error that it can show, over ${transport}`, async t => {
    const { app, client, open } = await pair(t, transport)
    await open()
    const failures: Message[] = []
    client.addListener('/meta/unsuccessful', message => failures.push(message))
    const failed = heard(client, '/meta/unsuccessful', ({ error }) => error !== undefined)
    t.equal(app.cometd.revoke(({ identity }) => identity?.['sub'] === 'ada'), 1)
    t.match(await failed, { channel: transport === 'websocket' ? '/meta/disconnect' : '/meta/connect', error: '401::session_revoked' })
    t.equal(failures.filter(({ error }) => error !== undefined).length, 1)
    t.ok(client.isDisconnected())
  })

  t.test(`a client that authenticates again keeps its session, over ${transport}`, async t => {
    const { app, client, open } = await pair(t, transport)
    const expiresAt = Date.now() + LIFETIME_MS
    let credentials: object | undefined
    client.registerExtension('authentication', {
      outgoing (message) {
        if (message.channel !== '/meta/connect' || credentials === undefined) return message
        message.ext = { ...message.ext, authentication: credentials }
        credentials = undefined
        return message
      }
    })
    const word = (message: Message): { required?: boolean, successful?: boolean } | undefined => (message.ext as { authentication?: object } | undefined)?.authentication
    client.addListener('/meta/connect', message => { if (word(message)?.required === true) credentials = { sub: 'ada', expiresAt: expiresAt + 600_000 } })
    const done = heard(client, '/meta/connect', message => word(message)?.successful === true)
    await open({ sub: 'ada', expiresAt })
    const clientId = client.getClientId()
    await done
    t.match(app.cometd.getServerSession(clientId as string)?.identity, { expiresAt: expiresAt + 600_000 })
    const news = await new Promise(resolve => client.subscribe('/news', resolve, () => client.publish('/news', 'still here')))
    t.match(news, { data: 'still here' })
    t.equal(client.getClientId(), clientId)
  })
}
