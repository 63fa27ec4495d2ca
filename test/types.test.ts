import { Type } from '@sinclair/typebox'
import { CometD } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import cometd, { type ChannelsOf, type CometDChannels, type CometDServer, createCometDServer, type Published, type Delivered, type SecurityPolicy, type ServerMessage, type ServerSession, type TypedClient } from '../plugin/index.js'

adapt()

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

interface Chat { user: string, text: string }

// As an application does it, for all that is compiled with this file: so it has names that no other test uses.
declare module '../plugin/index.js' {
  interface CometDChannels {
    '/typed/{room}': Chat
    '/typed/log': string
    '/typed/sensors/**': number
    '/typed/sensors/a/*': boolean
    '/service/echo-typed': { request: { n: number }, response: string }
    '/service/echo-typed/{id}': { request: null }
  }
  interface CometDRemoteCalls {
    typed: { parameters: number[], result: number }
    'typed/{id}': { parameters: string, result: null }
  }
  interface CometDIdentity { name?: string }
}

t.test('what travels is typed by the name of the channel, also through patterns', async t => {
  same<Published<'/typed/log'>, string>(true)
  same<Published<'/typed/x'>, Chat>(true)
  same<Delivered<`/typed/${string}`>, Chat>(true)
  same<Published<'/typed/x/y'>, unknown>(true)
  same<Published<'/typed/sensors/b/c/d'>, number>(true)
  same<Published<'/typed/sensors/a/b'>, boolean>(true)
  same<Published<'/typed/sensors/a/b/c'>, number>(true)
  same<Published<'/typed/sensors/**'>, number>(true)
  same<Published<'/service/echo-typed'>, { n: number }>(true)
  same<Delivered<'/service/echo-typed'>, string>(true)
  same<Published<'/service/echo-typed/5'>, null>(true)
  same<Delivered<'/service/echo-typed/5'>, unknown>(true)
  same<Published<'/elsewhere'>, unknown>(true)
  same<Published<string>, unknown>(true)
  same<Published<'/a/b', { '/a/*': 1, '/a/**': 2 }>, 1>(true)
  same<Published<'/a', { '/a/**': 2, '/**': 3 }>, 3>(true)
  t.ok(true)
})

t.test('the server knows the types of declared channels', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd)
  const server = app.cometd
  const room = server.createServerChannel('/typed/1')
  room.addListener('message', (session, channel, { data }) => { same<typeof data, Chat>(true) })
  room.publish(null, { user: 'ada', text: 'hi' })
  // @ts-expect-error a text that is none
  room.publish(null, { user: 'ada', text: 1 })
  server.createServerChannel('/typed/{room}').addListener('message', (session, channel, { data, parameters }) => {
    same<typeof data, Chat>(true)
    same<typeof parameters.room, string>(true)
  })
  server.getServerChannel('/typed/1')?.addListener('message', (session, channel, { data }) => { same<typeof data, Chat>(true) })

  server.service('/service/echo-typed', (session, message) => {
    same<typeof message.data, { n: number }>(true)
    return String(message.data.n)
  })
  // @ts-expect-error a response of another type
  server.service('/service/echo-typed', (session, message) => message.data.n)
  server.remoteCall('typed', (session, numbers) => {
    same<typeof numbers, number[]>(true)
    return numbers.length
  })
  server.remoteCall('typed/{id}', (session, text, { parameters }) => {
    same<typeof parameters.id, string>(true)
    same<typeof text, string>(true)
    return null
  })

  const local = server.newLocalSession()
  await local.handshake()
  await local.subscribe('/typed/1', ({ data }) => { same<typeof data, Chat | undefined>(true) })
  await local.publish('/typed/log', 'text')
  // @ts-expect-error a number is no text
  await local.publish('/typed/log', 1)
  const count: number = await local.remoteCall('typed', [1, 2])
  t.equal(count, 2)
  const session = local.serverSession as ServerSession
  session.deliver(null, '/typed/1', { user: 'ada', text: 'hi' })
  // @ts-expect-error what is delivered on a service channel is its response
  session.deliver(null, '/service/echo-typed', 5)
  session.deliver(null, '/elsewhere', 5)
  same<typeof session.identity, import('../plugin/index.js').CometDIdentity | undefined>(true)
  same<NonNullable<typeof session.identity>['name'], string | undefined>(true)
})

