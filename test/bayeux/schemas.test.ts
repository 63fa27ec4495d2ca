import { FormatRegistry, Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import t from 'tap'
import cometd, { BinaryExtension, type ChannelSettings, RemoteCallFailure } from '../../plugin/index.js'
import { memoryLog, start } from '../helpers/harness.js'

const Chat = Type.Object({ user: Type.String(), text: Type.String({ maxLength: 20 }) }, { additionalProperties: false })
const chatJson = {
  type: 'object',
  properties: { user: { type: 'string' }, text: { type: 'string', maxLength: 20 } },
  required: ['user', 'text'],
  additionalProperties: false
}
const fit = { user: 'ada', text: 'hi' }

for (const [kind, schema, faults] of [
  ['a TypeBox schema', Chat, { text: '400:/text:Expected string', missing: '400:/text:Expected required property', long: '400:/text:Expected string length less or equal to 20', other: '400:/a%3Ab:Unexpected property', root: '400::Expected object' }],
  ['a JSON Schema', chatJson, { text: '400:/text:must be string', missing: "400::must have required property 'text'", long: '400:/text:must NOT have more than 20 characters', other: '400::must NOT have additional properties', root: '400::must be object' }]
] as const) {
  t.test(`what a client publishes on a channel with ${kind}`, async t => {
    const { cometd, open } = await start(t)
    const heard: unknown[] = []
    cometd.createServerChannel('/chat', { schema }).addListener('message', (session, channel, message) => { heard.push(message.data) })
    const client = await open()
    await client.subscribe('/chat')

    await t.test('is distributed if it fits, as it is', async t => {
      const [event, reply] = await client.send({ channel: '/chat', data: fit })
      t.strictSame(event, { channel: '/chat', data: fit })
      t.match(reply, { successful: true })
      t.strictSame(heard.splice(0), [fit])
    })

    await t.test('is refused with the place and what is wrong there if it does not, and nobody hears of it', async t => {
      for (const [data, error] of [
        [{ user: 'ada', text: 1 }, faults.text],
        [{ user: 'ada' }, faults.missing],
        [{ user: 'ada', text: 'x'.repeat(21) }, faults.long],
        [{ ...fit, 'a:b': 1 }, faults.other],
        ['hi', faults.root], [null, faults.root], [[], faults.root]
      ] as const) {
        const replies = await client.send({ channel: '/chat', data })
        t.strictSame(replies.map(({ successful, error }) => ({ successful, error })), [{ successful: false, error }], JSON.stringify(data))
      }
      t.strictSame(heard, [])
      t.strictSame(cometd.statistics.refusals, { 400: 7 })
    })

    await t.test('is refused one message at a time', async t => {
      const replies = await client.send({ channel: '/chat', data: 1 }, { channel: '/chat', data: fit })
      t.strictSame(replies.map(({ successful, data }) => successful ?? data), [fit, false, true])
    })
  })
}

t.test('a refused message creates no channel', async t => {
  const { cometd, open } = await start(t)
  cometd.createServerChannel('/chat/{room}', { schema: Chat })
  const client = await open()
  t.match(await client.publish('/chat/1', 1), { successful: false })
  t.equal(cometd.getServerChannel('/chat/1'), undefined)
  t.match(await client.publish('/chat/1', fit), { successful: true })
  t.ok(cometd.getServerChannel('/chat/1'))
})

t.test('a path in an error is bounded', async t => {
  const { cometd, open } = await start(t)
  cometd.createServerChannel('/numbers', { schema: Type.Record(Type.String(), Type.Number()) })
  const client = await open()
  const { error } = await client.publish('/numbers', { ['x'.repeat(10_000)]: 'no number' })
  t.equal(error.length, '400::'.length + 255 + 'Expected number'.length)
})

t.test('the most specific schema counts', async t => {
  const { cometd, open } = await start(t)
  const only = (value: string): ChannelSettings => ({ schema: Type.Literal(value) })
  cometd.createServerChannel('/**', only('any'))
  cometd.createServerChannel('/a/**', only('below a'))
  cometd.createServerChannel('/a/b/*', only('in b'))
  cometd.createServerChannel('/{x}/{y}/d', only('two parameters'))
  cometd.createServerChannel('/{x}/e/d', only('one parameter'))
  cometd.createServerChannel('/a/b/c', only('the name'))
  // One without a schema changes nothing.
  cometd.createServerChannel('/a/b/f', { publish: true })
  const client = await open()
  for (const [channel, data] of [
    ['/z', 'any'], ['/a/x', 'below a'], ['/a/x/y/z', 'below a'], ['/a/b/x', 'in b'], ['/a/x/d', 'two parameters'], ['/a/e/d', 'one parameter'],
    ['/a/b/c', 'the name'], ['/a/b/f', 'in b']
  ] as const) {
    t.match(await client.publish(channel, data), { successful: true }, channel)
    t.match(await client.publish(channel, 'else'), { successful: false }, channel)
  }
})

t.test('a channel without a schema is free, unless requireSchema is set', async t => {
  const { cometd, open } = await start(t)
  cometd.createServerChannel('/chat', { schema: Chat })
  const channel = cometd.createServerChannel('/free')
  const client = await open()
  t.match(await client.publish('/free', { anything: 1 }), { successful: true })
  t.equal(channel.publish(null, 1), true)

  cometd.options.requireSchema = true
  t.match(await client.publish('/free', 1), { successful: false, error: '403:schema_required:publish_denied' })
  t.match(await client.publish('/service/any', 1), { successful: false, error: '403:schema_required:publish_denied' })
  t.throws(() => channel.publish(null, 1), { code: 'COMETD_ERR_SCHEMA_MISSING', message: "the channel '/free' has no schema" })
  t.throws(() => client.session.deliver(null, '/free', 1), { code: 'COMETD_ERR_SCHEMA_MISSING' })
  t.match(await client.publish('/chat', fit), { successful: true })
  t.match(await client.subscribe('/free'), { successful: true })
})

t.test('what the application publishes or delivers has to fit, or it is told so', async t => {
  const { cometd, open } = await start(t)
  const channel = cometd.createServerChannel('/chat', { schema: Chat })
  cometd.createServerChannel('/service/time', { schema: { response: Type.Number() } })
  const { session } = await open()
  const unfit = { code: 'COMETD_ERR_DATA_UNFIT', message: "the data for '/chat' do not fit its schema: /text: Expected string" }
  t.throws(() => channel.publish(null, { user: 'ada', text: 1 as never }), unfit)
  t.throws(() => session.deliver(null, '/chat', { user: 'ada', text: 1 }), unfit)
  t.throws(() => session.deliver(null, '/service/time', 'noon'), { code: 'COMETD_ERR_DATA_UNFIT' })
  t.throws(() => channel.publish(null, undefined as never), { code: 'COMETD_ERR_DATA_UNFIT', message: "the data for '/chat' do not fit its schema: Expected object" }, 'undefined becomes null, which does not fit')
  let told: unknown
  t.equal(channel.publish(null, 1 as never, err => { told = err }), false)
  t.match(told, { code: 'COMETD_ERR_DATA_UNFIT' })
  t.equal(channel.publish(null, fit), true)
  t.equal(session.deliver(null, '/chat', fit), true)
  t.equal(session.deliver(null, '/service/time', 12), true)
  t.equal(session.deliver(null, '/elsewhere', 'free'), true)

  cometd.options.validateOutgoing = false
  t.equal(channel.publish(null, 1 as never), true)
  t.equal(session.deliver(null, '/chat', 1), true)
})

t.test('in production, what the application sends is not looked at unless it asks for it', async t => {
  const { NODE_ENV } = process.env
  t.teardown(() => { if (NODE_ENV === undefined) delete process.env['NODE_ENV']; else process.env['NODE_ENV'] = NODE_ENV })
  process.env['NODE_ENV'] = 'production'
  const channels = { '/chat': { schema: Chat } }
  const [trusting, strict] = [await start(t, { channels }), await start(t, { channels, validateOutgoing: true })]
  t.equal(trusting.cometd.getServerChannel('/chat')?.publish(null, 1), true)
  t.throws(() => strict.cometd.getServerChannel('/chat')?.publish(null, 1), { code: 'COMETD_ERR_DATA_UNFIT' })
  t.match(await (await trusting.open()).publish('/chat', 1), { successful: false }, 'what clients send is')
})

t.test('what listeners made of the data has to fit, too', async t => {
  const { lines, logger } = memoryLog()
  const { cometd, open } = await start(t, {}, { logger })
  const channel = cometd.createServerChannel('/chat', { schema: Chat })
  const listener = (session: unknown, heard: unknown, message: { data: { text: string } }): void => { message.data.text = message.data.text.repeat(15) }
  channel.addListener('message', listener)
  const client = await open()
  await client.subscribe('/chat')
  const replies = await client.send({ channel: '/chat', data: { user: 'ada', text: 'hi' } })
  t.match(replies, [{ successful: false, error: '500::internal_error' }])
  t.equal(replies.length, 1, 'nothing was distributed')
  t.match(lines.filter(({ level }) => level >= 50), [{ msg: "listener of 'message' spoilt the data", err: { code: 'COMETD_ERR_DATA_UNFIT' } }])
  t.match(await client.publish('/chat', { user: 'ada', text: '' }), { successful: true })

  t.equal(channel.publish(null, { user: 'ada', text: 'hi' }), false, 'and of those of the application')
  t.equal(lines.filter(({ level }) => level >= 50).length, 2)
  cometd.options.validateOutgoing = false
  t.equal(channel.publish(null, { user: 'ada', text: 'hi' }), true)
})

t.test('a service channel has a schema for each way', async t => {
  const { lines, logger } = memoryLog()
  const { cometd, open } = await start(t, {}, { logger })
  const schema = { request: Type.Object({ a: Type.Number(), b: Type.Number() }), response: Type.Number({ maximum: 10 }) }
  cometd.service('/service/sum', { schema }, (session, message) => message.data.a + message.data.b)
  cometd.service('/service/echo/{id}', { schema: { request: Type.String() } }, (session, message) => message.parameters.id)
  cometd.service('/service/none', { schema: { request: Type.Null() } }, () => undefined)
  const client = await open()
  t.match(await client.send({ channel: '/service/sum', data: { a: 1, b: 2 } }), [{ data: 3 }, { successful: true }])
  t.match(await client.publish('/service/sum', { a: 1 }), { successful: false, error: '400:/b:Expected required property' })
  t.match(await client.send({ channel: '/service/sum', data: { a: 9, b: 2 } }), [{ successful: false, error: '500::internal_error' }])
  t.match(lines.at(-1) && lines.filter(({ level }) => level >= 50), [{ err: { code: 'COMETD_ERR_DATA_UNFIT' } }])
  t.match(await client.send({ channel: '/service/echo/5', data: 'x' }), [{ data: '5' }, { successful: true }])
  t.match(await client.publish('/service/echo/5', 5), { error: '400::Expected string' })
  t.match(await client.send({ channel: '/service/none', data: null }), [{ successful: true }])
})

t.test('a remote call has a schema of its parameters and of its result', async t => {
  const { lines, logger } = memoryLog()
  const { cometd } = await start(t, {}, { logger })
  const schema = { parameters: Type.Object({ n: Type.Number() }), result: Type.Number({ minimum: 0 }) }
  cometd.remoteCall('root', { schema }, (session, { n }) => {
    if (n === 0) throw new RemoteCallFailure('no such root')
    return n < 0 ? n : Math.sqrt(n)
  })
  const caller = cometd.newLocalSession()
  await caller.handshake()
  t.equal(await caller.remoteCall('root', { n: 9 }), 3)
  await t.rejects(caller.remoteCall('root', { n: 'nine' }), { code: 'COMETD_ERR_REMOTE_CALL_FAILED', data: '400:/n:Expected number' })
  await t.rejects(caller.remoteCall('root', { n: 0 }), { data: 'no such root' } as never, 'what a failure says is free')
  await t.rejects(caller.remoteCall('root', { n: -1 }), { data: { message: '500::internal_error' } } as never)
  t.match(lines.filter(({ level }) => level >= 50), [{ err: { code: 'COMETD_ERR_DATA_UNFIT' } }])
})

t.test('channels are declared at the registration, and their services are found later', async t => {
  const { cometd, open } = await start(t, {
    channels: {
      '/chat/*': { schema: chatJson },
      '/service/echo': { schema: { request: Type.String(), response: Type.String() } },
      '/service/half': { schema: { parameters: Type.Number() }, description: 'Half of a number' }
    }
  })
  cometd.service('/service/echo', (session, message) => message.data)
  cometd.remoteCall('half', (session, n) => (n as number) / 2)
  const client = await open()
  t.match(await client.publish('/chat/1', 1), { successful: false, error: '400::must be object' })
  t.match(await client.send({ channel: '/service/echo', data: 'x' }), [{ data: 'x' }, { successful: true }])
  t.match(await client.publish('/service/echo', 1), { error: '400::Expected string' })
  t.match(await client.publish('/service/half', '1'), { error: '400::Expected number' })
})

t.test('a declaration sets the channel, too, before anybody sees it', async t => {
  const { cometd } = await start(t)
  const channel = cometd.createServerChannel('/set', { persistent: true, lazyTimeout: 100, broadcastToPublisher: false }, channel => {
    t.strictSame([channel.persistent, channel.lazy, channel.lazyTimeout, channel.broadcastToPublisher], [true, true, 100, false])
  })
  t.equal(channel.lazyTimeout, 100)
  t.equal(cometd.createServerChannel('/lazy', { lazy: true }).lazy, true)
  t.equal(cometd.createServerChannel('/plain', {}).lazy, false)
})

t.test('a declared channel is not swept', async t => {
  const { cometd, open, clock } = await start(t)
  cometd.createServerChannel('/declared', {})
  const client = await open()
  await client.subscribe('/declared')
  client.session.disconnect()
  clock.tick(10_000)
  t.ok(cometd.getServerChannel('/declared'))
})

t.test('a channel that a client made can be declared', async t => {
  const { cometd, open, clock } = await start(t)
  const client = await open()
  await client.subscribe('/made')
  cometd.createServerChannel('/made', { schema: Type.Number() })
  t.match(await client.publish('/made', 'x'), { successful: false })
  client.session.disconnect()
  clock.tick(10_000)
  t.ok(cometd.getServerChannel('/made'))
})

t.test('a channel is declared once', async t => {
  const { cometd } = await start(t)
  const settings = { schema: Chat }
  const channel = cometd.createServerChannel('/chat', settings)
  t.equal(cometd.createServerChannel('/chat', settings), channel)
  t.equal(cometd.createServerChannel('/chat'), channel)
  t.throws(() => cometd.createServerChannel('/chat', { schema: Chat }), { code: 'COMETD_ERR_CHANNEL_DECLARED', message: "the channel '/chat' has been declared otherwise" })
})

t.test('an initializer, too, may declare its channel', async t => {
  const { cometd, open } = await start(t)
  cometd.createServerChannel('/chat', () => { cometd.createServerChannel('/chat', { schema: Chat }) })
  t.match(await (await open()).publish('/chat', 1), { successful: false })
  t.strictSame(Object.keys(cometd.asyncapi().channels), ['chat'])
})

t.test('a channel whose initializer fails was not declared', async t => {
  const { cometd, open } = await start(t)
  const fail = (): never => { throw new Error('no') }
  t.throws(() => cometd.createServerChannel('/chat', { schema: Chat, publish: false }, fail), { message: 'no' })
  t.strictSame(cometd.asyncapi().channels, {})
  t.match(await (await open()).publish('/chat', 1), { successful: true })
  cometd.createServerChannel('/chat', { schema: Chat })
  t.match(await (await open()).publish('/chat', 1), { successful: false })
})

t.test('what is no declaration fails with a coded error', async t => {
  const { cometd } = await start(t)
  for (const [name, settings, error] of [
    ['/a', { schema: 1 }, { code: 'COMETD_ERR_OPTION_INVALID', message: "option '/a.schema': Expected object" }],
    ['/a', { skema: {} }, { code: 'COMETD_ERR_OPTION_INVALID', message: "option '/a.skema': Unexpected property" }],
    ['/a', { publish: 'all' }, { code: 'COMETD_ERR_OPTION_INVALID' }],
    ['/a', { roles: 'admin' }, { code: 'COMETD_ERR_OPTION_INVALID' }],
    ['/a', { lazyTimeout: -1 }, { code: 'COMETD_ERR_OPTION_INVALID' }],
    ['/a', { schema: { type: 'nonsense' } }, { code: 'COMETD_ERR_SCHEMA_INVALID', message: /^the schema of '\/a': .*type/ }],
    ['/a', { schema: { $ref: 'nowhere#' } }, { code: 'COMETD_ERR_SCHEMA_INVALID' }],
    ['/service/a', { schema: Type.String() }, { code: 'COMETD_ERR_SCHEMA_INVALID', message: "the schema of '/service/a': that of a service channel is { request, response }, or { parameters, result }" }],
    ['/service/a', { schema: {} }, { code: 'COMETD_ERR_SCHEMA_INVALID' }],
    ['/service/a', { schema: { request: Type.String(), result: Type.String() } }, { code: 'COMETD_ERR_SCHEMA_INVALID' }],
    ['/meta/connect', { publish: true }, { code: 'COMETD_ERR_CHANNEL_UNFIT', message: "messages cannot be declared for '/meta/connect'" }],
    ['no/slash', {}, { code: 'COMETD_ERR_CHANNEL_INVALID' }]
  ] as const) {
    t.throws(() => cometd.createServerChannel(name, settings as never), error, `${name} ${JSON.stringify(settings)}`)
    t.equal(cometd.getServerChannel('/a'), undefined)
  }
  try {
    cometd.createServerChannel('/a', { schema: { type: 'nonsense' } })
  } catch (err) {
    t.type((err as Error).cause, Error, 'what the compiler says')
  }
  const app = Fastify()
  t.teardown(async () => await app.close())
  await t.rejects(async () => await app.register((await import('../../plugin/index.js')).default, { channels: { '/a': { schema: { type: 'nonsense' } } } }), { code: 'COMETD_ERR_SCHEMA_INVALID' })
})

t.test('schemas may have formats, and refer to those that were added to Fastify', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  app.addSchema({ $id: 'user', type: 'object', properties: { name: { type: 'string' } }, required: ['name'] })
  app.addSchema(Type.String({ $id: 'word', pattern: '^[a-z]+$' }))
  await app.register(cometd)
  FormatRegistry.Set('even', text => text.length % 2 === 0)
  t.teardown(() => FormatRegistry.Delete('even'))
  const declare = app.cometd.createServerChannel.bind(app.cometd) as (name: string, settings: ChannelSettings) => unknown
  declare('/mail', { schema: Type.Object({ to: Type.Array(Type.String({ format: 'email' })) }) })
  declare('/even', { schema: Type.String({ format: 'even' }) })
  declare('/user', { schema: { type: 'object', properties: { user: { $ref: 'user#' } } } })
  declare('/word', { schema: Type.Object({ word: Type.Ref('word') }) })
  declare('/unsafe', { schema: Type.Unsafe({ type: 'string', enum: ['a', 'b'] }) })
  declare('/tree', { schema: Type.Recursive(This => Type.Object({ children: Type.Array(This) })) })
  declare('/bytes', { schema: Type.Uint8Array() })

  const session = app.cometd.newLocalSession()
  await session.handshake()
  const outcome = async (channel: string, data: unknown): Promise<unknown> => {
    const { successful, error } = await session.publish(channel, data)
    return successful === true || error
  }
  t.equal(await outcome('/mail', { to: ['ada@example.com'] }), true)
  t.equal(await outcome('/mail', { to: ['ada'] }), '400:/to/0:must match format "email"')
  t.equal(await outcome('/even', 'abc'), "400::Expected string to match 'even' format")
  t.equal(await outcome('/user', { user: { name: 'ada' } }), true)
  t.equal(await outcome('/user', { user: {} }), "400:/user:must have required property 'name'")
  t.equal(await outcome('/word', { word: 'abc' }), true)
  t.match(await outcome('/word', { word: 'A' }), /^400:\/word:/)
  t.equal(await outcome('/unsafe', 'b'), true)
  t.match(await outcome('/unsafe', 'c'), /^400::/)
  t.equal(await outcome('/tree', { children: [{ children: [] }] }), true)
  t.match(await outcome('/tree', { children: [{}] }), /^400:\/children\/0\/children:/)
  t.match(await outcome('/bytes', 'text'), /^400::/)
})

