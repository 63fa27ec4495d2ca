// The least that a socket of @fastify/websocket can do if every event has to be acknowledged: events travel with the answers
// to connects, as `bare` does everything else. It remembers nothing that it has sent, so it could not send it again.

import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import { HOST, PATH, serve } from './control.js'

interface Message {
  id: string
  channel: string
  advice?: { timeout: number }
  data?: unknown
}

interface Listener {
  send: (text: string) => void
  held: Message | undefined
  queue: string[]
  batch: number
}

const subscribers: Listener[] = []

function release (listener: Listener): void {
  const { held, queue } = listener
  if (held === undefined || queue.length === 0) return
  listener.held = undefined
  listener.queue = []
  listener.send(`[${queue.join()},{"id":"${held.id}","channel":"/meta/connect","successful":true,"ext":{"ack":${++listener.batch}}}]`)
}

function receive (listener: Listener, messages: Message[]): void {
  const replies: string[] = []
  for (const message of messages) {
    const { id, channel, advice, data } = message
    if (channel === '/meta/connect' && advice?.timeout !== 0) {
      listener.held = message
      continue
    }
    if (channel === '/meta/subscribe') subscribers.push(listener)
    replies.push(`{"id":"${id}","channel":"${channel}","clientId":"0","successful":true,"ext":{"ack":0}}`)
    if (data === undefined) continue
    const event = JSON.stringify({ channel, data })
    for (const { queue } of subscribers) queue.push(event)
  }
  if (replies.length > 0) listener.send(`[${replies.join()}]`)
  for (const subscriber of subscribers) release(subscriber)
}

await serve(async () => {
  const app = Fastify()
  await app.register(websocket)
  app.get(PATH, { websocket: true }, socket => {
    const listener: Listener = { send: text => socket.send(text), held: undefined, queue: [], batch: 0 }
    socket.on('message', (data: Buffer) => receive(listener, JSON.parse(data.toString()) as Message[]))
  })
  await app.listen({ port: 0, host: HOST })
  return { port: (app.server.address() as AddressInfo).port }
})
