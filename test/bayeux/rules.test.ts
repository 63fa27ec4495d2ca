import t from 'tap'
import type { FastifyRequest } from 'fastify'
import type { ChannelSettings, CometDPluginOptions } from '../../plugin/index.js'
import type { TestClient } from '../../plugin/testing.js'
import { memoryLog } from '../helpers/harness.js'
import { startKit } from '../helpers/kit.js'

/** What becomes of subscribing to a channel and of publishing on it: `true`, or the reason that the client gets. */
async function may (client: TestClient, channel: string): Promise<{ subscribe: unknown, publish: unknown }> {
  const outcome = ({ successful, error }: Record<string, unknown>): unknown => successful === true || String(error).split(':')[1]
  return {
    subscribe: outcome(await client.send({ channel: '/meta/subscribe', subscription: channel })),
    publish: outcome(await client.publish(channel, 1))
  }
}

const NO_RULE = 'denied_by_rule'
const NO_ROLE = 'denied_by_role'
const NO_POLICY = 'denied_by_security_policy'

const roles = (...roles: string[]): CometDPluginOptions => ({ policy: { identify: () => ({ roles }) } })

t.test('a rule says who may do what, each for its own operation', async t => {
  const { open } = await startKit(t, {
    channels: { '/read': { publish: false }, '/write': { subscribe: false }, '/none': { subscribe: false, publish: false }, '/all': { subscribe: true, publish: true } }
  })
  const client = await open()
  t.strictSame(await may(client, '/read'), { subscribe: true, publish: NO_RULE })
  t.strictSame(await may(client, '/write'), { subscribe: NO_RULE, publish: true })
  t.strictSame(await may(client, '/none'), { subscribe: NO_RULE, publish: NO_RULE })
  t.strictSame(await may(client, '/all'), { subscribe: true, publish: true })
  t.strictSame(await may(client, '/undeclared'), { subscribe: true, publish: true })
})

t.test('a rule is a function of the request, the session, the message and the channel', async t => {
  const asked: unknown[] = []
  const { app, open } = await startKit(t, {
    channels: {
      '/rooms/{id}': {
        subscribe (request, session, message, channel) {
          asked.push([this, request?.headers['x-user'], session.id, message.parameters, channel.name])
          return request?.headers['x-user'] === 'ada'
        },
        publish: async (request, session, message) => message.data === 1
      }
    }
  })
  const [ada, bob] = [await open({ headers: { 'x-user': 'ada' } }), await open({ headers: { 'x-user': 'bob' } })]
  t.strictSame(await may(ada, '/rooms/5'), { subscribe: true, publish: true })
  t.strictSame(await may(bob, '/rooms/6'), { subscribe: NO_RULE, publish: true })
  t.match(await ada.publish('/rooms/5', 2), { error: '403:denied_by_rule:publish_denied' })
  t.strictSame(asked.map(args => (args as unknown[]).slice(1)), [['ada', ada.clientId, { id: '5' }, '/rooms/5'], ['bob', bob.clientId, { id: '6' }, '/rooms/6']])
  t.ok(asked.every(args => (args as unknown[])[0] === app), 'called on the Fastify instance')
})

t.test('only true allows', async t => {
  const { lines, logger } = memoryLog()
  const { clock, open } = await startKit(t, {
    channels: {
      '/nothing': { publish: () => {} },
      '/truthy': { publish: () => 'yes' as never },
      '/throws': { publish: () => { throw new Error('oops') } },
      '/rejects': { publish: async () => { throw new Error('oops') } },
      '/late': { publish: async () => await new Promise<boolean>(() => {}) }
    }
  }, { logger } as never)
  const client = await open()
  for (const channel of ['/nothing', '/truthy']) t.match(await client.publish(channel, 1), { error: '403:denied_by_rule:publish_denied' }, channel)
  for (const channel of ['/throws', '/rejects']) t.match(await client.publish(channel, 1), { error: '500::internal_error' }, channel)
  const late = client.publish('/late', 1)
  await clock.advance(8_050)
  t.match(await late, { error: '503::processing_timeout' })
  t.equal(lines.filter(({ level }) => level >= 50).length, 3)
})

