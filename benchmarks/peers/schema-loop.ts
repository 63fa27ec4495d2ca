import Fastify from 'fastify'
import { receive } from '../../plugin/bayeux/receive.js'
import { ServerMessage } from '../../plugin/bayeux/message.js'
import type { ServerSession } from '../../plugin/bayeux/session.js'
import cometd, { type ChannelSettings } from '../../plugin/index.js'
import { serve } from './control.js'

const CHANNEL = '/benchmark/schema'
const WARM_UP = 300_000
const PUBLISHES = 1_000_000

/** Publishes in a loop, as a client does from where its message was read on, on a channel that is set so. There is no subscriber. */
export async function serveLoop (settings: ChannelSettings): Promise<void> {
  await serve(async () => {
    const app = Fastify()
    await app.register(cometd)
    app.cometd.createServerChannel(CHANNEL, settings)
    const client = app.cometd.newLocalSession()
    await client.handshake()
    const session = client.serverSession as ServerSession

    const publish = (times: number): void => {
      for (let sequence = 0; sequence < times; sequence++) {
        const message = new ServerMessage({ channel: CHANNEL, data: { user: 'ada', text: 'hello, everybody', room: 'lobby', sequence, urgent: false } })
        receive(app.cometd, session, message, undefined)
        if (message.reply.successful !== true) throw new Error(message.reply.error)
      }
    }
    return {
      port: 0,
      loop () {
        publish(WARM_UP)
        const before = process.cpuUsage()
        publish(PUBLISHES)
        const { user, system } = process.cpuUsage(before)
        return (user + system) / PUBLISHES
      }
    }
  })
}
