import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { once } from '../helpers/harness.js'
import { Mailbox } from './mailbox.js'
import type { Peer } from './peer.js'
import { Proxy } from './proxy.js'

const CUTS = 3
const LAST = -1
const EVENT = /"channel":"\/numbers","data":(\d+)/g

/**
 * A client whose WebSockets are cut again and again, while the server sends it numbers. Without acknowledgements a number that
 * was under way in that moment is lost; the proxy knows which these are.
 */
export async function surviveCuts (t: Test, makePeer: (url: string) => Peer, options: CometDPluginOptions): Promise<void> {
  const proxy = await Proxy.start(t, { cuts: { after: 2_000, times: CUTS } })
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(cometd, { ...options, timeout: 5_000, maxInterval: 1_000 })
  const sessions = new Set<string>()
  const comers: string[] = []
  app.cometd.addListener('sessionAdded', ({ id }) => { sessions.add(id); comers.push(id) })
  app.cometd.addListener('sessionRemoved', ({ id }) => { sessions.delete(id) })
  const heard: unknown[] = []
  app.cometd.createServerChannel('/service/count').addListener('message', (session, channel, { data }) => { heard.push(data) })
  await app.listen({ port: 0, host: '127.0.0.1' })
  proxy.leadTo((app.server.address() as AddressInfo).port)

  const peer = makePeer(proxy.url)
  t.teardown(async () => await peer.close())
  const id = await peer.open()
  const inbox = new Mailbox()
  await peer.subscribe('/numbers', inbox.put)

  const numbers = app.cometd.createServerChannel('/numbers')
  let sent = 0
  const send = (): number => {
    numbers.publish(null, sent)
    return sent++
  }
  const confirmed: unknown[] = []
  let counted = 0
  const count = (): void => {
    const number = counted++
    peer.publish('/service/count', number).then(() => confirmed.push(number), () => {})
  }
  const timers = [setInterval(send, 20), setInterval(count, 110)]
  t.teardown(() => timers.forEach(clearInterval))

  const whileCut: number[] = []
  await new Promise<void>(resolve => {
    let cuts = 0
    proxy.onCut = () => {
      for (let i = 0; i < 5; i++) whileCut.push(send())
      if (++cuts === CUTS) resolve()
    }
  })
  timers.forEach(clearInterval)
  numbers.publish(null, LAST)
  const received = (await inbox.takeWhen(mails => mails.includes(LAST))).slice(0, -1) as number[]
  const lost = Array.from(proxy.lost.matchAll(EVENT), ([, number]) => Number(number))

  t.strictSame(received, [...new Set(received)].sort((a, b) => a - b), 'numbers arrive in order, and none twice')
  t.strictSame(whileCut.filter(number => !received.includes(number)), [], 'what is sent while there is no socket arrives')
  const arrived = new Set([...received, ...lost])
  t.strictSame(Array.from({ length: sent }, (_, number) => number).filter(number => !arrived.has(number)), [], 'only what was under way is lost')
  if (peer.repeats !== true) t.strictSame(heard, [...new Set(heard)], 'nothing that the client sends is heard twice')
  t.strictSame(confirmed.filter(number => !heard.includes(number)), [], 'and what was confirmed was heard')
  t.strictSame([comers, [...sessions], await peer.transport()], [[id], [id], 'websocket'], 'it is the same session all along')

  const gone = once(app.cometd, 'sessionRemoved')
  await peer.close()
  await gone
  t.equal(sessions.size, 0, 'and none is left')
}
