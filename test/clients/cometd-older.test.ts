import { createRequire } from 'node:module'
import t from 'tap'
import { cometdPeer } from './cometd-peer.js'
import { testClient } from './scenarios.js'

type Library = typeof import('cometd-7')

const require = createRequire(import.meta.url)
const { adapt } = require('cometd-nodejs-client-1') as typeof import('cometd-nodejs-client-1')

// All clients of a process share its cookies, as the tabs of a browser do.
adapt()
t.jobs = 12
for (const version of ['3', '4', '5']) {
  const { CometD } = require(`cometd-${version}`) as Library
  testClient(t, `cometd ${version} with cometd-nodejs-client 1`, (url, transports) => cometdPeer(new CometD() as never, url, transports))
}
