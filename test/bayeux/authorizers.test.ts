import t from 'tap'
import type { Authorizer } from '../../plugin/index.js'
import { start } from '../helpers/harness.js'

t.test('where there is no authorizer, the policy decides alone', async t => {
  const { cometd, open } = await start(t)
  cometd.createServerChannel('/guarded').addAuthorizer(() => 'deny')
  const client = await open()
  t.match(await client.subscribe('/free'), { successful: true })
  t.match(await client.publish('/free', 1), { successful: true })
})

for (const name of ['/rooms/1', '/rooms/*', '/rooms/**', '/**', '/rooms/{id}'] as const) {
  t.test(`an authorizer on ${name}`, async t => {
    await t.test('that ignores grants nothing', async t => {
      const { cometd, open } = await start(t)
      cometd.createServerChannel('/rooms/1', channel => { channel.persistent = true })
      cometd.createServerChannel(name).addAuthorizer(() => {})
      const client = await open()
      t.match(await client.subscribe('/rooms/1'), { successful: false, error: '403:denied_by_not_granting:subscribe_denied' })
      t.match(await client.publish('/rooms/1', 1), { successful: false, error: '403:denied_by_not_granting:publish_denied' })
    })

    await t.test('may grant, and is told of the operation, the channel, the session and the message', async t => {
      const { cometd, open } = await start(t)
      const asked: unknown[] = []
      cometd.createServerChannel(name).addAuthorizer((operation, channelName, session, message) => {
        asked.push([operation, channelName, session.id, message.channel])
        return 'grant'
      })
      const client = await open()
      t.match(await client.subscribe('/rooms/1'), { successful: true })
      t.match(await client.publish('/rooms/1', 1), { successful: true })
      const created = name === '/rooms/1' ? [] : [['create', '/rooms/1', client.clientId, '/meta/subscribe']]
      t.strictSame(asked, [...created, ['subscribe', '/rooms/1', client.clientId, '/meta/subscribe'], ['publish', '/rooms/1', client.clientId, '/rooms/1']])
    })
  })
}

t.test('one that denies outweighs all that grant, in whatever order', async t => {
  for (const order of [['/**', '/a'], ['/a', '/**']] as const) {
    const { cometd, open } = await start(t)
    cometd.createServerChannel(order[0]).addAuthorizer(() => 'grant')
    cometd.createServerChannel(order[1]).addAuthorizer(async operation => operation === 'publish' ? { deny: 'only_to_listen' } : 'ignore')
    cometd.createServerChannel('/a', channel => { channel.persistent = true })
    const client = await open()
    t.match(await client.subscribe('/a'), { successful: true })
    t.match(await client.publish('/a', 1), { successful: false, error: '403:only_to_listen:publish_denied' })
  }
})

t.test('the errors say what was denied', async t => {
  const { cometd, open } = await start(t)
  cometd.createServerChannel('/**').addAuthorizer(operation => operation === 'create' ? 'deny' : 'grant')
  const client = await open()
  t.match(await client.subscribe('/a'), { successful: false, error: '403:denied_by_authorizer:create_denied' })
  t.match(await client.publish('/a', 1), { successful: false, error: '403:denied_by_authorizer:channel_create_denied' })
  t.equal(cometd.getServerChannel('/a'), undefined)
})

t.test('what fails, is late or makes no sense does not grant', async t => {
  const { cometd, clock, open } = await start(t, { maxProcessing: 1_000 }, { logger: false })
  const channel = cometd.createServerChannel('/a')
  const client = await open()
  const publishWith = async (authorizer: Authorizer): Promise<unknown> => {
    channel.addAuthorizer(authorizer)
    const reply = client.publish('/a', 1)
    await clock.tickAsync(1_100)
    t.ok(channel.removeAuthorizer(authorizer))
    return await reply
  }
  t.match(await publishWith(() => { throw new Error('no') }), { error: '500::internal_error' })
  t.match(await publishWith((operation, name, session, message, callback) => {}), { error: '503::processing_timeout' })
  t.match(await publishWith((() => null) as never), { error: '403:denied_by_not_granting:publish_denied' })
  t.match(await publishWith((() => 'allow') as never), { error: '403:denied_by_not_granting:publish_denied' })
  t.match(await client.publish('/a', 1), { successful: true }, 'and those that were removed are not asked')
})

t.test('who listens to a pattern needs the consent of the wider ones', async t => {
  const { cometd, open } = await start(t)
  cometd.createServerChannel('/a/**').addAuthorizer((operation, name) => name === '/a/b/*' ? 'grant' : 'deny')
  const client = await open()
  t.match(await client.subscribe('/a/b/*'), { successful: true })
  t.match(await client.subscribe('/a/*'), { successful: false })
  t.match(await client.subscribe('/a/b/**'), { successful: false })
  t.match(await client.subscribe('/b/*'), { successful: true })
})

t.test('who listens to a pattern does not need the consent of what the pattern stands for', async t => {
  const { cometd, open } = await start(t)
  for (const name of ['/rooms/{id}', '/rooms/5']) cometd.createServerChannel(name).addAuthorizer(() => 'deny')
  const client = await open()
  t.match(await client.subscribe('/rooms/*'), { successful: true })
  t.match(await client.subscribe('/rooms/6'), { successful: false })
})

t.test('the policy is asked first', async t => {
  const { cometd, open } = await start(t)
  cometd.policy = { canPublish: () => false }
  cometd.createServerChannel('/a').addAuthorizer(() => t.fail('not asked') as never)
  t.match(await (await open()).publish('/a', 1), { error: '403:denied_by_security_policy:publish_denied' })
})

t.test('a channel with authorizers is not swept, and they can be listed and removed', async t => {
  const { cometd, clock } = await start(t)
  const channel = cometd.createServerChannel('/a')
  const authorizer: Authorizer = () => 'grant'
  channel.addAuthorizer(authorizer)
  await clock.tickAsync(10_000)
  t.strictSame(cometd.getServerChannel('/a')?.authorizers, [authorizer])
  t.equal(channel.removeAuthorizer(() => 'grant'), false)
  t.equal(channel.removeAuthorizer(authorizer), true)
  t.strictSame(channel.authorizers, [])
  await clock.tickAsync(10_000)
  t.equal(cometd.getServerChannel('/a'), undefined)
  t.throws(() => channel.addAuthorizer('grant' as never), { code: 'COMETD_ERR_HANDLER_INVALID' })
})
