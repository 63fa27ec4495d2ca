import { Parser } from '@asyncapi/parser'
import fastifyStatic from '@fastify/static'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, promisify } from 'node:util'
import t, { type Test } from 'tap'
import { type JsonSchema, Names, SchemaBook } from '../plugin/bayeux/json-schemas.js'
import cometd, { type AsyncApiDocument, type CometDPluginOptions, createCometDServer } from '../plugin/index.js'
import { start } from './helpers/harness.js'
import { listen } from './helpers/http.js'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What AsyncAPI's own parser finds wrong. It says that there is a newer version of AsyncAPI, which is not. */
async function faultsOf (document: AsyncApiDocument): Promise<string[]> {
  const { diagnostics } = await new Parser().parse(JSON.stringify(document))
  return diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version').map(({ code, message, path }) => `${code}: ${message} (${path.join('.')})`)
}

/** The document of an application, which the parser has found sound. */
async function describe (t: Test, prepare: (app: FastifyInstance) => unknown, options: CometDPluginOptions = {}): Promise<AsyncApiDocument> {
  const { app } = await start(t, options)
  await prepare(app)
  const document = app.cometd.asyncapi()
  t.ok(isDeepStrictEqual(document, JSON.parse(JSON.stringify(document))), 'it is plain JSON')
  t.strictSame(await faultsOf(document), [])
  return document
}

function book (schema: object, ...shared: object[]): { written: JsonSchema, schemas: Record<string, unknown> } {
  const book = new SchemaBook('#/s', shared)
  const written = book.write(schema, 'hint')
  return { written, schemas: Object.fromEntries(book.schemas) }
}

