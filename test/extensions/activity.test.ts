import t from 'tap'
import { ActivityExtension } from '../../plugin/index.js'
import { start } from '../helpers/harness.js'

for (const activity of ['client', 'client-server'] as const) {
  t.test(`activity of ${activity}`, async t => {
    const { open, clock } = await start(t, { extensions: { activity: { activity, maxInactivity: 10_000 } }, timeout: 4_000 })
    const client = await open()
    const connect = async (): Promise<unknown> => {
      const { answer } = await client.hold()
      await clock.tickAsync(4_100)
      return (await answer).at(-1)
    }
    await connect()
    await connect()
    await client.publish('/a', 1)
    await connect()
    await connect()
    client.session.deliver(null, '/a', 1)
    await client.connect()
    t.match(await connect(), { successful: true, advice: undefined })
    if (activity === 'client-server') {
      await connect()
      t.notOk(client.session.removed, 'what it was sent counts')
      await connect()
    }
    t.match((await client.connect()).at(-1), { channel: '/meta/connect', successful: true, advice: { reconnect: 'none' } })
  })
}

t.test('wrong options are refused', async t => {
  t.throws(() => new ActivityExtension({ activity: 'server' as never, maxInactivity: 1 }), { code: 'COMETD_ERR_OPTION_INVALID', message: /activity/ })
  t.throws(() => new ActivityExtension({ activity: 'client', maxInactivity: 0 }), { code: 'COMETD_ERR_OPTION_INVALID', message: /maxInactivity/ })
  t.ok(new ActivityExtension({ activity: 'client', maxInactivity: 1 }))
  await t.rejects(start(t, { extensions: { activity: { activity: 'client' } as never } }), { code: 'COMETD_ERR_OPTION_INVALID' })
})
