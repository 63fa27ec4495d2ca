import t from 'tap'
import { fayePeer } from './faye-peer.js'
import { testTransports } from './scenarios.js'

t.jobs = 5
for (const version of ['0.8', '1.0', '1.1', '1.2', '1.3']) {
  testTransports(t, `faye ${version}`, fayePeer(`faye-${version}`), {
    // As faye 1.4.
    options: { trustClientSession: true, timeout: 1_500 },
    // It takes every JSON for an answer, whatever the status. Until 1.0 it then waits for ever for what it has asked for.
    fastify: { return503OnClosing: false }
  })
}
