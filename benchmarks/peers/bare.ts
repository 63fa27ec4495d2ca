// The least that a Fastify route can do and still look like a Bayeux server to the driver: parse, hold, answer. It knows no
// channels, trusts every client, checks nothing and forgets nobody. What it costs is what Fastify and node:http cost.

import Fastify, { type FastifyReply } from 'fastify'
import type { AddressInfo } from 'node:net'
import { addWebSocket } from './bare-websocket.js'
import { HOST, PATH, serve } from './control.js'

interface Message {
  channel: string
  clientId: string
  advice?: { timeout: number }
  data?: unknown
}

interface Listener {
  held: FastifyReply | undefined
  queue: string[]
}

const CONNECTED = '{"channel":"/meta/connect","successful":true}'
const listeners = new Map<string, Listener>()
const subscribers: Listener[] = []

function answer (reply: FastifyReply, replies: string[]): void {
  reply.header('content-type', 'application/json').send(`[${replies.join()}]`)
}

function release (listener: Listener): void {
  const { held, queue } = listener
  if (held === undefined || queue.length === 0) return
  listener.held = undefined
  listener.queue = []
  answer(held, [...queue, CONNECTED])
}

function broadcast ({ channel, data }: Message): string {
  const event = JSON.stringify({ channel, data })
  for (const { queue } of subscribers) queue.push(event)
  return `{"channel":"${channel}","successful":true}`
}

function handshake (reply: FastifyReply): string {
  const clientId = String(listeners.size)
  listeners.set(clientId, { held: undefined, queue: [] })
  reply.header('set-cookie', `BAYEUX_BROWSER=${clientId}`)
  return `{"channel":"/meta/handshake","clientId":"${clientId}","successful":true}`
}

function handle (messages: Message[], reply: FastifyReply): void {
  const replies: string[] = []
  for (const message of messages) {
    const listener = listeners.get(message.clientId)
    if (listener === undefined) replies.push(handshake(reply))
    else if (message.channel === '/meta/subscribe') {
      subscribers.push(listener)
      replies.push('{"channel":"/meta/subscribe","successful":true}')
    } else if (message.channel !== '/meta/connect') replies.push(broadcast(message))
    else if (message.advice?.timeout === 0) replies.push(CONNECTED)
    else {
      listener.held = reply
      release(listener)
      return
    }
  }
  answer(reply, replies)
  subscribers.forEach(release)
}

await serve(async ({ transport }) => {
  const app = Fastify()
  // Not both: @fastify/websocket would add to the cost of a request.
  if (transport === 'websocket') await addWebSocket(app)
  else app.post<{ Body: Message[] }>(PATH, (request, reply) => { handle(request.body, reply) })
  await app.listen({ port: 0, host: HOST })
  return { port: (app.server.address() as AddressInfo).port }
})
