import t from 'tap'
import Fastify from 'fastify'
import formbody from '@fastify/formbody'
import cometd from '../../plugin/index.js'
import { Client, start } from '../helpers/harness.js'

const message = JSON.stringify([{ channel: '/a', data: '€', id: '1' }])
const answer = [{ channel: '/a', id: '1', successful: false, error: '402::session_unknown' }]

t.test('B80: JSON is read under its names, with and without charset, and without a content type', async t => {
  const { client } = await start(t)
  for (const type of ['application/json', 'application/json;charset=UTF-8', 'application/json; charset="utf-8"', 'APPLICATION/JSON', 'text/json', 'text/json; charset=utf-8']) {
    t.strictSame((await client().post(message, { 'content-type': type })).json(), answer, type)
  }
  t.strictSame((await client().post(Buffer.from(message))).json(), answer, 'no content type')
})

t.test('anything else is 415', async t => {
  const { client } = await start(t)
  for (const type of ['text/plain', 'text/html', 'multipart/form-data; boundary=x', 'application/xml', 'x/y', 'nonsense']) {
    t.match((await client().post(message, { 'content-type': type })).json(), { statusCode: 415, code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' }, type)
  }
})

t.test('B81: a form has messages, one or many, single or in arrays', async t => {
  const { client } = await start(t)
  const form = async (...texts: string[]): Promise<number | unknown[]> => {
    const response = await client().post(new URLSearchParams(texts.map((text): [string, string] => ['message', text])).toString(), { 'content-type': 'application/x-www-form-urlencoded' })
    return response.statusCode === 200 ? response.json() : response.statusCode
  }
  const one = '{"channel":"/a","data":1}'
  t.equal((await form(one) as unknown[]).length, 1)
  t.equal((await form(`[${one},${one}]`, one) as unknown[]).length, 3)
  t.strictSame(await form('[]'), [])
  for (const texts of [[], ['{'], ['7'], ['null'], [one, ''], ['{"__proto__":{}}']]) t.equal(await form(...texts), 400, JSON.stringify(texts))
})

t.test('an array of hundreds of thousands is refused like any other that is too long', async t => {
  const { client } = await start(t)
  const many = `[${'{},'.repeat(250_000)}{}]`
  for (const [type, payload] of [['application/json', many], ['application/x-www-form-urlencoded', `message=${many}`]] as const) {
    t.match((await client().post(payload, { 'content-type': type })).json(), { statusCode: 413, code: /^COMETD_ERR_TOO_MANY_/ }, type)
  }
})

t.test('text of several bytes a character survives however it is cut', async t => {
  const { app, open } = await start(t)
  const one = await open()
  await one.subscribe('/a')
  const bytes = Buffer.from(JSON.stringify([{ channel: '/a', data: '€'.repeat(50), clientId: one.clientId }]))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { connect } = await import('node:net')
  const socket = connect((app.server.address() as { port: number }).port, '127.0.0.1')
  socket.setNoDelay(true)
  socket.write(`POST /cometd HTTP/1.1\r\nHost: x\r\nCookie: ${one.cookie}\r\nContent-Type: application/json\r\nContent-Length: ${bytes.length}\r\nConnection: close\r\n\r\n`)
  for (let i = 0; i < bytes.length; i += 7) {
    await new Promise(resolve => socket.write(bytes.subarray(i, i + 7), resolve))
  }
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  t.match(Buffer.concat(chunks).toString(), `"data":"${'€'.repeat(50)}"`)
})

t.test('keys that poison objects are a bad request', async t => {
  const { client } = await start(t)
  for (const payload of ['[{"channel":"/a","__proto__":{"x":1}}]', '[{"channel":"/a","data":{"__proto__":1}}]', '[{"channel":"/a","ext":{"constructor":{"prototype":{}}}}]']) {
    t.match((await client().post(payload, { 'content-type': 'application/json' })).json(), { statusCode: 400, code: 'FST_ERR_CTP_INVALID_JSON_BODY' })
  }
})

t.test('an application that lets such keys through is not poisoned either', async t => {
  const { client, cometd } = await start(t, {}, { onProtoPoisoning: 'ignore', onConstructorPoisoning: 'ignore' })
  let seen: Record<string, unknown> = {}
  cometd.policy = { canHandshake: (session, message) => { seen = message } }
  const response = await client().post('[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"__proto__":{"evil":true}}]', { 'content-type': 'application/json' })
  t.equal(response.json()[0].successful, true)
  t.equal(seen['evil'], undefined)
  t.equal(({} as Record<string, unknown>)['evil'], undefined)
})

t.test('the application keeps its own parsers', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(formbody)
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => done(null, 'any'))
  app.post('/echo', async request => ({ body: request.body }))
  await app.register(cometd)
  const echo = async (type: string, payload: string) => (await app.inject({ method: 'POST', url: '/echo', headers: { 'content-type': type }, payload })).json()
  t.strictSame(await echo('text/plain', 'x'), { body: 'x' })
  t.strictSame(await echo('x/y', 'x'), { body: 'any' })
  t.strictSame(await echo('application/x-www-form-urlencoded', 'a=1'), { body: { a: '1' } })
  t.equal((await new Client(app).post('x', { 'content-type': 'x/y' })).statusCode, 415)
})
