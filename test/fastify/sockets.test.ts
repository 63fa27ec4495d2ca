import t from 'tap'
import Fastify from 'fastify'
import { execFile } from 'node:child_process'
import { once as nodeOnce } from 'node:events'
import { Agent } from 'node:http'
import { connect as http2Connect, constants, type ClientHttp2Session } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import cometd from '../../plugin/index.js'
import { once, start, turn, type Wire } from '../helpers/harness.js'
import { listen, post } from '../helpers/http.js'

t.test('close() flushes large answers to slow readers, and leaves no socket behind', async t => {
  const { app, open } = await start(t, { maxQueueBytes: 50_000_000 })
  const url = await listen(app) + '/cometd'
  const agent = new Agent({ keepAlive: true })
  const one = await open()
  const suspended = once(one.session, 'suspended')
  const { response } = post(url, [{ channel: '/meta/connect', connectionType: 'long-polling', clientId: one.clientId }], { cookie: one.cookie as string }, agent)
  await suspended
  const { session } = one
  session.batch(() => {
    for (let i = 0; i < 20; i++) session.deliver(null, '/a', 'x'.repeat(500_000))
    app.close().catch(t.threw)
  })
  const messages = JSON.parse((await response).body) as Wire[]
  t.equal(messages.length, 21)
  t.match(messages.at(-1), { channel: '/meta/connect', successful: true, advice: { reconnect: 'retry' } })
  await app.close()
  t.notOk(app.server.listening)
})

t.test('no request target brings the server down', async t => {
  const { app, client } = await start(t)
  const { port } = new URL(await listen(app))
  for (const target of ['//', 'http://', '//:', 'http://:', '*', '/cometd//', '/%', '/cometd/%00', '/cometd/%ff', '?', '/cometd?' + 'x'.repeat(4_000)]) {
    const socket = connect(Number(port), '127.0.0.1')
    socket.end(`POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[7]`)
    let answer = ''
    for await (const chunk of socket.setEncoding('latin1')) answer += chunk
    t.match(answer, /^HTTP\/1\.1 [45]\d\d /, target.slice(0, 20))
  }
  t.equal((await client().handshake()).successful, true)
})

t.test('a page of another origin is granted nothing unless the application grants it', async t => {
  const { client } = await start(t)
  const { headers } = await client().post([{ channel: '/a' }], { origin: 'https://elsewhere.example' })
  t.strictSame(Object.keys(headers).filter(name => name.startsWith('access-control')), [])
})

t.test('HTTP/2: connects are held, answered, dropped and closed', async t => {
  const app = Fastify({ http2: true, forceCloseConnections: true })
  t.teardown(async () => await app.close())
  await app.register(cometd)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const client = http2Connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => { client.destroy() })
  let cookie = ''
  const send = (session: ClientHttp2Session, message: Wire) => {
    const stream = session.request({ ':method': 'POST', ':path': '/cometd', 'content-type': 'application/json', ...(cookie && { cookie }) })
    stream.end(JSON.stringify([message]))
    const answer = (async () => {
      const [headers] = await nodeOnce(stream, 'response')
      if (headers['set-cookie']) cookie = headers['set-cookie'][0].split(';')[0]
      let text = ''
      for await (const chunk of stream.setEncoding('utf8')) text += chunk
      return JSON.parse(text) as Wire[]
    })()
    answer.catch(() => {})
    return { stream, answer }
  }
  const [{ clientId }] = await send(client, { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }).answer as [Wire]
  const connect = { channel: '/meta/connect', connectionType: 'long-polling', clientId }
  t.match(await send(client, connect).answer, [{ successful: true }])
  const session = app.cometd.getServerSession(clientId)
  if (session === undefined) return t.fail('no session')
  const hold = async (): Promise<ReturnType<typeof send>> => {
    const suspended = once(session, 'suspended')
    const sent = send(client, connect)
    await suspended
    return sent
  }
  const first = await hold()
  session.deliver(null, '/a', 1)
  t.match(await first.answer, [{ data: 1 }, { successful: true }])

  const dropped = await hold()
  const resumed = once(session, 'resumed')
  dropped.stream.close(constants.NGHTTP2_CANCEL)
  await resumed
  session.deliver(null, '/a', 2)
  t.match(await send(client, connect).answer, [{ data: 2 }, { successful: true }], 'nothing is lost')

  const last = await hold()
  await app.close()
  t.match(await last.answer, [{ successful: true, advice: { reconnect: 'retry' } }])
})

t.test('a process with an idle application ends by itself; one with a held connect waits for it', async t => {
  const run = async (code: string): Promise<string> => {
    const program = `import Fastify from 'fastify'; import cometd from ${JSON.stringify(new URL('../../plugin/index.ts', import.meta.url).href)}
      const app = Fastify(); await app.register(cometd, { timeout: 150 })
      const send = async (message, cookie = '') => { const r = await app.inject({ method: 'POST', url: '/cometd', headers: { cookie }, payload: [message] }); return { cookie: r.headers['set-cookie']?.split(';')[0], message: r.json().at(-1) } }
      const { cookie, message: { clientId } } = await send({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] })
      const connect = { channel: '/meta/connect', connectionType: 'long-polling', clientId }
      await send(connect, cookie)
      app.cometd.createServerChannel('/a')
      ${code}`
    const { stdout } = await promisify(execFile)(process.execPath, ['--import=@tapjs/typescript/import', '--input-type=module', '-e', program], { cwd: fileURLToPath(new URL('../..', import.meta.url)), timeout: 20_000 })
    return stdout.trim()
  }
  t.equal(await run("console.log('idle')"), 'idle')
  t.equal(await run('console.log((await send(connect, cookie)).message.successful)'), 'true')
})

t.test('hundreds of held connects are answered on close', async t => {
  const { app, open } = await start(t)
  const url = await listen(app) + '/cometd'
  const agent = new Agent({ keepAlive: true })
  const answers: Array<Promise<{ status: number }>> = []
  for (let i = 0; i < 200; i++) {
    const one = await open()
    const suspended = once(one.session, 'suspended')
    answers.push(post(url, [{ channel: '/meta/connect', connectionType: 'long-polling', clientId: one.clientId }], { cookie: one.cookie as string }, agent).response)
    await suspended
  }
  await app.close()
  await turn()
  t.ok((await Promise.all(answers)).every(({ status }) => status === 200))
  t.equal(answers.length, 200)
})
