import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type { WebSocket } from 'ws'
import { PATH } from './control.js'

interface Message {
  id: string
  channel: string
  clientId: string
  advice?: { timeout: number }
  data?: unknown
}

/** The same least over WebSocket: parse, answer, and send everybody what one frame published as one frame. */
export async function addWebSocket (app: FastifyInstance): Promise<void> {
  const subscribers: WebSocket[] = []
  let sessions = 0

  const replyTo = ({ id, channel, clientId = String(sessions++) }: Message) =>
    `{"id":"${id}","channel":"${channel}","clientId":"${clientId}","successful":true}`

  const receive = (socket: WebSocket, messages: Message[]) => {
    const replies: string[] = []
    const events: string[] = []
    for (const message of messages) {
      const { channel, advice, data } = message
      if (channel === '/meta/connect' && advice?.timeout !== 0) continue
      if (channel === '/meta/subscribe') subscribers.push(socket)
      if (data !== undefined) events.push(JSON.stringify({ channel, data }))
      replies.push(replyTo(message))
    }
    if (replies.length > 0) socket.send(`[${replies.join()}]`)
    if (events.length === 0 || subscribers.length === 0) return
    const frame = Buffer.from(`[${events.join()}]`)
    for (const subscriber of subscribers) subscriber.send(frame, { binary: false })
  }

  await app.register(websocket)
  app.get(PATH, { websocket: true }, socket => {
    socket.on('message', (data: Buffer) => receive(socket, JSON.parse(data.toString()) as Message[]))
  })
}
