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
})

t.test('the accuracy that clients are held to is an option', async t => {
  const { client } = await start(t, { extensions: { timesync: { accuracyTarget: 100, now: () => 1_000_000 } } })
  const sync = async (o: number): Promise<unknown> => (await client().handshake({ ext: { timesync: { tc: 1_000_000, l: 10, o } } }))['ext']
  t.equal(await sync(89), undefined)
  t.equal(await sync(-109), undefined)
  t.match(await sync(90), { timesync: { a: 100 } })
  t.match(await sync(-110), { timesync: { a: -100 } })
})

t.test('what is no time counts for nothing, and nothing leads to what JSON cannot hold', async t => {
  const { open } = await start(t, { extensions: { timesync: { now: () => 0 } } })
  const client = await open()
  const sync = async (timesync: string): Promise<unknown> => {
    const response = await client.post(`[{"channel":"/meta/subscribe","clientId":"${client.clientId}","subscription":"/a","ext":{"timesync":${timesync}}}]`)
    return response.json().at(-1).ext?.timesync
  }
  for (const tc of ['1e300', '-1e300', '1e999', 'true', '[1]', '"1"']) t.equal(await sync(`{"tc":${tc},"l":0,"o":0}`), undefined)
  for (const l of ['1e999', '"0"', 'null']) t.strictSame(await sync(`{"tc":1,"l":${l},"o":0}`), { tc: 1, ts: 0, p: 0 })
  t.notOk(client.session.attributes.has('lag'))
  for (const o of ['1e999', '"0"', 'null']) t.strictSame(await sync(`{"tc":1,"l":0,"o":${o}}`), { tc: 1, ts: 0, p: 0, a: 1 })
  const huge = Number.MAX_SAFE_INTEGER
  t.strictSame(await sync(`{"tc":${huge},"l":${huge},"o":${huge}}`), { tc: huge, ts: 0, p: 0, a: 3 * huge })
})

t.test('what others put into ext of the reply stays, and a reply that they replace is theirs', async t => {
  const { cometd, client } = await start(t, { extensions: { timesync: true } })
  let replaces = false
  cometd.addExtension({
    outgoing (server, sender, session, message) {
      if (replaces) return { channel: '/meta/handshake', id: message['id'], successful: false, error: '500:mine' }
      message.ext = { ...message.ext, mine: 1 }
    }
  })
  const ext = { timesync: { tc: Date.now(), l: 0, o: 0 } }
  t.match(await client().handshake({ ext }), { ext: { mine: 1, timesync: { tc: ext.timesync.tc } } })
  replaces = true
  t.strictSame(await client().handshake({ ext }), { channel: '/meta/handshake', id: '1', successful: false, error: '500:mine' })
})

t.test('wrong options are refused, and the error says where', async t => {
  const wrong: Array<[unknown, RegExp]> = [
    [{ accuracyTarget: -1 }, /^option 'timesync.accuracyTarget': Expected number to be greater or equal to 0$/],
    [{ accuracyTarget: NaN }, /'timesync.accuracyTarget'/], [{ now: 5 }, /'timesync.now'/], [{ target: 5 }, /'timesync.target'/], [null, /'timesync': Expected object/]
  ]
  for (const [options, message] of wrong) {
    t.throws(() => new TimesyncExtension(options as never), { code: 'COMETD_ERR_OPTION_INVALID', message })
    if (options !== null) await t.rejects(start(t, { extensions: { timesync: options as never } }), { code: 'COMETD_ERR_OPTION_INVALID', message })
  }
  await t.rejects(start(t, { extensions: { timesync: null as never } }), { message: /^option 'extensions.timesync': / })
  t.strictSame((await start(t, { extensions: { timesync: false } })).cometd.extensions, [])
})
