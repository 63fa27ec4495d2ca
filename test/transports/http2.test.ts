import Fastify from 'fastify'
import { connect, type ClientHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import cometd, { type ServerSession } from '../../plugin/index.js'
import { once, type Wire } from '../helpers/harness.js'

async function post (http2: ClientHttp2Session, messages: Wire[], cookie: string): Promise<{ messages: Wire[], cookie: string }> {
  const stream = http2.request({ ':method': 'POST', ':path': '/cometd', 'content-type': 'application/json', cookie })
  stream.end(JSON.stringify(messages))
  let set = cookie
  stream.on('response', headers => { set = headers['set-cookie']?.[0]?.split(';')[0] ?? cookie })
  let text = ''
  for await (const chunk of stream.setEncoding('utf8')) text += chunk as string
  return { messages: JSON.parse(text), cookie: set }
}

t.test('over HTTP/2, http2MaxSessionsPerBrowser says how many connects of a browser are held', async t => {
  const app = Fastify({ http2: true, forceCloseConnections: true })
  t.teardown(async () => await app.close())
  await app.register(cometd, { maxSessionsPerBrowser: 0, transports: ['long-polling'] })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const http2 = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => http2.close())

  let cookie = ''
  const join = async (): Promise<Wire> => {
    const added = once(app.cometd, 'sessionAdded')
    const answer = await post(http2, [{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }], cookie)
    cookie = answer.cookie
    const message = { channel: '/meta/connect', connectionType: 'long-polling', clientId: answer.messages[0]?.['clientId'] }
    await post(http2, [message], cookie)
    return { message, session: (await added)[0] }
  }
  const tabs = [await join(), await join(), await join()]
  const held = tabs.slice(0, 2).map(async ({ message, session }) => {
    const suspended = once(session as ServerSession, 'suspended')
    const answer = post(http2, [message], cookie)
    await suspended
    return { answer }
  })
  const answers = await Promise.all(held)
  t.strictSame(app.cometd.statistics.heldConnects, { 'long-polling': 2 }, 'as many as there are, by default')

  app.cometd.options.http2MaxSessionsPerBrowser = 2
  t.match((await post(http2, [tabs[2]?.['message']], cookie)).messages[0]?.['advice'], { 'multiple-clients': true, interval: 2_000 })
  tabs[0]?.['session'].deliver(null, '/a', 1)
  t.match((await answers[0]?.answer)?.messages, [{ data: 1 }, {}])
  const suspended = once(tabs[2]?.['session'], 'suspended')
  post(http2, [tabs[2]?.['message']], cookie).catch(() => {})
  await suspended
  t.strictSame(app.cometd.statistics.heldConnects, { 'long-polling': 2 })
  await app.cometd.close()
  t.strictSame(app.cometd.statistics.heldConnects, { 'long-polling': 0 })
  await answers[1]?.answer
})
