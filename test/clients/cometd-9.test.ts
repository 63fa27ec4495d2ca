import { CometD } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import t from 'tap'
import { cometdPeer } from './cometd-peer.js'
import { testClient } from './scenarios.js'

// All clients of a process share its cookies, as the tabs of a browser do.
adapt()
testClient(t, 'cometd 9 with cometd-nodejs-client 2', (url, transports) => cometdPeer(new CometD(), url, transports))