t.test('the schema of a binary channel is one of bytes', async t => {
  const { cometd, open } = await start(t)
  cometd.addExtension(new BinaryExtension())
  const channel = cometd.createServerChannel('/bytes', { schema: Type.Uint8Array({ maxByteLength: 4 }) })
  t.equal(channel.publish(null, Buffer.from('abcd')), true)
  t.throws(() => channel.publish(null, Buffer.from('abcde')), { code: 'COMETD_ERR_DATA_UNFIT' })
  const client = await open()
  t.match(await client.publish('/bytes', { data: 'HelloWorld', last: true }, { ext: { binary: {} } }), { successful: false, error: /^400::/ })
})

t.test('nothing is coerced, defaulted or removed unless it is asked for', async t => {
  const schema = { type: 'object', properties: { n: { type: 'number' }, d: { type: 'string', default: 'x' } }, additionalProperties: false }
  const plain = await start(t, { channels: { '/n': { schema } } })
  const client = await plain.open()
  await client.subscribe('/n')
  t.match(await client.publish('/n', { n: '1' }), { error: '400:/n:must be number' })
  t.match(await client.publish('/n', { n: 1, other: 1 }), { error: '400::must NOT have additional properties' })
  t.strictSame((await client.send({ channel: '/n', data: { n: 1 } }))[0]?.['data'], { n: 1 })

  const asking = await start(t, { channels: { '/n': { schema } }, ajv: { customOptions: { coerceTypes: true, useDefaults: true, removeAdditional: true } } })
  const other = await asking.open()
  await other.subscribe('/n')
  t.strictSame((await other.send({ channel: '/n', data: { n: '1', other: 1 } }))[0]?.['data'], { n: 1, d: 'x' })
})

t.test('plugins of Ajv add what schemas need', async t => {
  const { open } = await start(t, {
    channels: { '/n': { schema: { type: 'number', odd: true } } },
    ajv: { plugins: [(ajv: { addKeyword: (keyword: object) => void }) => ajv.addKeyword({ keyword: 'odd', validate: (_: boolean, value: number) => value % 2 === 1 })] as never }
  })
  const client = await open()
  t.match(await client.publish('/n', 3), { successful: true })
  t.match(await client.publish('/n', 4), { successful: false, error: /^400::must pass "odd"/ })
})

t.test('two JSON Schemas cannot share an $id, one schema can be used twice', async t => {
  const { cometd } = await start(t)
  const schema = { $id: 'shared', type: 'string' }
  cometd.createServerChannel('/a', { schema })
  cometd.createServerChannel('/b', { schema })
  t.throws(() => cometd.createServerChannel('/c', { schema: { $id: 'shared', type: 'number' } }), { code: 'COMETD_ERR_SCHEMA_INVALID', message: "the schema of '/c': another schema has the $id 'shared'" })
})
