import t from 'tap'
import { runInNewContext } from 'node:vm'
import { start, type Harness, type Wire } from '../helpers/harness.js'

const transports = ['long-polling', 'callback-polling'] as const
const handshake = { id: '1', channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['callback-polling'] }

async function get ({ app }: Harness, query: string, path = '/cometd', cookie = ''): Promise<{ status: number, body: string, headers: Record<string, unknown>, messages: Wire[] }> {
  const { statusCode, body, headers } = await app.inject({ url: `${path}?${query}`, headers: { cookie } })
  const messages: Wire[] = []
  // The answer is a script: it is run as a page would run it.
  if (statusCode === 200) runInNewContext(body, { call: (array: Wire[]) => messages.push(...JSON.parse(JSON.stringify(array))), a: { b: { c_9: () => {} } } })
  return { status: statusCode, body, headers, messages }
}

const query = (...values: unknown[]): string => values.map(value => `message=${encodeURIComponent(JSON.stringify(value))}`).join('&')

t.test('callback-polling is off unless it is asked for', async t => {
  const harness = await start(t)
  t.equal((await get(harness, `jsonp=call&${query(handshake)}`)).status, 400)
})

t.test('B84, B85: one or many values of message are answered by a script that calls the function of the page', async t => {
  const harness = await start(t, { transports: [...transports] })
  const first = await get(harness, `jsonp=call&${query([handshake])}`)
  t.match(first.headers, { 'content-type': 'text/javascript; charset=utf-8', 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
  const [{ clientId, ...reply }] = first.messages as [Wire]
  t.match(reply, { channel: '/meta/handshake', successful: true, supportedConnectionTypes: ['long-polling', 'callback-polling'] })
  const cookie = String(first.headers['set-cookie']).split(';')[0]

  const subscribe = { id: '2', channel: '/meta/subscribe', clientId, subscription: '/a' }
  const publish = { id: '3', channel: '/a', clientId, data: 'x\u2028y\u2029</script>' }
  const second = await get(harness, `jsonp=call&${query(subscribe, [publish, { ...publish, id: '4' }])}`, '/cometd/', cookie)
  t.strictSame(second.messages.map(({ id, data }) => id ?? data), ['x\u2028y\u2029</script>', 'x\u2028y\u2029</script>', '2', '3', '4'])
  t.notMatch(second.body, /[\u2028\u2029]/, 'line ends of old scripts are escaped')
  t.match(second.body, /^\/\*\*\/call\(/)

  t.equal((await get(harness, `jsonp=call&${query(publish)}`)).messages[0]?.['error'], '402::session_unknown', 'the cookie counts')
})

t.test('B3: a connect is held', async t => {
  const harness = await start(t, { transports: [...transports] })
  const { cometd, clock } = harness
  const first = await get(harness, `jsonp=call&${query(handshake)}`)
  const clientId = first.messages[0]?.['clientId']
  const cookie = String(first.headers['set-cookie']).split(';')[0]
  const connect = { id: '2', channel: '/meta/connect', clientId, connectionType: 'callback-polling' }
  t.match((await get(harness, `jsonp=call&${query(connect)}`, '/cometd/connect', cookie)).messages, [{ id: '2', successful: true, advice: { reconnect: 'retry' } }])
  const held = get(harness, `jsonp=call&${query({ ...connect, id: '3' })}`, '/cometd/connect', cookie)
  const session = cometd.getServerSession(clientId)
  await new Promise<void>(resolve => session?.addListener('suspended', () => resolve()))
  session?.deliver(null, '/a', 1)
  t.match((await held).messages, [{ channel: '/a', data: 1 }, { id: '3', successful: true }])
  clock.tick(100)
})

t.test('only the name of a function is called', async t => {
  const harness = await start(t, { transports: [...transports] })
  for (const name of ['', 'a b', 'alert(1)//', 'a[0]', 'ä', 'x'.repeat(65)]) {
    const { status, body } = await get(harness, `jsonp=${encodeURIComponent(name)}&${query(handshake)}`)
    t.equal(status, 400, name)
    t.equal(JSON.parse(body).code, 'COMETD_ERR_CALLBACK_INVALID')
  }
  t.equal((await get(harness, `jsonp=call&jsonp=call&${query(handshake)}`)).status, 400)
  t.equal((await get(harness, `jsonp=a.b.c_9&${query(handshake)}`)).status, 200)
})

t.test('what is not made of messages is refused', async t => {
  const harness = await start(t, { transports: [...transports], maxMessages: 2 })
  for (const [text, code] of [
    ['jsonp=call', 'COMETD_ERR_TRANSPORT_UNKNOWN'],
    [query(handshake), 'COMETD_ERR_TRANSPORT_UNKNOWN'],
    ['jsonp=call&message={', 'FST_ERR_CTP_INVALID_JSON_BODY'],
    ['jsonp=call&message=', 'FST_ERR_CTP_EMPTY_JSON_BODY'],
    ['jsonp=call&message=[1]', 'COMETD_ERR_MESSAGES_INVALID'],
    [`jsonp=call&${query({ channel: 1 })}`, 'COMETD_ERR_MESSAGES_INVALID'],
    [`jsonp=call&${query({ channel: '/a' }, { channel: '/a' }, { channel: '/a' })}`, 'COMETD_ERR_TOO_MANY_MESSAGES']
  ] as Array<[string, string]>) {
    const { status, body } = await get(harness, text)
    t.ok(status === 400 || status === 413, text)
    t.equal(JSON.parse(body).code, code)
  }
})

t.test('transports rules which there are', async t => {
  const harness = await start(t, { transports: ['callback-polling'] })
  const { client } = harness
  const response = await client().post([{ ...handshake, supportedConnectionTypes: ['long-polling'] }])
  t.strictSame([response.statusCode, response.json().code], [400, 'COMETD_ERR_TRANSPORT_UNKNOWN'])
  t.match((await get(harness, `jsonp=call&${query({ ...handshake, supportedConnectionTypes: ['long-polling'] })}`)).messages, [{ successful: false, supportedConnectionTypes: ['callback-polling'] }])
})

t.test('the parameter that names the function, and how long the name may be, can be set', async t => {
  const harness = await start(t, { transports: [...transports], callbackParameter: 'callback', callbackParameterMaxLength: 4 })
  t.match((await get(harness, `callback=call&${query(handshake)}`)).messages, [{ successful: true }])
  const { status, body } = await get(harness, `callback=calls&${query(handshake)}`)
  t.equal(status, 400)
  t.match(JSON.parse(body), { code: 'COMETD_ERR_CALLBACK_INVALID', message: 'callback must be one name of up to 4 letters, digits and _ . -' })
  t.match(JSON.parse((await get(harness, `jsonp=call&${query(handshake)}`)).body), { code: 'COMETD_ERR_TRANSPORT_UNKNOWN' })
})