t.test('roles are those of the identity, and one of them is enough', async t => {
  const channels: Record<string, ChannelSettings> = {
    '/staff': { roles: ['admin', 'editor'] },
    '/news': { roles: { publish: ['editor'] } },
    '/both': { roles: ['editor'], publish: (request, session) => session.identity?.['sub'] === 'ada' }
  }
  const editor = await (await startKit(t, { channels, ...roles('editor', 'reader') })).open()
  t.strictSame(await may(editor, '/staff'), { subscribe: true, publish: true })
  t.strictSame(await may(editor, '/news'), { subscribe: true, publish: true })
  t.strictSame(await may(editor, '/both'), { subscribe: true, publish: NO_RULE })

  const reader = await (await startKit(t, { channels, ...roles('reader') })).open()
  t.strictSame(await may(reader, '/staff'), { subscribe: NO_ROLE, publish: NO_ROLE })
  t.strictSame(await may(reader, '/news'), { subscribe: true, publish: NO_ROLE })

  const nobody = await (await startKit(t, { channels })).open()
  t.strictSame(await may(nobody, '/staff'), { subscribe: NO_ROLE, publish: NO_ROLE })
  const odd = await (await startKit(t, { channels, policy: { identify: () => ({ roles: 'admin' as never }) } })).open()
  t.strictSame(await may(odd, '/staff'), { subscribe: NO_ROLE, publish: NO_ROLE })
})

t.test('the most specific rule counts', async t => {
  const { open } = await startKit(t, {
    channels: {
      '/**': { publish: false },
      '/a/*': { publish: true },
      '/a/{x}': { publish: false, subscribe: false },
      '/a/b': { publish: true },
      '/a/c': { schema: {} }
    }
  })
  const client = await open()
  t.strictSame(await may(client, '/z'), { subscribe: true, publish: NO_RULE })
  t.strictSame(await may(client, '/a/x'), { subscribe: NO_RULE, publish: NO_RULE })
  t.strictSame(await may(client, '/a/b'), { subscribe: NO_RULE, publish: true })
  t.strictSame(await may(client, '/a/c'), { subscribe: NO_RULE, publish: NO_RULE })
})

t.test('who subscribes to a wildcard needs the consent of every rule of what is heard by it', async t => {
  const secret = { subscribe: false }
  for (const [declared, wildcard, heard] of [
    ['/a/b', '/a/*', true], ['/a/b', '/a/**', true], ['/a/b/c', '/a/*', false], ['/a/b/c', '/a/**', true], ['/b/c', '/a/*', false],
    ['/a/{x}', '/a/*', true], ['/{x}/b', '/a/*', true], ['/{x}/b', '/a/**', true], ['/{x}/{y}/c', '/a/*', false], ['/x/{y}', '/a/**', false],
    ['/a/*', '/a/**', true], ['/a/b/*', '/a/**', true], ['/a/b/*', '/a/*', false], ['/b/*', '/a/**', false],
    ['/a/b/**', '/a/**', true], ['/a/b/**', '/a/*', false], ['/a/b/c/**', '/a/**', true], ['/b/**', '/a/**', false], ['/b/**', '/a/*', false]
  ] as const) {
    const { open } = await startKit(t, { channels: { [declared]: secret } })
    const { subscribe } = await may(await open(), wildcard)
    t.equal(subscribe, heard ? NO_RULE : true, `${wildcard}, with ${declared} secret`)
  }
})

t.test('a rule of a wildcard is one of the wildcards in it', async t => {
  const { open } = await startKit(t, { channels: { '/a/**': { roles: ['admin'] } } })
  const client = await open()
  for (const channel of ['/a/**', '/a/*', '/a/b/*', '/a/b']) t.equal((await may(client, channel)).subscribe, NO_ROLE, channel)
  t.equal((await may(client, '/b/*')).subscribe, true)
})

t.test('an open wildcard does not open what is closed in it', async t => {
  const channels = { '/a/**': { subscribe: true }, '/a/secret': { roles: ['admin'] } }
  const client = await (await startKit(t, { channels })).open()
  t.equal((await may(client, '/a/**')).subscribe, NO_ROLE)
  t.equal((await may(client, '/a/*')).subscribe, NO_ROLE)
  t.equal((await may(client, '/a/b')).subscribe, true)
  const admin = await (await startKit(t, { channels, ...roles('admin') })).open()
  t.equal((await may(admin, '/a/**')).subscribe, true)
})

