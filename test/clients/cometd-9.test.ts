import { CometD } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import t from 'tap'
import { cometdPeer } from './cometd-peer.js'
import { converse } from './conversation.js'

t.test('cometd 9 with cometd-nodejs-client 2', async t => {
  await converse(t, url => {
    // Each client gets a cookie store of its own.
    adapt()
    return cometdPeer(new CometD(), url)
  })
})
