import t from 'tap'
import { fayePeer } from './faye-peer.js'
import { testClient } from './scenarios.js'

testClient(t, 'faye 1.4', fayePeer('faye'), {
  options: {
    // It opens its WebSocket before it has the cookie that its handshake over long-polling gives it.
    trustClientSession: true,
    // It gives a connect up, and all that is under way with it, when a fifth more than this is over.
    timeout: 1_500
  }
})