t.test('an application with all kinds of channels has a document that AsyncAPI\'s own parser takes', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  app.addSchema({ $id: 'address', title: 'Address', type: 'object', properties: { street: { type: 'string' }, near: { type: 'array', items: { $ref: '#' } } } })
  await app.register(cometd)
  const { cometd: server } = app
  const Chat = Type.Object({ user: Type.String({ description: 'Who wrote it' }), text: Type.String() }, { $id: 'Chat', title: 'Chat message', description: 'What *somebody* wrote', examples: [{ user: 'ada', text: 'Hi' }, { user: 'grace', text: 'Hello' }] })
  server.createServerChannel('/chat/{room}', { title: 'Chat', description: 'A room', schema: Chat, roles: { publish: ['member', 'admin'] } })
  server.createServerChannel('/news/**', { schema: Type.String({ examples: ['Rain'] }), publish: false })
  server.createServerChannel('/tree/*', { schema: Type.Recursive(This => Type.Object({ name: Type.String(), children: Type.Array(This) }), { title: 'Tree' }) })
  server.createServerChannel('/addresses', { schema: { type: 'object', properties: { home: { $ref: 'address#' }, street: { $ref: 'address#/properties/street' } } } })
  server.createServerChannel('/hidden', { hide: true, schema: Type.Number({ $id: 'Hidden' }) })
  server.createServerChannel('/undeclared')
  server.createServerChannel('/any', {})
  server.service('/service/time', { title: 'The time', schema: { request: Type.Null(), response: Type.Integer({ title: 'Milliseconds', examples: [1_700_000_000_000] }) } }, () => 1)
  server.service('/service/note', { schema: { request: Type.String() } }, () => undefined)
  server.remoteCall('rooms/{id}/join', { schema: { parameters: Type.Object({ name: Type.String() }), result: Type.Object({ seat: Type.Integer() }) } }, () => ({ seat: 1 }))
  server.remoteCall('leave', { schema: { parameters: Type.Null() } }, () => undefined)

  const document = server.asyncapi()
  t.strictSame(await faultsOf(document), [])
  t.match(document, { asyncapi: '3.0.0', info: { title: 'CometD API', version: '1.0.0' }, defaultContentType: 'application/json' })
  t.strictSame(Object.keys(document.channels), ['chat_room', 'news_all', 'tree_any', 'addresses', 'any', 'service_time', 'service_note', 'service_rooms_id_join', 'service_leave'])

  t.test('a template', async t => {
    t.strictSame(document.channels['chat_room'], {
      address: '/chat/{room}',
      title: 'Chat',
      description: 'A room',
      parameters: { room: { description: 'One segment of the name' } },
      messages: {
        chat_room: {
          name: 'chat_room',
          title: 'Chat message',
          description: 'What *somebody* wrote',
          payload: { $ref: '#/components/schemas/Chat' },
          examples: [{ payload: { user: 'ada', text: 'Hi' } }, { payload: { user: 'grace', text: 'Hello' } }]
        }
      }
    })
    const messages = [{ $ref: '#/channels/chat_room/messages/chat_room' }]
    const channel = { $ref: '#/channels/chat_room' }
    t.strictSame(document.operations['receive_chat_room'], { action: 'receive', channel, summary: 'Clients publish.', description: 'Needs one of the roles `member`, `admin`.', messages })
    t.strictSame(document.operations['send_chat_room'], { action: 'send', channel, summary: 'Subscribers get what is published.', messages })
    t.match(document.components.schemas['Chat'], { title: 'Chat message', description: 'What *somebody* wrote', type: 'object', properties: { user: { type: 'string', description: 'Who wrote it' } }, examples: [{ user: 'ada' }, {}] })
  })

  t.test('wildcards', async t => {
    t.match(document.channels['news_all'], { address: '/news/**', title: '/news/**', description: '`**` stands for one or more segments.', messages: { news_all: { title: '/news/**', payload: { type: 'string', examples: ['Rain'] }, examples: [{ payload: 'Rain' }] } } })
    t.match(document.channels['tree_any'], { address: '/tree/*', description: '`*` stands for any one segment.', messages: { tree_any: { title: 'Tree', payload: { $ref: '#/components/schemas/Tree' } } } })
    t.strictSame(document.components.schemas['Tree'], { title: 'Tree', type: 'object', required: ['name', 'children'], properties: { name: { type: 'string' }, children: { type: 'array', items: { $ref: '#/components/schemas/Tree' } } } })
  })

  t.test('references to schemas of the application', async t => {
    t.strictSame(document.channels['addresses']?.messages['addresses']?.payload, { type: 'object', properties: { home: { $ref: '#/components/schemas/address' }, street: { $ref: '#/components/schemas/street' } } })
    t.match(document.components.schemas, { address: { title: 'Address', properties: { near: { items: { $ref: '#/components/schemas/address' } } } }, street: { type: 'string' } })
    t.strictSame(Object.keys(document.components.schemas), ['Chat', 'Tree', 'address', 'street'], 'and of nothing that is hidden')
  })

  t.test('a channel without a schema', async t => {
    t.strictSame(document.channels['any'], { address: '/any', title: '/any', messages: { any: { name: 'any', title: '/any', description: 'Any JSON.' } } })
  })

  t.test('a service', async t => {
    t.strictSame(document.channels['service_time']?.messages, {
      service_time_request: { name: 'service_time_request', title: 'The time: request', payload: { type: 'null' } },
      service_time_response: { name: 'service_time_response', title: 'Milliseconds', payload: { title: 'Milliseconds', type: 'integer', examples: [1_700_000_000_000] }, examples: [{ payload: 1_700_000_000_000 }] }
    })
    const channel = { $ref: '#/channels/service_time' }
    t.strictSame(document.operations['receive_service_time'], {
      action: 'receive',
      channel,
      summary: 'Clients ask, and get an answer.',
      messages: [{ $ref: '#/channels/service_time/messages/service_time_request' }],
      reply: { channel, messages: [{ $ref: '#/channels/service_time/messages/service_time_response' }] }
    })
    t.match(document.operations['receive_service_note'], { summary: 'Clients tell the application something.', reply: undefined })
  })

  t.test('a remote call', async t => {
    t.match(document.channels['service_rooms_id_join'], { address: '/service/rooms/{id}/join', parameters: { id: {} }, messages: { service_rooms_id_join_parameters: { payload: { type: 'object' } }, service_rooms_id_join_result: {} } })
    t.match(document.operations['receive_service_rooms_id_join'], { summary: "Clients call remoteCall('rooms/{id}/join').", reply: { messages: [{ $ref: '#/channels/service_rooms_id_join/messages/service_rooms_id_join_result' }] } })
    t.match(document.operations['receive_service_leave'], { reply: undefined })
  })

  t.strictSame(Object.keys(document.operations), ['receive_chat_room', 'send_chat_room', 'send_news_all', 'receive_tree_any', 'send_tree_any', 'receive_addresses', 'send_addresses', 'receive_any', 'send_any', 'receive_service_time', 'receive_service_note', 'receive_service_rooms_id_join', 'receive_service_leave'])
})

