import { createRequire } from 'node:module'
import t from 'tap'
import { cometdPeer } from './cometd-peer.js'
import { converse } from './conversation.js'

const require = createRequire(import.meta.url)
const { CometD } = require('cometd-7') as typeof import('cometd-7')
const { adapt } = require('cometd-nodejs-client-1') as typeof import('cometd-nodejs-client-1')

t.test('cometd 7 with cometd-nodejs-client 1', async t => {
  await converse(t, url => {
    // Each client gets a cookie store of its own.
    adapt()
    return cometdPeer(new CometD() as never, url)
  })
})
