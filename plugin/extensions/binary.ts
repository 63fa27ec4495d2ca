import type { Incoming, ServerExtension } from '../bayeux/extensions.js'
import type { OutgoingMessage, Reply, ServerMessage } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'
import { decode, encode } from './z85.js'

/** Bytes as the data of a message. Of data that come in several messages, `last` marks the end; `meta` is any JSON. */
export type BinaryData = Buffer & { last: boolean, meta?: unknown }

/**
 * Lets messages carry bytes: listeners get a Buffer, and a Buffer can be published and delivered. Wire format: that of CometD's
 * binary extension (`ext.binary`; the bytes as Z85).
 */
export class BinaryExtension implements ServerExtension {
  incoming (server: CometDServer, session: ServerSession, message: ServerMessage): Incoming {
    if (message.channel.startsWith('/meta/') || message.ext?.['binary'] === undefined) return true
    const { data, last = true, meta } = (message.data ?? {}) as Record<string, unknown>
    const bytes = typeof data === 'string' ? decode(data) : undefined
    if (bytes === undefined) {
      Object.assign(message.reply, { successful: false, error: '400:binary:message_invalid' })
      return false
    }
    message.data = Object.assign(bytes, { last: last === true, ...(meta !== undefined && { meta }) }) satisfies BinaryData
    const { binary, ...ext } = message.ext
    message.ext = Object.keys(ext).length > 0 ? ext : undefined
    return true
  }

  outgoing (server: CometDServer, sender: ServerSession | null, session: ServerSession | null, message: OutgoingMessage | Reply): void {
    const bytes = message['data']
    if (!(bytes instanceof Uint8Array)) return
    const { last = true, meta } = bytes as Partial<BinaryData>
    message['data'] = { data: encode(bytes), last, ...(meta !== undefined && { meta }) }
    message.ext = { ...message.ext, binary: {} }
  }
}