t.test('what nobody may do is no operation', async t => {
  const { operations } = await describe(t, ({ cometd }) => {
    const schema = { response: Type.String() }
    cometd.createServerChannel('/in', { subscribe: false })
    cometd.createServerChannel('/out', { publish: false })
    cometd.createServerChannel('/neither', { publish: false, subscribe: false })
    cometd.createServerChannel('/asked', { publish: async () => false })
    cometd.createServerChannel('/service/in', { schema, subscribe: false })
    cometd.createServerChannel('/service/out', { schema, publish: false })
    cometd.createServerChannel('/service/neither', { publish: false })
  })
  t.strictSame(Object.keys(operations), ['receive_in', 'send_out', 'receive_asked', 'send_asked', 'receive_service_in', 'send_service_out'])
  t.match(operations['send_service_out'], { action: 'send', summary: 'The application sends something to single clients.', messages: [{ $ref: '#/channels/service_out/messages/service_out_response' }] })
})

t.test('what a wider pattern says holds for a channel that says nothing itself', async t => {
  const { channels, operations } = await describe(t, ({ cometd }) => {
    cometd.createServerChannel('/game/**', { schema: Type.Number(), publish: false, roles: { subscribe: ['player'] } })
    cometd.createServerChannel('/game/score', { title: 'Score' })
    cometd.createServerChannel('/game/chat', { schema: Type.String(), publish: true, subscribe: true })
    cometd.createServerChannel('/**', { roles: ['user'], schema: Type.Boolean() })
    cometd.createServerChannel('/service/echo', {})
  })
  t.strictSame(channels['game_score']?.messages, { game_score: { name: 'game_score', title: 'Score', payload: { type: 'number' } } })
  t.notOk('receive_game_score' in operations)
  t.match(operations['send_game_score'], { description: 'Needs one of the roles `player`.' })
  t.match(channels['game_chat']?.messages, { game_chat: { payload: { type: 'string' } } })
  t.match(operations['receive_game_chat'], { description: undefined })
  t.match(channels['service_echo']?.messages, { service_echo_request: { payload: { type: 'boolean' } }, service_echo_response: { payload: { type: 'boolean' } } })
})

t.test('names of channels become ids that are safe, and each its own', async t => {
  const names = ['/a/b', '/a_b', '/a/*', '/a/**', '/**', '/__proto__', '/constructor', '/-', '/a{b}c', '/{b}x/{c}', '/service/toString', '/#']
  const { channels, components } = await describe(t, ({ cometd }) => {
    for (const name of names) cometd.createServerChannel(name, name.startsWith('/service/') ? {} : { schema: { $id: name, type: 'string' } })
  })
  t.strictSame(Object.keys(channels), ['a_b', 'a_b_2', 'a_any', 'a_all', 'all', 'proto', 'constructor', 'channel', 'a_b_c', 'b_x_c', 'service_toString', 'channel_2'])
  t.strictSame(Object.values(channels).map(({ address }) => address), names.map(name => name.includes('{') ? null : name), 'and AsyncAPI would take a brace in a segment for a parameter')
  t.notOk(channels['b_x_c']?.parameters)
  t.strictSame(Object.keys(components.schemas), ['b', 'a_b', 'Schema', 'Schema_2', 'Schema_3', 'proto', 'constructor', 'Schema_4', 'a_b_c', 'c', 'channel_2'])
  const taken = new Names()
  t.strictSame([taken.take('?', 'x'), taken.take('x', 'y'), taken.take('x', 'y')], ['x', 'x_2', 'x_3'])
})

t.test('properties of any name stay what they are', async t => {
  const text = '{"type":"object","properties":{"__proto__":{"type":"string"},"constructor":true}}'
  t.equal(JSON.stringify(book(JSON.parse(text)).written), text)
})