t.test('the types of a channel come from its schema', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd)
  const server = app.cometd
  const chat = server.createServerChannel('/from/{schema}', {
    schema: Type.Object({ user: Type.String(), text: Type.String() }),
    subscribe: async (request, session, message) => {
      same<typeof request, FastifyRequest | undefined>(true)
      same<typeof message.parameters.schema, string>(true)
      return session.identity?.name === 'ada'
    }
  }, channel => {
    channel.addListener('message', (session, channel, { data }) => { same<typeof data, Chat>(true) })
  })
  chat.addListener('message', (session, channel, message, callback) => {
    same<typeof message.data, Chat>(true)
    same<typeof message.parameters.schema, string>(true)
    callback(null, true)
  })
  const log = server.createServerChannel('/from/log', { schema: Type.String() })
  log.publish(null, 'text')
  // @ts-expect-error a number is no text
  t.throws(() => log.publish(null, 1))
  server.service('/service/from', { schema: { request: Type.Number(), response: Type.String() } }, (session, { data }) => {
    same<typeof data, number>(true)
    return String(data)
  })
  server.remoteCall('from-call', { schema: { parameters: Type.Array(Type.Number()), result: Type.Number() } }, (session, numbers) => {
    same<typeof numbers, number[]>(true)
    return numbers.length
  })
  // @ts-expect-error a result of another type
  server.remoteCall('wrong', { schema: { result: Type.Number() } }, () => 'text')
  const plain = server.createServerChannel('/from/json', { schema: { type: 'string' } })
  plain.addListener('message', (session, channel, { data }) => { same<typeof data, unknown>(true) })
  const free = server.createServerChannel('/typed/free', { publish: true })
  free.addListener('message', (session, channel, { data }) => { same<typeof data, Chat>(true) })
  // @ts-expect-error there is no such setting
  t.throws(() => server.createServerChannel('/from/wrong', { skema: {} }))
  const channels: CometDServer = server
  t.ok(channels.getServerChannel('/from/log'))
})

t.test('declarations say by themselves what travels', async t => {
  const channels = {
    '/of/{declaration}': { schema: Type.Object({ user: Type.String(), text: Type.String() }), publish: false },
    '/service/of': { schema: { request: Type.Number(), response: Type.String() } },
    '/service/of/call': { schema: { parameters: Type.Number() } },
    '/of/json': { schema: { type: 'string' } },
    '/of/none': { subscribe: true }
  } as const
  type Declared = ChannelsOf<typeof channels>
  same<Declared['/of/{declaration}'], Chat>(true)
  same<Declared['/service/of'], { request: number, response: string }>(true)
  same<Declared['/service/of/call'], { request: number, response: unknown }>(true)
  same<Declared['/of/json'], unknown>(true)
  same<keyof Declared, '/of/{declaration}' | '/service/of' | '/service/of/call' | '/of/json'>(true)
  same<Published<'/of/x', Declared>, Chat>(true)
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd, { channels })
  t.ok(app.cometd.getServerChannel('/of/json'))
})

t.test('the client has the same types', async t => {
  interface Channels { '/chat/{room}': Chat, '/service/sum': { request: number[], response: number } }
  interface Calls { half: { parameters: number, result: number } }
  const client = new CometD() as TypedClient<Channels, Calls, CometD>
  t.equal(client.getStatus(), 'disconnected')
  const use = (): void => {
    const handle = client.subscribe('/chat/1', ({ data }) => { same<typeof data, Chat>(true) }, ({ successful }) => { same<typeof successful, boolean | undefined>(true) })
    client.unsubscribe(handle)
    client.subscribe('/service/sum', ({ data }) => { same<typeof data, number>(true) }, { ext: {} })
    client.addListener('/meta/connect', reply => { same<typeof reply.error, string | undefined>(true) })
    client.addListener('/chat/*', ({ data }) => { same<typeof data, Chat>(true) })
    client.publish('/chat/1', { user: 'ada', text: 'hi' })
    client.publish('/service/sum', [1, 2], { ext: {} }, ({ error }) => { same<typeof error, string | undefined>(true) })
    // @ts-expect-error a text that is none
    client.publish('/chat/1', { user: 'ada', text: 1 })
    client.remoteCall('half', 8, result => {
      if (result.successful) same<typeof result.data, number>(true)
      else same<typeof result.data, unknown>(true)
    })
    client.remoteCall('half', 8, 1_000, () => {})
    // @ts-expect-error a text is no number
    client.remoteCall('half', 'eight', 1_000)
    client.publish('/elsewhere', 5)
  }
  t.type(use, 'function')
  const declared: TypedClient = {} as TypedClient<CometDChannels>
  t.ok(declared)
})
