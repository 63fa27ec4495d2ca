import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { serve } from './control.js'
import { listen } from './http-server.js'

// What a Bayeux server does by itself, as an application of socket.io: rooms to join and to send to, both acknowledged.
await serve(() => {
  const server = createServer()
  const io = new Server(server)
  const { rooms } = io.of('/').adapter
  io.on('connection', socket => {
    socket.on('subscribe', (channel: string, acknowledge: () => void) => {
      socket.join(channel)
      acknowledge()
    })
    socket.on('publish', (channel: string, data: unknown, acknowledge: () => void) => {
      // socket.io encodes what it emits before it looks who is there to get it. An empty room would cost it time for nothing.
      if (rooms.has(channel)) io.to(channel).emit(channel, data)
      acknowledge()
    })
  })
  return listen(server)
})
