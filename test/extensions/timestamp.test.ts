import t from 'tap'
import { TimestampExtension } from '../../plugin/index.js'
import { start } from '../helpers/harness.js'

t.test('B24: events and replies carry the time', async t => {
  const { cometd, open } = await start(t, { extensions: { timestamp: true } })
  const before = Date.now()
  const client = await open()
  t.match(await client.handshake(), { timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/ })
  await client.subscribe('/a')
  cometd.createServerChannel('/a').publish(null, 1)
  for (const { timestamp } of await client.connect()) {
    t.ok(Date.parse(timestamp) >= before)
    t.ok(Date.parse(timestamp) <= Date.now())
  }
})

t.test('the format can be chosen', async t => {
  const { cometd, open } = await start(t)
  cometd.addExtension(new TimestampExtension({ format: date => `year ${date.getFullYear()}` }))
  t.match(await (await open()).publish('/a', 1), { timestamp: /^year \d{4}$/ })
})
