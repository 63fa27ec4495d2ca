import { CometD } from 'cometd-8'
import { adapt } from 'cometd-nodejs-client'
import { createRequire } from 'node:module'
import t from 'tap'
import { cometdPeer } from './cometd-peer.js'
import { testClient } from './scenarios.js'

// It makes the adapter's globals itself.
const { CometD: IsomorphicCometD } = createRequire(import.meta.url)('isomorphic-cometd') as typeof import('cometd')

// All clients of a process share its cookies, as the tabs of a browser do.
adapt()
t.jobs = 8
testClient(t, 'cometd 8 with cometd-nodejs-client 2', (url, transports) => cometdPeer(new CometD() as never, url, transports))
testClient(t, 'isomorphic-cometd 1 with cometd 9', (url, transports) => cometdPeer(new IsomorphicCometD(), url, transports))
