import t from 'tap'
import { RemoteCallFailure } from '../../plugin/index.js'
import { memoryLog, start, turn } from '../helpers/harness.js'

t.test('what a service gives goes back to the caller, with the id of its message (B20)', async t => {
  const { cometd, open } = await start(t)
  cometd.service('/service/echo', (session, message) => message.data)
  cometd.service('/service/later', async (session, message) => ({ for: session.id, got: message.data }))
  cometd.service('/service/rooms/{id}', (session, message) => message.parameters.id)
  cometd.service('/service/nothing', () => {})
  const client = await open()
  t.match(await client.send({ channel: '/service/echo', data: 0 }), [{ channel: '/service/echo', id: '3', data: 0 }, { id: '3', successful: true }])
  t.match(await client.send({ channel: '/service/echo', data: false }), [{ data: false }, { successful: true }])
  t.match(await client.send({ channel: '/service/later', data: 1 }), [{ data: { for: client.clientId, got: 1 } }, { successful: true }])
  t.match(await client.send({ channel: '/service/rooms/7', data: 1 }), [{ channel: '/service/rooms/7', data: '7' }, { successful: true }])
  t.equal((await client.send({ channel: '/service/nothing', data: 1 })).length, 1)
  t.equal((await client.raw({ channel: '/service/echo', data: 1, clientId: client.clientId }))[0]?.['id'], undefined)
})

t.test('a service works on a broadcast channel, too', async t => {
  const { cometd, open } = await start(t)
  const heard: unknown[] = []
  cometd.service('/news', (session, message) => { heard.push(message.data) })
  const client = await open()
  await client.publish('/news', 1)
  t.equal(cometd.createServerChannel('/news').publish(null, 2), true)
  t.strictSame(heard, [1], 'but has nobody to answer if the application publishes')
})

t.test('a service that fails refuses the message, and tells nothing of the reason', async t => {
  const log = memoryLog()
  const { cometd, open } = await start(t, {}, { logger: log.logger })
  cometd.service('/service/a', () => { throw new Error('secret') })
  cometd.service('/service/b', () => 1n)
  const client = await open()
  for (const channel of ['/service/a', '/service/b']) {
    t.strictSame(await client.send({ channel, data: 1 }), [{ id: channel.endsWith('a') ? '3' : '4', channel, successful: false, error: '500::internal_error' }])
  }
  t.equal(log.lines.filter(({ level }) => level === 50).length, 2)
})

t.test('a service can be taken away', async t => {
  const { cometd, open } = await start(t)
  const remove = cometd.service('/service/a', () => 1)
  const client = await open()
  t.ok(remove())
  t.notOk(remove())
  t.equal((await client.send({ channel: '/service/a', data: 1 })).length, 1)
  t.throws(() => cometd.service('/service/a', 'x' as never), { code: 'COMETD_ERR_HANDLER_INVALID' })
  t.throws(() => cometd.service('no channel', () => {}), { code: 'COMETD_ERR_CHANNEL_INVALID' })
})

t.test('a remote call is answered by its result and, besides, acknowledged', async t => {
  const { cometd, open } = await start(t)
  cometd.remoteCall('sum', (session, { a, b }: { a: number, b: number }) => a + b)
  cometd.remoteCall('rooms/{id}/join', async (session, parameters, message) => `${session.id} in ${message.parameters.id}`)
  cometd.remoteCall('nothing', () => {})
  const client = await open()
  t.strictSame(await client.send({ channel: '/service/sum', data: { a: 1, b: 2 } }), [
    { channel: '/service/sum', id: '3', successful: true, data: 3 },
    { id: '3', channel: '/service/sum', successful: true }
  ])
  t.match(await client.send({ channel: '/service/nothing', data: 1 }), [{ successful: true, data: null }, { successful: true }])
  await client.send({ channel: '/service/rooms/5/join', data: null })
  t.match(await client.connect(), [{ channel: '/service/rooms/5/join', id: '5', successful: true, data: `${client.clientId} in 5` }, { channel: '/meta/connect' }])
})

t.test('a remote call that fails tells what its handler means to tell, and nothing else', async t => {
  const log = memoryLog()
  const { cometd, open, clock } = await start(t, { maxProcessing: 1_000 }, { logger: log.logger })
  cometd.remoteCall('meant', () => { throw new RemoteCallFailure({ code: 'full' }) })
  const client = await open()
  t.match(await client.send({ channel: '/service/meant', data: 1 }), [{ successful: false, data: { code: 'full' } }, { successful: true }])
  cometd.remoteCall('later', async () => { throw new RemoteCallFailure(undefined) })
  await client.send({ channel: '/service/later', data: 1 })
  t.match(await client.connect(), [{ successful: false, data: null }, {}])
  t.equal(log.lines.filter(({ level }) => level === 50).length, 0)

  cometd.remoteCall('broken', () => { throw new Error('secret') })
  cometd.remoteCall('unwritable', () => 1n)
  cometd.remoteCall('slow', async () => await new Promise(() => {}))
  for (const [name, error] of [['broken', '500::internal_error'], ['unwritable', '500::internal_error'], ['slow', '503::processing_timeout']]) {
    const { answer } = await client.hold()
    const replies = await client.send({ channel: `/service/${name}`, data: 1 })
    await clock.tickAsync(1_100)
    const messages = [...replies, ...name === 'slow' ? await answer : []]
    t.strictSame(messages.find(({ data }) => data)?.['data'], { message: error })
    t.equal(messages.find(({ data }) => data)?.['successful'], false)
    t.notMatch(JSON.stringify(messages), 'secret')
    if (name !== 'slow') client.session.deliver(null, '/a', 1)
    await answer
  }
  t.equal(log.lines.filter(({ level }) => level === 50).length, 3)
})

t.test('a slow remote call does not keep others waiting, but each client has a limit of them', async t => {
  const { cometd, open } = await start(t, { maxRemoteCalls: 2 })
  const answers: Array<(value: unknown) => void> = []
  cometd.remoteCall('slow', async () => await new Promise(resolve => answers.push(resolve)))
  const client = await open()
  for (let i = 0; i < 2; i++) t.equal((await client.send({ channel: '/service/slow', data: i })).length, 1)
  t.match(await client.send({ channel: '/service/slow', data: 2 }), [{ successful: false, data: { message: '503:max_remote_calls:call_denied' } }, { successful: true }])
  for (const answer of answers) answer('done')
  await turn()
  t.match(await client.connect(), [{ id: '3', data: 'done' }, { id: '4', data: 'done' }, {}])
  t.equal((await client.send({ channel: '/service/slow', data: 3 })).length, 1)
  client.session.disconnect()
  answers.at(-1)?.('too late')
})
