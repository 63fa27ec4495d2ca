import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { WebSocket } from 'ws'
import type { ChannelSettings, CometDIdentity, CometDPluginOptions } from '../../plugin/index.js'
import { type Client, start, turn, type Wire } from '../helpers/harness.js'
import { startKit } from '../helpers/kit.js'
import { SocketClient } from '../helpers/socket.js'

const NO_RULE = '403:denied_by_rule:subscribe_denied'

/** Takes what clients send as `ext.authentication` for who they are. */
const identify = (session: unknown, message: { ext?: Record<string, unknown> | undefined }): CometDIdentity | undefined => message.ext?.['authentication'] as CometDIdentity | undefined
const believing: CometDPluginOptions = { policy: { identify } }

const authenticate = async (client: Client, authentication: unknown): Promise<Wire> =>
  (await client.connect({ advice: { timeout: 0 }, ext: { authentication } })).at(-1)?.['ext']?.authentication

t.test('a rule that is a function is not asked about wildcards, which have no parameters, unless it says that it takes them', async t => {
  const asked: string[] = []
  const mine: ChannelSettings['subscribe'] = (request, session, message, channel) => {
    asked.push(channel.name)
    return session.identity?.['sub'] === message.parameters['who']
  }
  for (const wildcards of [undefined, false, true]) {
    const { open } = await startKit(t, { channels: { '/private/{who}': { subscribe: mine as never, ...(wildcards !== undefined && { wildcards }) } } })
    const anonymous = await open()
    asked.length = 0
    for (const wildcard of ['/private/*', '/private/**', '/**']) {
      const reply = await anonymous.send({ channel: '/meta/subscribe', subscription: wildcard })
      if (wildcard !== '/**') t.equal(reply.error, wildcards === true ? undefined : NO_RULE, wildcard)
    }
    t.strictSame(asked, wildcards === true ? ['/private/*', '/private/**'] : [])
    t.match(await anonymous.send({ channel: '/meta/subscribe', subscription: '/private/ada' }), { error: NO_RULE })
  }
})

t.test('that goes for rules of wildcards, too; true and roles are as good for wildcards as for names', async t => {
  const { open } = await startKit(t, {
    channels: { '/f/**': { subscribe: () => true }, '/w/**': { subscribe: () => true, wildcards: true }, '/open/{x}': { subscribe: true }, '/staff/{x}': { roles: ['admin'] } },
    policy: { identify: () => ({ roles: ['admin'] }) }
  })
  const client = await open()
  for (const [name, error] of [['/f/a', undefined], ['/f/*', NO_RULE], ['/f/**', NO_RULE], ['/w/*', undefined], ['/w/**', undefined], ['/open/*', undefined], ['/staff/**', undefined]] as const) {
    t.equal((await client.send({ channel: '/meta/subscribe', subscription: name })).error, error, name)
  }
})

t.test('an identity that does not say who somebody is cannot be replaced, unless the policy says that it is the same person', async t => {
  const { open } = await start(t, believing)
  const nameless = await open({ ext: { authentication: { name: 'ada' } } })
  t.match(await authenticate(nameless, { name: 'bob' }), { successful: false, error: '401::authentication_failed' })
  t.match(await authenticate(nameless, { name: 'ada' }), { successful: false })
  t.match(await authenticate(nameless, { sub: 'ada', name: 'ada' }), { successful: false })
  t.strictSame(nameless.session.identity, { name: 'ada' })
  for (const name of ['sub', 'id']) {
    const one = await open({ ext: { authentication: { [name]: 1, exp: 1e10 } } })
    t.match(await authenticate(one, { [name]: 2, exp: 2e10 }), { successful: false })
    t.match(await authenticate(one, { [name]: 1, exp: 2e10 }), { successful: true })
    t.match(await authenticate(one, { [name]: 1, [name === 'id' ? 'sub' : 'id']: 1 }), { successful: false })
  }
  const anonymous = await open()
  t.match(await authenticate(anonymous, { name: 'ada' }), { successful: true }, 'who was nobody may become somebody')

  for (const isSamePerson of [(former: CometDIdentity, next: CometDIdentity) => former['name'] === next['name'], async (former: CometDIdentity, next: CometDIdentity) => former['name'] === next['name']]) {
    const { open } = await start(t, { policy: { identify, isSamePerson } })
    const one = await open({ ext: { authentication: { name: 'ada' } } })
    t.match(await authenticate(one, { name: 'bob' }), { successful: false, error: '401::authentication_failed' })
    t.match(await authenticate(one, { name: 'ada', age: 5 }), { successful: true })
    t.strictSame(one.session.identity, { name: 'ada', age: 5 })
  }
  const failing = await start(t, { policy: { identify, isSamePerson: () => { throw new Error('oops') } } })
  const one = await failing.open({ ext: { authentication: { sub: 'ada' } } })
  t.match(await authenticate(one, { sub: 'ada', exp: 1e10 }), { successful: false, error: '500::internal_error' })
})