t.test('schemas become plain draft-07', async t => {
  await t.test('without what JSON does not have', async t => {
    const { written } = book(Type.Object({
      date: Type.Date({ title: 'When' }),
      bytes: Type.Uint8Array({ maxByteLength: 5 }),
      expression: Type.RegExp(/^a+$/i),
      nothing: Type.Undefined(),
      code: Type.Optional(Type.Function([Type.String()], Type.Number(), { description: 'What to do' })),
      large: Type.BigInt({ minimum: 5n }),
      number: Type.Number({ default: 5n, onClick: () => 1, kept: { when: new Date(0) } })
    }))
    t.strictSame(written, {
      type: 'object',
      required: ['date', 'bytes', 'expression', 'nothing', 'large', 'number'],
      properties: {
        date: { type: 'string', format: 'date-time', description: 'A date', title: 'When' },
        bytes: { description: 'Bytes' },
        expression: { type: 'string', description: 'Text that matches /^a+$/i' },
        nothing: { not: {}, description: 'undefined: nothing that JSON has' },
        code: { not: {}, description: 'What to do' },
        large: { not: {}, description: 'bigint: nothing that JSON has' },
        number: { default: 5, kept: { when: '1970-01-01T00:00:00.000Z' }, type: 'number' }
      }
    })
  })

  await t.test('and without what AsyncAPI reads otherwise', async t => {
    t.strictSame(book({
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      discriminator: { propertyName: 'kind' },
      properties: { kind: { type: 'string', nullable: true, examples: 'cat' }, either: { nullable: true } },
      examples: [{ kind: 'cat' }, [1]]
    }).written, {
      type: 'object',
      discriminator: 'kind',
      properties: { kind: { type: ['string', 'null'], examples: ['cat'] }, either: {} },
      examples: [{ kind: 'cat' }, [1]]
    })
  })

  await t.test('what looks like a schema and is data stays as it is', async t => {
    const data = { $id: 'x', $ref: '#/nowhere', type: 'Date', definitions: {} }
    const schema = { enum: [data], const: data, default: data, properties: { const: { $ref: '#/definitions/a' }, $ref: { type: 'string' }, $id: true, never: false }, definitions: { a: { type: 'number' } } }
    t.strictSame(book(schema), { written: { enum: [data], const: data, default: data, properties: { const: { $ref: '#/s/a' }, $ref: { type: 'string' }, $id: true, never: false } }, schemas: { a: { type: 'number' } } })
  })

  await t.test('schemas are wherever draft-07 has them', async t => {
    const a = { $ref: '#/definitions/a' }
    const here = { $ref: '#/s/a' }
    const { written } = book({ definitions: { a: {} }, items: [a, a], additionalItems: a, contains: a, patternProperties: { x: a }, propertyNames: a, dependencies: { x: ['y'], z: a }, if: a, then: a, else: a, not: a, allOf: [a], anyOf: [a], oneOf: [a] })
    t.strictSame(written, { items: [here, here], additionalItems: here, contains: here, patternProperties: { x: here }, propertyNames: here, dependencies: { x: ['y'], z: here }, if: here, then: here, else: here, not: here, allOf: [here], anyOf: [here], oneOf: [here] })
  })
})

