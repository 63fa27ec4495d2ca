import type { Awaitable } from '../awaitable.js'
import type { MessageContext } from '../context.js'
import type { ServerMessage } from '../message.js'
import type { CometDServer } from '../server.js'
import type { ServerSession } from '../session.js'
import { connect } from './connect.js'
import { disconnect } from './disconnect.js'
import { handshake } from './handshake.js'
import { subscribe } from './subscribe.js'
import { unsubscribe } from './unsubscribe.js'

type MetaHandler = (server: CometDServer, session: ServerSession, message: ServerMessage, context: MessageContext | undefined) => Awaitable<void>

/** What the server does with a message to a meta channel. */
export const metaHandlers: ReadonlyMap<string, MetaHandler> = new Map<string, MetaHandler>([
  ['/meta/handshake', handshake],
  ['/meta/connect', connect],
  ['/meta/subscribe', subscribe],
  ['/meta/unsubscribe', unsubscribe],
  ['/meta/disconnect', disconnect]
])