t.test('there is one authentication in a request, and so many failures in a minute for a session', async t => {
  let asked = 0
  const { open, clock } = await start(t, { maxFailuresPerSession: 3, policy: { identify: (session, message) => { asked++; return message.ext?.['authentication'] === 'good' ? { sub: 'ada' } : undefined } } })
  const one = await open({ ext: { authentication: 'good' } })
  asked = 0
  const guess = { channel: '/meta/connect', connectionType: 'long-polling', ext: { authentication: 'guess' } }
  const said = (messages: Wire[]): string[] => messages.map(({ ext }) => ext.authentication.error)
  t.strictSame(said(await one.send(guess, guess, guess)), ['401::authentication_failed', '429::too_many_authentications', '429::too_many_authentications'])
  t.equal(asked, 1)
  for (let i = 0; i < 2; i++) t.match(await authenticate(one, 'guess'), { error: '401::authentication_failed' })
  t.match(await authenticate(one, 'guess'), { error: '429::too_many_authentications' })
  t.equal(asked, 3)
  clock.tick(20_000)
  const again = await open({ ext: { authentication: 'good' } })
  t.match(await authenticate(again, 'guess'), { error: '401::authentication_failed' }, 'another session has failures of its own')
})

t.test('and so many for an address, at handshakes, too, whether identify or canHandshake refuses', async t => {
  for (const policy of [{ identify: () => undefined, canHandshake: () => false }, { canHandshake: () => false }]) {
    let asked = 0
    const { client, app, clock, cometd } = await start(t, { maxFailuresPerAddress: 4 }, { trustProxy: true })
    cometd.policy = { ...policy, canHandshake: (session, message) => { asked++; return message['password'] === 'good' } }
    const handshake = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }
    const shake = async (address: string, password: string): Promise<Wire> => (await client().post([{ ...handshake, password }], { 'x-forwarded-for': address })).json()[0]
    for (let i = 0; i < 4; i++) t.match(await shake('10.0.0.1', 'guess'), { successful: false, error: '403::handshake_denied', advice: { reconnect: 'none' } })
    t.match(await shake('10.0.0.1', 'guess'), { successful: false, error: '429::too_many_authentications', advice: { reconnect: 'handshake', interval: 10_000 } })
    t.equal(asked, 4)
    t.match(await shake('10.0.0.2', 'good'), { successful: true })
    clock.tick(16_000)
    t.match(await shake('10.0.0.1', 'good'), { successful: true })
    t.ok(app)
  }
})

t.test('guesses that are made at the same time are counted afterwards, and make the address wait the longer', async t => {
  const { client, clock, cometd } = await start(t, { maxFailuresPerAddress: 4 })
  cometd.policy = { canHandshake: async () => { await turn(); return false } }
  const replies = await Promise.all(Array.from({ length: 20 }, async () => await client().handshake()))
  t.ok(replies.every(({ error }) => error === '403::handshake_denied'))
  clock.tick(60_000)
  t.match(await client().handshake(), { error: '429::too_many_authentications' })
  clock.tick(600_000)
  t.match(await client().handshake(), { error: '403::handshake_denied' })
})

