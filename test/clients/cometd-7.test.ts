import { createRequire } from 'node:module'
import t from 'tap'
import { cometdPeer } from './cometd-peer.js'
import { testClient } from './scenarios.js'

const require = createRequire(import.meta.url)
const { CometD } = require('cometd-7') as typeof import('cometd-7')
const { adapt } = require('cometd-nodejs-client-1') as typeof import('cometd-nodejs-client-1')

// All clients of a process share its cookies, as the tabs of a browser do.
adapt()
testClient(t, 'cometd 7 with cometd-nodejs-client 1', (url, transports) => cometdPeer(new CometD() as never, url, transports))