t.test('references lead to components', async t => {
  await t.test('to the whole schema', async t => {
    t.strictSame(book({ type: 'object', properties: { next: { $ref: '#' } } }), {
      written: { $ref: '#/s/hint' },
      schemas: { hint: { type: 'object', properties: { next: { $ref: '#/s/hint' } } } }
    })
  })

  await t.test('to a part of it, by pointer or by name', async t => {
    const { written, schemas } = book({
      definitions: { 'a/b': { type: 'string' }, 'c~d': { type: 'number' }, 'e f': true, place: { $id: '#place', type: 'null' }, anchor: { $anchor: 'anchor', type: 'boolean' } },
      allOf: ['#/definitions/a~1b', '#/definitions/c~0d', '#/definitions/e%20f', '#place', '#anchor', '#/allOf/0'].map($ref => ({ $ref }))
    })
    t.strictSame(written, { allOf: [{ $ref: '#/s/a_1b' }, { $ref: '#/s/c_0d' }, true, { $ref: '#/s/place' }, { $ref: '#/s/anchor' }, { $ref: '#/s/0' }] })
    t.strictSame(schemas, { a_1b: { type: 'string' }, c_0d: { type: 'number' }, place: { type: 'null' }, anchor: { type: 'boolean' }, 0: { $ref: '#/s/a_1b' } })
  })

  await t.test('to a part where there are usually no schemas', async t => {
    t.strictSame(book({ parts: { a: { properties: { b: { $ref: '#/parts/c' } } }, c: { type: 'string' } }, $ref: '#/parts/a' }).schemas, { a: { properties: { b: { $ref: '#/s/c' } } }, c: { type: 'string' } })
  })

  await t.test('by $ids, which are relative to each other', async t => {
    const { written, schemas } = book({
      $id: 'https://example.org/schemas/person.json',
      properties: { home: { $ref: 'address.json' }, pet: { $ref: '/animals/pet.json#/definitions/name' } },
      definitions: {
        address: { $id: 'address.json', properties: { lives: { $ref: 'person.json#' }, self: { $ref: '#' } } },
        pet: { $id: 'https://example.org/animals/pet.json', definitions: { name: { type: 'string' } } }
      }
    })
    t.strictSame(written, { $ref: '#/s/person' })
    t.strictSame(schemas, {
      person: { properties: { home: { $ref: '#/s/address' }, pet: { $ref: '#/s/name' } } },
      address: { properties: { lives: { $ref: '#/s/person' }, self: { $ref: '#/s/address' } } },
      name: { type: 'string' }
    })
    t.strictSame(Object.keys(book({ $id: 'urn:example:thing#', items: { $ref: '#' } }).schemas), ['thing'])
  })

  await t.test('to schemas that others share', async t => {
    const Shared = Type.Object({ a: Type.String() }, { $id: 'Shared' })
    t.strictSame(book(Type.Object({ one: Type.Ref('Shared'), two: { $ref: 'Shared#' } as never }), Shared), {
      written: { type: 'object', required: ['one', 'two'], properties: { one: { $ref: '#/s/Shared' }, two: { $ref: '#/s/Shared' } } },
      schemas: { Shared: { type: 'object', required: ['a'], properties: { a: { type: 'string' } } } }
    })
    t.strictSame(book({ $ref: 'Shared', definitions: { own: { $id: 'Shared', type: 'null' } } }, Shared).schemas, { Shared: { type: 'null' } }, 'but the own are nearer')
  })

  await t.test('to those of a module', async t => {
    const module = Type.Module({ Node: Type.Object({ children: Type.Array(Type.Ref('Node')) }) })
    t.strictSame(book(module.Import('Node')), { written: { $ref: '#/s/Node' }, schemas: { Node: { type: 'object', required: ['children'], properties: { children: { type: 'array', items: { $ref: '#/s/Node' } } } } } })
  })

  await t.test('and what is beside them counts', async t => {
    t.strictSame(book({ definitions: { a: {} }, items: { $ref: '#/definitions/a', description: 'An a' }, not: { $ref: '#/definitions/a', allOf: [{ type: 'string' }] } }).written, {
      items: { description: 'An a', allOf: [{ $ref: '#/s/a' }] },
      not: { allOf: [{ $ref: '#/s/a' }, { type: 'string' }] }
    })
  })

  await t.test('what leads out of all that is known is only described', async t => {
    for (const $ref of ['http://json-schema.org/draft-07/schema#', '#/nowhere', '#/a/b/c', '#nothing', 'a b', 'http://[']) t.strictSame(book({ items: { $ref }, a: { b: 1 } }).written, { items: { description: `What ${$ref} says` }, a: { b: 1 } })
  })

  await t.test('copies of a schema are one component, others of that $id are not', async t => {
    const Name = Type.String({ $id: 'Name' })
    t.strictSame(book(Type.Object({ a: Name, b: Type.Optional(Name), c: Type.Number({ $id: 'Name' }) })), {
      written: { type: 'object', required: ['a', 'c'], properties: { a: { $ref: '#/s/Name' }, b: { $ref: '#/s/Name' }, c: { $ref: '#/s/Name_2' } } },
      schemas: { Name: { type: 'string' }, Name_2: { type: 'number' } }
    })
  })

  await t.test('a component is named by its $id, its title, how it is referred to, or where it stands', async t => {
    const names = (schema: object): string[] => Object.keys(book(schema).schemas)
    t.strictSame(names({ definitions: { a: { title: 'A title', $id: 'id' } }, items: { $ref: 'id' } }), ['id'])
    t.strictSame(names({ definitions: { a: { title: 'A title' } }, items: { $ref: '#/definitions/a' } }), ['A_title'])
    t.strictSame(names({ title: '??', items: { $ref: '#' } }), ['Schema'])
    t.strictSame(names(Type.Recursive(This => Type.Array(This))), ['hint'])
  })

  await t.test('a schema that refers to nothing but itself does no harm', async t => {
    const book = new SchemaBook('#/s', [])
    const written = book.write({ $id: 'A', $ref: 'A' }, 'hint')
    t.strictSame([written, ...book.schemas.values()], [{ $ref: '#/s/A' }, { $ref: '#/s/A' }])
    t.notOk(book.read(written).title)
  })
})

t.test('titles, descriptions and examples are found behind a reference', async t => {
  const { app } = await start(t)
  app.addSchema({ $id: 'weather', title: 'Weather', description: 'As it is', examples: [{ rain: true }], type: 'object' })
  app.cometd.createServerChannel('/weather', { schema: { $ref: 'weather#' } })
  t.strictSame(app.cometd.asyncapi().channels['weather']?.messages['weather'], { name: 'weather', title: 'Weather', description: 'As it is', payload: { $ref: '#/components/schemas/weather' }, examples: [{ payload: { rain: true } }] })
})

