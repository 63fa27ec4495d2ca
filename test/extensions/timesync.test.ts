import t from 'tap'
import { TimesyncExtension } from '../../plugin/index.js'
import { start } from '../helpers/harness.js'

t.test('a client that does not know the time is told', async t => {
  const { cometd, open, clock } = await start(t, { timeout: 2_000 })
  cometd.addExtension(new TimesyncExtension({ now: () => 1_000_000 + clock.now }))
  const client = await open()
  const sync = async (timesync: unknown, channel = '/meta/subscribe'): Promise<unknown> =>
    (await client.send({ channel, subscription: '/a', data: 1, ext: { timesync } })).at(-1)?.['ext']
  t.strictSame(await sync({ tc: 999_000, l: 0, o: 0 }), { timesync: { tc: 999_000, ts: 1_000_000, p: 0, a: -1_000 } })
  t.strictSame(await sync({ tc: 999_000, l: 10, o: 970 }), undefined, 'it is near enough: 20 ms')
  t.equal(client.session.attributes.get('lag'), 10)
  t.strictSame(await sync({ tc: 999_000, l: 10, o: 900 }), { timesync: { tc: 999_000, ts: 1_000_000, p: 0, a: -90 } })
  t.strictSame(await sync({ tc: 999_000, l: 0, o: 1_000 }), { timesync: { tc: 999_000, ts: 1_000_000, p: 0, a: 0 } }, 'without a lag it has no sample yet')
  t.strictSame(await sync({ tc: 999_000 }), { timesync: { tc: 999_000, ts: 1_000_000, p: 0 } }, 'in the old manner')
  t.equal(client.session.attributes.get('lag'), 0)
  for (const odd of [undefined, null, 'x', {}, { tc: 'x' }, { tc: null }]) t.strictSame(await sync(odd), undefined)
  t.match(await sync({ tc: 1, l: 0, o: '7' }), { timesync: { a: 1 - 1_000_000 } })
  t.strictSame(await sync({ tc: 999_000, l: 0, o: 0 }, '/a'), undefined, 'meta messages only')

  const { answer } = await client.hold({ ext: { timesync: { tc: 999_000, l: 0, o: 0 } } })
  await clock.tickAsync(2_000)
  t.match((await answer).at(-1)?.['ext'], { timesync: { ts: 1_000_000, p: 2_000 } }, 'the time that a connect was held is no lag')
})

t.test('the option adds it, with the time of the system', async t => {
  const { open } = await start(t, { extensions: { timesync: true } })
  const [reply] = await (await open()).send({ channel: '/meta/subscribe', subscription: '/a', ext: { timesync: { tc: Date.now() } } })
  t.ok(Math.abs(reply?.['ext'].timesync.ts - Date.now()) < 1_000)
  t.throws(() => new TimesyncExtension({ accuracyTarget: -1 }), { code: 'COMETD_ERR_OPTION_INVALID' })
})
