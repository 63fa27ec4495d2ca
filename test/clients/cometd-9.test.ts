import { CometD } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import t from 'tap'
import { cometdPeer } from './cometd-peer.js'
import { converse } from './conversation.js'

t.test('cometd 9 with cometd-nodejs-client 2', async t => {
  // All clients of a process share its cookies, as the tabs of a browser do.
  adapt()
  await converse(t, url => cometdPeer(new CometD(), url))
})
