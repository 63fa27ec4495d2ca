import t, { type Test } from 'tap'
import { type DataFilter, filterData, filterStrings, noMarkup, noScripts, replacePattern } from '../../plugin/index.js'
import { startKit } from '../helpers/kit.js'

/** What is left of `data` for subscribers of a channel with these filters; the error of the reply, if nothing is. */
async function pass (t: Test, data: unknown, ...filters: DataFilter[]): Promise<unknown> {
  const { cometd, open } = await startKit(t)
  cometd.createServerChannel('/a').addListener('message', filterData(...filters))
  const client = await open()
  const messages = await client.subscribe('/a')
  const { successful, error } = await client.publish('/a', data)
  return successful === true ? (await messages.message()).data : error
}

t.test('noMarkup makes text of markup, at any depth', async t => {
  t.strictSame(await pass(t, { a: ['<b>', 1, null, { c: 'x > y' }], d: true }, noMarkup), { a: ['&lt;b&gt;', 1, null, { c: 'x &gt; y' }], d: true })
  t.equal(await pass(t, '<script>', noMarkup), '&lt;script&gt;')
})

t.test('noScripts takes scripts out', async t => {
  t.equal(await pass(t, 'a<script src="x">alert(1)</ script >b<SCRIPT>c', noScripts), 'ab')
  t.equal(await pass(t, '<scripture>', noScripts), '<scripture>')
})

t.test('replacePattern replaces what matches, or deletes the message', async t => {
  t.equal(await pass(t, 'damn damn', replacePattern(/damn/, '****')), '**** ****')
  t.strictSame(await pass(t, ['DAMN'], replacePattern(/damn/gi, '')), [''])
  const forbid = replacePattern(/damn/i, null)
  for (const data of ['Damn', ['x', 'damn'], { a: { b: 'damn' } }]) t.equal(await pass(t, data, forbid), '404::message_deleted')
  for (const data of ['Dam', [null, 'x'], { a: { b: 'x', c: null } }]) t.strictSame(await pass(t, data, forbid), data)
})

t.test('filters are a chain: each gets what the one before has left', async t => {
  t.equal(await pass(t, 'a', filterStrings(text => text + 'b'), async data => `${data as string}c`, (data, session, channel, message) => [data, channel.name, message.channel, session !== null].join()), 'abc,/a,/a,true')
  t.equal(await pass(t, 'a', () => undefined, () => t.fail('comes no more')), '404::message_deleted')
})

t.test('what the application publishes is filtered, too, and stays as it was for its owner', async t => {
  const { cometd, open } = await startKit(t)
  const channel = cometd.createServerChannel('/a')
  channel.addListener('message', filterData(noMarkup))
  const messages = await (await open()).subscribe('/a')
  const date = new Date(0)
  const data = { text: '<', date, nothing: undefined, list: [undefined], bare: Object.assign(Object.create(null), { a: '>' }) }
  channel.publish(null, data)
  t.equal(data.text, '<')
  t.strictSame((await messages.message()).data, { text: '&lt;', date: date.toJSON(), list: [null], bare: { a: '&gt;' } })
})
