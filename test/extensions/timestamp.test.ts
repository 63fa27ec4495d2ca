import t from 'tap'
import { TimestampExtension } from '../../plugin/index.js'
import { memoryLog, start } from '../helpers/harness.js'

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

t.test('the option takes the format, too', async t => {
  const { client } = await start(t, { extensions: { timestamp: { format: date => String(date.getTime()) } } })
  t.match(await client().handshake(), { timestamp: /^\d{13}$/ })
})

t.test('a timestamp that the application has set stays; one that a client sends goes no further', async t => {
  const { cometd, open } = await start(t, { extensions: { timestamp: { format: () => 'now' } } })
  cometd.addExtension({ outgoing: (server, sender, session, message) => { if (message['data'] === 'old') message['timestamp'] = 'then' } })
  const client = await open()
  await client.subscribe('/a')
  t.match(await client.send({ channel: '/a', data: 'new', timestamp: 'forged' }), [{ data: 'new', timestamp: 'now' }, { successful: true, timestamp: 'now' }])
  t.match(await client.send({ channel: '/a', data: 'old' }), [{ data: 'old', timestamp: 'then' }, { timestamp: 'now' }])
})

t.test('a format that fails is logged, and the message goes on without a timestamp', async t => {
  const { lines, logger } = memoryLog()
  const { open } = await start(t, { extensions: { timestamp: { format: () => { throw new Error('no time') } } } }, { logger })
  const reply = await (await open()).publish('/a', 1)
  t.match(reply, { successful: true })
  t.notOk('timestamp' in reply)
  t.ok(lines.some(({ level, err }) => level === 50 && (err as Error).message === 'no time'))
})

t.test('wrong options are refused, and the error says where', async t => {
  for (const options of [{ format: 'ISO' }, { form: () => '' }]) {
    const error = { code: 'COMETD_ERR_OPTION_INVALID', message: /^option 'timestamp.form(at)?': / }
    t.throws(() => new TimestampExtension(options as never), error)
    await t.rejects(start(t, { extensions: { timestamp: options as never } }), error)
  }
  await t.rejects(start(t, { extensions: { timestamp: 'yes' as never } }), { message: /^option 'extensions.timestamp': Expected one of "boolean", "object"$/ })
  t.strictSame((await start(t, { extensions: { timestamp: false } })).cometd.extensions, [])
})
