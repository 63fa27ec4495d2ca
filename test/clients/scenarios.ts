import type { Test } from 'tap'
import type { CometDPluginOptions } from '../../plugin/index.js'
import { converse } from './conversation.js'
import { surviveCuts } from './cuts.js'
import type { MakePeer } from './peer.js'

/** Everything that is asked of a client library, in each of the networks that it may find. `options` are what it needs of the server. */
export function testClient (t: Test, name: string, makePeer: MakePeer, options: CometDPluginOptions = {}): void {
  t.test(`${name} over long-polling`, async t => {
    await converse(t, url => makePeer(url, ['long-polling']), 'long-polling', { options })
  })
  t.test(`${name} over WebSocket`, async t => {
    await converse(t, url => makePeer(url, ['websocket']), 'websocket', { options })
  })
  t.test(`${name} falls back to long-polling where WebSocket is refused`, async t => {
    await converse(t, url => makePeer(url, ['websocket', 'long-polling']), 'long-polling', { options, refuseUpgrades: true })
  })
  t.test(`${name} goes on where WebSockets are cut after two seconds`, async t => {
    await surviveCuts(t, url => makePeer(url, ['websocket', 'long-polling']), options)
  })
}
