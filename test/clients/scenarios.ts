import type { FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import type { CometDPluginOptions } from '../../plugin/index.js'
import { converse } from './conversation.js'
import { surviveCuts } from './cuts.js'
import type { MakePeer } from './peer.js'

/** What a client library needs: `options` of the server, `fastify` of the application. */
interface Needs { options?: CometDPluginOptions, fastify?: FastifyServerOptions }

/** Everything that is asked of a client library, in each of the networks that it may find. */
export function testClient (t: Test, name: string, makePeer: MakePeer, needs: Needs = {}): void {
  testTransports(t, name, makePeer, needs)
  scenario(t, `${name} falls back to long-polling where WebSocket is refused`, needs, async (t, needs) => {
    await converse(t, url => makePeer(url, ['websocket', 'long-polling']), 'long-polling', { ...needs, refuseUpgrades: true })
  })
  scenario(t, `${name} goes on where WebSockets are cut after two seconds`, needs, async (t, { options }) => {
    await surviveCuts(t, url => makePeer(url, ['websocket', 'long-polling']), options)
  })
}

/** The same conversation over each of the transports. */
export function testTransports (t: Test, name: string, makePeer: MakePeer, needs: Needs = {}): void {
  // Most of it is waiting.
  t.jobs = Math.max(t.jobs, 4)
  scenario(t, `${name} over long-polling`, needs, async (t, needs) => {
    await converse(t, url => makePeer(url, ['long-polling']), 'long-polling', needs)
  })
  scenario(t, `${name} over WebSocket`, needs, async (t, needs) => {
    await converse(t, url => makePeer(url, ['websocket']), 'websocket', needs)
  })
}

let scenarios = 0

function scenario (t: Test, title: string, needs: Needs, run: (t: Test, needs: Required<Needs>) => Promise<void>): void {
  // Clients of one process may share their cookies, which know no ports.
  const options = { browserCookieName: `BAYEUX_BROWSER_${++scenarios}`, ...needs.options }
  t.test(title, { buffered: true }, async t => await run(t, { fastify: {}, ...needs, options }))
}
