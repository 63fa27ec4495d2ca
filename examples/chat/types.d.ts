import type { Static } from '@sinclair/typebox'
import type { RoomEvent, RoomList, Say, Whisper, Whispered } from './schemas.js'

// What travels on a channel, for everybody who only has its name: `deliver`, and the clients of the tests.
declare module 'fastify-cometd' {
  interface CometDChannels {
    '/chat/rooms': Static<typeof RoomList>
    '/chat/rooms/{room}': Static<typeof RoomEvent>
    '/service/chat/say': { request: Static<typeof Say> }
    '/service/chat/whisper': { request: Static<typeof Whisper>, response: Static<typeof Whispered> }
  }
}