t.test('with the default policy deny, what nobody allows is refused', async t => {
  const { cometd, open } = await startKit(t, {
    defaultPolicy: 'deny',
    channels: { '/chat/{room}': { subscribe: true, publish: true }, '/listen': { subscribe: true }, '/service/ask': { publish: true }, '/plain': { schema: {} } }
  })
  const client = await open()
  t.strictSame(await may(client, '/chat/1'), { subscribe: true, publish: true })
  t.ok(cometd.getServerChannel('/chat/1'), 'and is created')
  t.strictSame(await may(client, '/listen'), { subscribe: true, publish: NO_POLICY })
  t.strictSame(await may(client, '/plain'), { subscribe: NO_POLICY, publish: NO_POLICY })
  t.strictSame(await may(client, '/undeclared'), { subscribe: NO_POLICY, publish: NO_POLICY })
  t.equal(cometd.getServerChannel('/undeclared'), undefined, 'and not created')
  t.strictSame(await may(client, '/chat/**'), { subscribe: NO_POLICY, publish: '/chat/**' })
  // Who subscribes to a service channel hears nothing by it; the CometD client does so to listen.
  t.strictSame(await may(client, '/service/ask'), { subscribe: true, publish: true })
  t.strictSame(await may(client, '/service/other'), { subscribe: true, publish: NO_POLICY })

  cometd.createServerChannel('/granted').addAuthorizer(() => 'grant')
  t.strictSame(await may(client, '/granted'), { subscribe: true, publish: true })
  cometd.policy = { canSubscribe: () => true }
  t.strictSame(await may(client, '/undeclared'), { subscribe: true, publish: NO_POLICY })
})

t.test('policy, rules and authorizers all have to agree', async t => {
  const { cometd, open } = await startKit(t, { channels: { '/a': { publish: true }, '/b': { publish: false } } })
  const client = await open()
  cometd.policy = { canPublish: (session, message, channel) => channel.name !== '/a' }
  t.equal((await may(client, '/a')).publish, NO_POLICY)
  t.equal((await may(client, '/b')).publish, NO_RULE)
  cometd.policy = null
  cometd.getServerChannel('/a')?.addAuthorizer(operation => operation === 'publish' ? 'deny' : 'grant')
  t.equal((await may(client, '/a')).publish, 'denied_by_authorizer')
})

t.test('rules are for clients, not for local sessions', async t => {
  const { cometd } = await startKit(t, { defaultPolicy: 'deny', channels: { '/closed': { subscribe: false, publish: false } } })
  const session = cometd.newLocalSession()
  await session.handshake()
  for (const channel of ['/closed', '/undeclared']) {
    t.match(await session.subscribe(channel, () => {}), { successful: true }, channel)
    t.match(await session.publish(channel, 1), { successful: true }, channel)
  }
})

t.test('an array of subscriptions is taken whole or not at all', async t => {
  const { open } = await startKit(t, { channels: { '/closed': { subscribe: false } } })
  const client = await open()
  t.match(await client.send({ channel: '/meta/subscribe', subscription: ['/open', '/closed'] }), { successful: false, error: '403:denied_by_rule:subscribe_denied' })
  t.strictSame(client.session?.subscriptions, [])
})

t.test('the policy can be given as an option, and sees the request through the context', async t => {
  const seen: unknown[] = []
  const { cometd, open } = await startKit(t, {
    policy: {
      canHandshake: (session, message) => { seen.push((cometd.context.request as FastifyRequest).headers['x-user']) },
      canPublish: (session, message, channel) => channel.name !== '/readonly'
    }
  })
  const client = await open({ headers: { 'x-user': 'ada' } })
  t.match(await client.publish('/readonly', 1), { successful: false })
  t.strictSame(seen, ['ada'])
})

t.test('rules of a channel whose initializer fails count for nothing', async t => {
  const { cometd, open } = await startKit(t)
  t.throws(() => cometd.createServerChannel('/a/b', { subscribe: false }, () => { throw new Error('no') }), { message: 'no' })
  t.equal((await may(await open(), '/a/*')).subscribe, true)
})

t.test('rules of templates are found as those of names are, and go with them', async t => {
  const { cometd, open } = await startKit(t)
  for (const name of ['/x/{a}/c', '/x/{b}/d', '/x/e']) t.throws(() => cometd.createServerChannel(name, { subscribe: false }, () => { throw new Error('no') }))
  const client = await open()
  t.equal((await may(client, '/x/**')).subscribe, true)
  cometd.createServerChannel('/x/{a}/c', { subscribe: false })
  t.equal((await may(client, '/x/**')).subscribe, NO_RULE)
})