t.test('over a Unix socket, where clients have no address, nothing is counted by address', async t => {
  const { app, cometd } = await start(t, { maxFailuresPerAddress: 1, maxSessionsPerAddress: 1, maxChannelsPerAddress: 1 })
  cometd.policy = { canHandshake: (session, { ext }) => ext?.['authentication'] === 'good' }
  const path = join(t.testdir(), 'socket')
  await app.listen({ path })
  const open = async (authentication: string): Promise<Wire> => {
    const ws = new WebSocket(`ws+unix://${path}:/cometd`)
    await once(ws, 'open')
    ws.send(JSON.stringify([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'], ext: { authentication } }]))
    const [data] = await once(ws, 'message')
    ws.close()
    return JSON.parse(String(data))[0]
  }
  for (let i = 0; i < 3; i++) t.match(await open('guess'), { error: '403::handshake_denied' })
  for (let i = 0; i < 3; i++) t.match(await open('good'), { successful: true })
})

t.test('failures of very many addresses do not pile up', async t => {
  const { Parties } = await import('../../plugin/bayeux/parties.js')
  const parties = new Parties()
  for (let i = 0; i < 20_000; i++) parties.failed(String(i), 1, 0)
  t.equal(parties.mayTry('0', 1, 0), true, 'the oldest are forgotten')
  t.equal(parties.mayTry('19999', 1, 0), false)
  t.equal(parties.mayTry(undefined, 1, 0), true)
})

t.test('after a session was revoked or its identity ended, nothing of what waited for it is sent, whatever is asked for', async t => {
  for (const how of ['revoked', 'identityExpired'] as const) {
    const { cometd, open, clock } = await start(t, {})
    for (const ask of ['publish', 'connect', 'both'] as const) {
      const one = await open()
      const { session, clientId } = one
      await one.subscribe('/a')
      cometd.createServerChannel('/a').publish(null, 'secret')
      if (how === 'revoked') {
        cometd.revoke(other => other === session)
      } else {
        session.identity = { expiresAt: clock.now + 100 }
        clock.tick(200)
      }
      const dropped = cometd.statistics.messages.dropped
      t.ok(dropped > 0)
      const messages = [{ channel: '/b', data: 1, clientId }, { channel: '/meta/connect', connectionType: 'long-polling', clientId }]
      const answer = await one.raw(...ask === 'both' ? messages : [messages[ask === 'publish' ? 0 : 1] as Wire])
      t.strictSame(answer.filter(({ data }) => data !== undefined), [], `${how}, ${ask}`)
      t.match(answer.at(-1), { successful: false })
      // An answer that was on its way and failed brings nothing back.
      session.restore([])
    }
  }
})

t.test('what could not be sent to a session that was revoked meanwhile is dropped', async t => {
  const { app, cometd } = await start(t)
  const one = await SocketClient.join(app)
  await one.connect()
  const { session } = one
  session.deliver(null, '/a', 1)
  const frames = session.take([], {})
  cometd.revoke(() => true)
  const { dropped, out } = cometd.statistics.messages
  session.restore(frames)
  t.match(cometd.statistics.messages, { dropped: dropped + 1, out: out - 1 })
  t.equal(session.queueLength, 0)
})

t.test('a message of a session that ends while a listener, the policy or an extension has it goes no further', async t => {
  for (const where of ['listener', 'canPublish', 'incoming', 'outgoing', 'identify'] as const) {
    const { cometd, open } = await start(t)
    const [one, reader] = [await open(), await open()]
    await reader.subscribe('/a')
    const goOn: Array<() => void> = []
    const wait = async (): Promise<void> => { await new Promise<void>(resolve => { goOn.push(resolve) }) }
    if (where === 'listener') cometd.createServerChannel('/a').addListener('message', wait)
    if (where === 'canPublish') cometd.policy = { canPublish: wait }
    if (where === 'identify') cometd.policy = { identify: wait as never }
    if (where === 'incoming') cometd.addExtension({ incoming: wait })
    if (where === 'outgoing') cometd.addExtension({ outgoing: async (...[, , session, message]) => { if (!('successful' in message) && session === null) await wait() } })
    const answer = where === 'identify' ? one.connect({ ext: { authentication: 1 } }).then(([reply]) => reply) : one.publish('/a', 'late')
    while (goOn.length === 0) await turn()
    cometd.revoke(session => session.id === one.clientId)
    goOn[0]?.()
    t.match(await answer, { successful: false, error: where === 'identify' ? '401::session_revoked' : '402::session_unknown' }, where)
    t.equal(reader.session.queueLength, 0, where)
  }
})

t.test('a subscription does not outlive what allowed it: another identity has its rules asked again', async t => {
  const { cometd, open } = await startKit(t, {
    channels: {
      '/staff': { roles: ['admin'] },
      '/staff/**': { roles: ['admin'] },
      '/team/{name}': { subscribe: async (request, session, message) => { await turn(); return (session.identity?.['teams'] as string[]).includes(message.parameters['name'] as string) } },
      '/open': { subscribe: true }
    },
    policy: { identify: (session, message) => (message.ext?.['authentication'] as CometDIdentity | undefined) }
  })
  const identity = { sub: 'ada', roles: ['admin'], teams: ['a', 'b'] }
  const client = await open({}, { ext: { authentication: identity } } as never)
  const names = ['/staff', '/staff/*', '/team/a', '/team/b', '/open', '/undeclared']
  t.match(await client.send({ channel: '/meta/subscribe', subscription: names }), { successful: true })
  const unsubscribed: string[] = []
  cometd.addListener('unsubscribed', channel => { unsubscribed.push(channel.name) })
  const { session } = client
  if (session === undefined) throw new Error('no session')
  session.identity = { ...identity, teams: ['a', 'b', 'c'] }
  await turn()
  await turn()
  t.strictSame(unsubscribed, [])
  session.identity = { sub: 'ada', teams: ['a'] }
  t.strictSame(unsubscribed, ['/staff', '/staff/*'], 'at once, if the rules are')
  cometd.createServerChannel('/staff').publish(null, 'secret')
  t.equal(session.queueLength, 0)
  await turn()
  await turn()
  t.strictSame(unsubscribed, ['/staff', '/staff/*', '/team/b'])
  t.strictSame(session.subscriptions.map(({ name }) => name), ['/team/a', '/open', '/undeclared'])
  session.identity = undefined
  t.equal(session.subscriptions.length, 3)
  await turn()
  await turn()
  t.strictSame(session.subscriptions.map(({ name }) => name), ['/open', '/undeclared'], 'a rule that fails does not allow')
})

t.test('names in braces from clients are names like any other, whatever the application does when it hears of them', async t => {
  const { cometd, open } = await start(t)
  const heard: string[] = []
  cometd.addListener('channelAdded', channel => { channel.addListener('message', (session, { name }, message) => { heard.push(`${name} ${message.channel}`) }) })
  cometd.addListener('channelCreating', channel => { channel.lazy = true })
  const one = await open()
  await one.publish('/rooms/{id}', 1)
  await one.publish('/rooms/5', 1)
  t.strictSame(heard, ['/rooms/{id} /rooms/{id}', '/rooms/5 /rooms/5'])
  heard.length = 0
  cometd.createServerChannel('/rooms/{id}')
  await one.publish('/rooms/6', 1)
  t.strictSame(heard, ['/rooms/{id} /rooms/6', '/rooms/6 /rooms/6'], 'the application makes templates')
})

t.test('a request of another person than who began the session cannot use it', async t => {
  const { app, client } = await start(t, { trustClientSession: true })
  app.decorateRequest('user', null)
  app.addHook('onRequest', async request => {
    const user = request.headers['x-user']
    if (user !== undefined) Object.assign(request, { user: JSON.parse(user as string) })
  })
  const shake = async (user?: unknown): Promise<Client> => {
    const one = client()
    const headers = user === undefined ? {} : { 'x-user': JSON.stringify(user) }
    const response = await one.post([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }], headers)
    one.clientId = response.json()[0].clientId
    return one
  }
  const publish = async (one: Client, user?: unknown): Promise<Wire> =>
    (await one.post([{ channel: '/a', data: 1, clientId: one.clientId }], user === undefined ? {} : { 'x-user': JSON.stringify(user) })).json()[0]
  const refused = { successful: false, error: '402::session_unknown' }
  const ada = { sub: 'ada', exp: 2e10 }
  for (const [began, uses, allowed] of [
    [ada, ada, true], [ada, { sub: 'ada', exp: 3e10 }, true], [ada, { sub: 'bob' }, false], [ada, { id: 1 }, false], [ada, undefined, true], [ada, 'ada', true],
    [undefined, ada, false], [undefined, undefined, true], [{ id: 1 }, { id: 1, name: 'x' }, true], [{ id: 1 }, { id: 2 }, false], [{ id: { oid: 1 } }, { id: { oid: 1 } }, true],
    [{ name: 'ada' }, { name: 'ada' }, true], [{ name: 'ada' }, { name: 'bob' }, false]
  ] as const) {
    t.match(await publish(await shake(began), uses), allowed ? { successful: true } : refused, `${JSON.stringify(began)} ${JSON.stringify(uses)}`)
  }
  const socket = await SocketClient.join(app, { headers: { 'x-user': JSON.stringify(ada) } })
  const thief = await SocketClient.open(app, { headers: { 'x-user': '{"sub":"bob"}' } })
  thief.clientId = socket.clientId
  t.match(await thief.publish('/a', 1), refused)
  const herself = await SocketClient.open(app, { headers: { 'x-user': JSON.stringify(ada) } })
  herself.clientId = socket.clientId
  t.match(await herself.publish('/a', 1), { successful: true })
})