t.test('what is declared stays as it is, and what is given is a copy', async t => {
  const schema = { $id: 'a', type: 'object', properties: { next: { $ref: '#' } }, examples: [{ next: {} }] }
  const info = { title: 'Mine', tags: [{ name: 'one' }] }
  const before = JSON.stringify([schema, info])
  const { app } = await start(t, { asyncapi: { info } })
  app.cometd.createServerChannel('/a', { schema })
  const document = app.cometd.asyncapi()
  document.info.tags?.push({ name: 'two' })
  document.channels['a']?.messages['a']?.examples?.pop()
  t.equal(JSON.stringify([schema, info]), before)
  t.match(app.cometd.asyncapi(), { info: { tags: [{ name: 'one' }] }, channels: { a: { messages: { a: { examples: [{}] } } } } })
})

t.test('info, servers and security schemes can be given', async t => {
  const info = { title: 'Chat', version: '2.1.0', description: 'For *all*', termsOfService: 'https://example.org/terms', contact: { name: 'Ada', url: 'https://example.org', email: 'ada@example.org' }, license: { name: 'MIT', url: 'https://example.org/mit' }, tags: [{ name: 'chat' }], externalDocs: { url: 'https://example.org/docs' } }
  const servers = { production: { host: 'chat.example', pathname: '/{tenant}/cometd', protocol: 'wss', variables: { tenant: { default: 'a' } } }, open: { host: 'open.example', protocol: 'https', security: [] } }
  const securitySchemes = { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } }
  const document = await describe(t, () => {}, { asyncapi: { info, servers, securitySchemes }, browserCookieName: 'MINE' })
  t.strictSame(document.info, info)
  const security = [{ $ref: '#/components/securitySchemes/cookie' }, { $ref: '#/components/securitySchemes/token' }]
  t.strictSame(document.servers, { production: { security, ...servers.production }, open: servers.open })
  t.match(document.components.securitySchemes, { cookie: { type: 'httpApiKey', in: 'cookie', name: 'MINE' }, token: securitySchemes.token })
  t.strictSame(Object.keys(document.components.securitySchemes), ['cookie', 'token'])
})

t.test('servers are where the application listens', async t => {
  const where = async (app: FastifyInstance, options: CometDPluginOptions & { prefix?: string } = {}): Promise<string[]> => {
    t.teardown(async () => await app.close())
    await app.register(cometd, options)
    return urls(app.cometd.asyncapi())
  }
  t.strictSame(await where(Fastify()), ['ws://localhost/cometd', 'http://localhost/cometd'])
  t.strictSame(await where(Fastify({ https: {} }) as never), ['wss://localhost/cometd', 'https://localhost/cometd'])
  t.strictSame(await where(Fastify(), { path: '/', transports: ['websocket'] }), ['ws://localhost/'])
  t.strictSame(await where(Fastify(), { path: '/', prefix: '/api/', transports: ['callback-polling'] }), ['http://localhost/api'])
  t.strictSame(urls(createCometDServer().asyncapi()), ['ws://localhost/', 'http://localhost/'])

  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(async scope => {
    await scope.register(cometd, { prefix: 'v1' })
    app.decorate('inner', scope.cometd)
  }, { prefix: '/api' })
  // The decorator is not in the types.
  const document = (): AsyncApiDocument => (app as unknown as { inner: typeof app.cometd }).inner.asyncapi()
  const { port } = new URL(await listen(app))
  t.strictSame(urls(document()), [`ws://127.0.0.1:${port}/api/v1/cometd`, `http://127.0.0.1:${port}/api/v1/cometd`])
  for (const [address, expected] of [
    [{ address: '0.0.0.0', family: 'IPv4', port: 8080 }, 'localhost:8080'], [{ address: '::', family: 'IPv6', port: 80 }, 'localhost'],
    [{ address: '::1', family: 'IPv6', port: 8080 }, '[::1]:8080'], [join(tmpdir(), 'socket'), 'localhost']
  ] as const) {
    app.addresses = () => [address as never]
    t.equal(document().servers['http']?.host, expected)
  }
  const secure = Fastify({ https: {} })
  secure.addresses = () => [{ address: '127.0.0.1', family: 'IPv4', port: 443 }]
  t.strictSame(await where(secure as never), ['wss://127.0.0.1/cometd', 'https://127.0.0.1/cometd'])
})

