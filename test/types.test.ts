import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import cometd, { type CometDServer, createCometDServer, type SecurityPolicy, type ServerMessage, type ServerSession } from '../plugin/index.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A, B>(equal: Equal<A, B>): boolean => t.ok(equal)

t.test('what users write is typed', async t => {
  const app = Fastify({ http2: true })
  t.teardown(async () => await app.close())
  // @ts-expect-error an option of the wrong type
  await t.rejects(async () => await Fastify().register(cometd, { timeout: 'soon' }), { code: 'COMETD_ERR_OPTION_INVALID' })
  await app.register(cometd, { timeout: 20_000, logLevel: 'warn' })
  same<typeof app.cometd, CometDServer>(true)
  await Fastify().register(cometd, {
    transports: ['long-polling', 'callback-polling'],
    allowedOrigins: async (origin, request) => {
      same<typeof origin, string | undefined>(true)
      return request.ip === '127.0.0.1'
    }
  })
  // @ts-expect-error a transport that there is not
  await t.rejects(async () => await Fastify().register(cometd, { transports: ['iframe'] }), { code: 'COMETD_ERR_OPTION_INVALID' })
  same<typeof app.cometd.context.request, FastifyRequest | undefined>(true)

  const service = app.cometd.createServerChannel('/service/chat')
  service.addListener('message', async (session, channel, message) => {
    same<typeof session, ServerSession>(true)
    same<typeof message.data, unknown>(true)
    session.deliver(null, '/service/chat', { text: 'hi' })
  })
  service.addListener('message', (session, channel, message: ServerMessage<{ text: string }>, callback) => {
    same<typeof message.data.text, string>(true)
    callback(null, true)
  })
  app.cometd.createServerChannel('/chat').addListener('message', session => {
    same<typeof session, ServerSession | null>(true)
  })
  // @ts-expect-error an event that does not exist
  t.throws(() => app.cometd.addListener('nonsense', () => {}))

  const policy: SecurityPolicy = {
    canHandshake: async (session, message) => message.ext?.['token'] === 'secret',
    canPublish: (session, message, channel, callback) => { callback(null, channel.name !== '/readonly') }
  }
  app.cometd.policy = policy
  // @ts-expect-error a policy that says something else
  app.cometd.policy = { canPublish: () => 'yes' }

  const standalone = createCometDServer({ timeout: 1_000 })
  t.type(standalone.handle, 'function')
  t.type(standalone.upgrade, 'function')
  await standalone.close()
})
