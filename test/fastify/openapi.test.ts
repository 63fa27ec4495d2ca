import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { compileErrors, validate } from '@readme/openapi-parser'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { Client } from '../helpers/harness.js'

type Document = { paths: Record<string, Record<string, Operation>>, components?: object }
interface Operation { summary: string, description: string, tags: string[], requestBody: { content: object }, responses: Record<string, { description: string, content: object }>, [field: string]: unknown }

async function build (t: Test, options: CometDPluginOptions & { prefix?: string } = {}, documented: FastifyDynamicSwaggerOptions = { openapi: {} }): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(swagger, documented)
  await app.register(cometd, options)
  app.get('/own', async () => 1)
  await app.ready()
  return app
}

async function documentOf (t: Test, options?: CometDPluginOptions & { prefix?: string }, documented?: FastifyDynamicSwaggerOptions): Promise<Document> {
  const document = (await build(t, options, documented)).swagger()
  const result = await validate(structuredClone(document) as never)
  t.ok(result.valid, result.valid ? 'it is sound' : compileErrors(result))
  // Typed by the version that it says of itself.
  return document as unknown as Document
}

for (const documented of [{ openapi: {} }, { openapi: { openapi: '3.1.0' } }, { openapi: { openapi: '3.0.3' } }, { swagger: {} }]) {
  t.test(`POST path is in the document: ${JSON.stringify(documented)}`, async t => {
    const { paths } = await documentOf(t, { prefix: '/api', asyncapi: { json: true, docs: true }, transports: ['long-polling', 'callback-polling'] }, documented)
    t.strictSame(Object.keys(paths), ['/api/cometd', '/own'])
    t.strictSame(Object.keys(paths['/api/cometd'] as object), ['post'])
    const operation = paths['/api/cometd']?.['post'] as Operation
    t.match(operation, { summary: 'Exchange Bayeux messages', description: /long-polling/, tags: ['CometD'] })
    t.strictSame(Object.keys(operation.responses), ['200', '400', '413', '415'])
    for (const [status, { description }] of Object.entries(operation.responses)) t.match(description, /^[A-Z]/, status)
  })
}

t.test('its body and its answers are described', async t => {
  const { post } = (await documentOf(t)).paths['/cometd'] as { post: Operation }
  t.match(post.requestBody, { required: true, content: { 'application/json': { schema: { type: 'array', items: { required: ['channel'], properties: { channel: { type: 'string', description: /\/meta\/handshake/ }, data: {}, ext: { type: 'object' } } } } } } })
  t.match(post.responses['200'], { content: { 'application/json': { schema: { type: 'array', items: { properties: { successful: { type: 'boolean' } } } } } } })
  t.match(post.responses['413'], { content: { 'application/json': { schema: { required: ['statusCode', 'error', 'message'] } } } })
})

t.test('it can be hidden, and is without long-polling', async t => {
  t.strictSame(Object.keys((await documentOf(t, { openapi: false })).paths), ['/own'])
  t.strictSame(Object.keys((await documentOf(t, { transports: ['websocket'] })).paths), ['/own'])
  const app = Fastify()
  await t.rejects(async () => await app.register(cometd, { openapi: 'no' as never }), { code: 'COMETD_ERR_OPTION_INVALID', message: /'openapi'/ })
})

t.test('a transform of the application does not see it, and one of the route goes first', async t => {
  const seen: string[] = []
  const transform: NonNullable<FastifyDynamicSwaggerOptions['transform']> = ({ schema, url }) => {
    if (schema?.hide !== true) seen.push(url)
    return { schema, url }
  }
  t.ok('/cometd' in (await documentOf(t, {}, { openapi: {}, transform } as never)).paths)
  t.strictSame(seen, ['/own'])
  const routeOptions = { config: { swaggerTransform: ({ url }: { url: string }) => ({ schema: { summary: 'Mine' }, url }), mine: 1 } } as never
  t.match((await documentOf(t, { routeOptions })).paths['/cometd'], { post: { summary: 'Mine' } })
})

t.test('what is described changes nothing', async t => {
  const app = await build(t)
  const client = new Client(app)
  t.match(await client.handshake({ mine: 1, supportedConnectionTypes: ['long-polling'] }), { successful: true, version: '1.0' })
  const [reply] = await client.raw({ channel: '/a', clientId: client.clientId, id: 5, data: null, ext: null, more: { a: 1 } })
  t.match(reply, { channel: '/a', id: 5, successful: true })
  t.match((await client.post({ channel: '/a', clientId: client.clientId, data: 1 })).json(), [{ channel: '/a', successful: true }], 'a single message, too')
  const refused = (await client.post([{ channel: 5 }])).json()
  t.strictSame(Object.keys(refused), ['statusCode', 'code', 'error', 'message'])
})

t.test('errors are written by the application\'s own error handler, whatever it writes', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  app.setErrorHandler((error, request, reply) => { reply.code(400).send({ own: { code: (error as { code: string }).code } }) })
  await app.register(swagger, { openapi: {} })
  await app.register(cometd)
  t.strictSame((await new Client(app).post([{ channel: 5 }])).json(), { own: { code: 'FST_ERR_VALIDATION' } })
})