function urls ({ servers }: AsyncApiDocument): string[] {
  return Object.values(servers).map(({ protocol, host, pathname = '' }) => `${protocol}://${host}${pathname}`)
}

t.test('bad options fail the registration', async t => {
  const bad: Array<[unknown, RegExp]> = [
    [true, /^option 'asyncapi'/], [{ page: true }, /^option 'asyncapi.page'/], [{ json: 1 }, /^option 'asyncapi.json'/], [{ docs: 'yes' }, /^option 'asyncapi.docs'/],
    [{ info: { name: 'x' } }, /^option 'asyncapi.info.name'/], [{ info: { license: {} } }, /^option 'asyncapi.info.license.name'/],
    [{ servers: { 'a b': { host: 'a', protocol: 'ws' } } }, /^option 'asyncapi.servers.a b'/], [{ servers: { a: { host: 'a' } } }, /^option 'asyncapi.servers.a.protocol'/],
    [{ securitySchemes: { a: { type: 'magic' } } }, /^option 'asyncapi.securitySchemes.a.type'/]
  ]
  for (const [asyncapi, message] of bad) {
    const app = Fastify()
    await t.rejects(async () => await app.register(cometd, { asyncapi } as CometDPluginOptions), { code: 'COMETD_ERR_OPTION_INVALID', message }, JSON.stringify(asyncapi))
    await app.close()
  }
})

async function serve (t: Test, asyncapi: CometDPluginOptions['asyncapi'], options: CometDPluginOptions & { prefix?: string } = {}, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const { app } = await start(t, { ...(asyncapi !== undefined && { asyncapi }), ...options }, server)
  app.cometd.createServerChannel('/news', { title: 'News' })
  return app
}

t.test('there are no routes unless they are asked for', async t => {
  for (const asyncapi of [undefined, {}, { json: false, docs: false }]) {
    const app = await serve(t, asyncapi)
    for (const url of ['/cometd/asyncapi.json', '/cometd/docs', '/cometd/docs/asyncapi.json']) t.equal((await app.inject(url)).statusCode, 404, url)
    const polled = await serve(t, asyncapi, { transports: ['callback-polling'] })
    t.match((await polled.inject('/cometd/docs')).json(), { code: 'COMETD_ERR_TRANSPORT_UNKNOWN' })
  }
  const json = await serve(t, { json: true })
  t.equal((await json.inject('/cometd/docs')).statusCode, 404)
  const docs = await serve(t, { docs: true })
  t.equal((await docs.inject('/cometd/asyncapi.json')).statusCode, 404)
})

t.test('GET asyncapi.json is the document, with the servers as the client sees them', async t => {
  const app = await serve(t, { json: true }, { prefix: '/api' }, { trustProxy: true })
  const response = await app.inject({ url: '/api/cometd/asyncapi.json', headers: { host: 'chat.example:8080' } })
  t.match(response.headers, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  const document = response.json()
  t.strictSame({ ...document, servers: app.cometd.asyncapi().servers }, app.cometd.asyncapi())
  t.strictSame(urls(document), ['ws://chat.example:8080/api/cometd', 'http://chat.example:8080/api/cometd'])
  const proxied = await app.inject({ url: '/api/cometd/asyncapi.json', headers: { 'x-forwarded-host': 'public.example', 'x-forwarded-proto': 'https' } })
  t.strictSame(urls(proxied.json()), ['wss://public.example/api/cometd', 'https://public.example/api/cometd'])
  const nonsense = await app.inject({ url: '/api/cometd/asyncapi.json', headers: { host: 'no host' } })
  t.strictSame(urls(nonsense.json()), urls(app.cometd.asyncapi()))
  t.equal((await app.inject({ method: 'HEAD', url: '/api/cometd/asyncapi.json' })).statusCode, 404)
})

t.test('a client cannot say for others that it trusts no proxy', async t => {
  const app = await serve(t, { json: true })
  const { servers } = (await app.inject({ url: '/cometd/asyncapi.json', headers: { host: 'a.example', 'x-forwarded-host': 'b.example' } })).json()
  t.equal(servers.http.host, 'a.example')
})

t.test('the page and its files', async t => {
  const app = await serve(t, { docs: true }, { path: '/' })
  const page = await app.inject('/docs')
  t.match(page.headers, { 'content-type': 'text/html; charset=utf-8', 'x-content-type-options': 'nosniff', 'cache-control': 'no-store', 'content-security-policy': /^default-src 'none'; script-src 'self'; style-src 'self';/ })
  const links = [...page.body.matchAll(/ (?:src|href|data-document)="([^"]+)"/g)].map(([, link]) => link as string).filter(link => !link.startsWith('data:'))
  t.strictSame(links, ['docs/page.css', 'docs/component.css', 'docs/page.js', 'docs/component.js', 'docs/asyncapi.json'])
  for (const link of links) {
    const response = await app.inject(`/${link}`)
    t.equal(response.statusCode, 200, link)
    t.equal(response.headers['x-content-type-options'], 'nosniff', link)
    t.match(response.headers['content-type'], link.endsWith('.css') ? 'text/css' : link.endsWith('.js') ? 'javascript' : 'application/json', link)
  }
  t.match((await app.inject('/docs/asyncapi.json')).json(), { channels: { news: { title: 'News' } } })
  const { etag } = (await app.inject('/docs/component.js')).headers
  t.equal((await app.inject({ url: '/docs/component.js', headers: { 'if-none-match': etag as string } })).statusCode, 304)
  for (const url of ['/docs/', '/docs/index.js', '/docs/../package.json', '/docs/package.json']) t.equal((await app.inject(url)).statusCode, 404, url)
})

t.test('where trailing slashes are ignored, the page finds its files all the same', async t => {
  const app = await serve(t, { docs: true }, {}, { routerOptions: { ignoreTrailingSlash: true } })
  t.match((await app.inject('/cometd/docs/?a/b')).body, ' src="page.js"')
  t.match((await app.inject('/cometd/docs?a=/')).body, ' src="docs/page.js"')
})

t.test('hooks of routeOptions guard all of it', async t => {
  const app = await serve(t, { json: true, docs: true }, { routeOptions: { onRequest: async (request, reply) => { if (request.headers.authorization === undefined) await reply.code(401).send('') } } })
  for (const url of ['asyncapi.json', 'docs', 'docs/page.js', 'docs/page.css', 'docs/component.js', 'docs/component.css', 'docs/asyncapi.json']) {
    t.equal((await app.inject(`/cometd/${url}`)).statusCode, 401, url)
    t.equal((await app.inject({ url: `/cometd/${url}`, headers: { authorization: 'x' } })).statusCode, 200, url)
  }
})

t.test('callback-polling, and files of the application, go on beside it', async t => {
  const polled = await serve(t, { json: true, docs: true }, { transports: ['long-polling', 'callback-polling'] })
  t.equal((await polled.inject('/cometd/docs')).statusCode, 200)
  t.equal((await polled.inject('/cometd/asyncapi.json')).statusCode, 200)
  t.match((await polled.inject('/cometd/docs/else')).json(), { code: 'COMETD_ERR_TRANSPORT_UNKNOWN' })

  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(fastifyStatic, { root: join(root, 'docs'), prefix: '/cometd/', allowedPath: path => path === '/services.md' })
  await app.register(cometd, { asyncapi: { json: true, docs: true } })
  for (const url of ['services.md', 'docs', 'docs/component.css', 'asyncapi.json']) t.equal((await app.inject(`/cometd/${url}`)).statusCode, 200, url)
  t.equal((await app.inject('/cometd/api.md')).statusCode, 404)
})

for (const name of ['@fastify/static', '@asyncapi/react-component']) {
  t.test(`without ${name} there is no page, and its absence is told`, async t => {
    const hooks = `export const resolve = (specifier, context, next) => specifier.startsWith('${name}') ? Promise.reject(new Error('not there')) : next(specifier, context)`
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--import=@tapjs/typescript/import',
      `--import=data:text/javascript,${encodeURIComponent(`import { register } from 'node:module'; register('data:text/javascript,${encodeURIComponent(hooks).replaceAll("'", '%27')}')`)}`,
      '--input-type=module', '--eval', `
        import Fastify from 'fastify'
        import cometd from './plugin/index.js'
        for (const docs of [false, true]) {
          const app = Fastify()
          await app.register(cometd, { asyncapi: { json: true, docs } }).then(() => console.log('registered'), ({ code, message, cause }) => console.log(code, message, cause.message))
        }`
    ], { cwd: root })
    t.equal(stdout, `registered\nCOMETD_ERR_OPTION_INVALID option 'asyncapi.docs': the page needs the package ${name}, which cannot be loaded not there\n`)
  })
}
