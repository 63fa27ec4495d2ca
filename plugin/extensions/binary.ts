import type { Incoming, ServerExtension } from '../bayeux/extensions.js'
import type { OutgoingMessage, Reply, ServerMessage } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'
import { decode, encode } from './z85.js'

/** The bytes of a message. `last` tells whether they are all of it, or the end of what came in several messages; `meta` is any JSON. */
export type BinaryData = Buffer & { last: boolean, meta?: unknown }

/**
 * Lets messages carry bytes: the `data` of a client's binary message is a Buffer with `last` and `meta`, and a Buffer or any
 * Uint8Array, with or without these, can be published, delivered and be the result of a remote call. Wire format: that of
 * CometD's binary extension (`ext.binary`; the bytes as Z85). What claims to be binary and is not is refused with
 * `400:binary:message_invalid`.
 */
export class BinaryExtension implements ServerExtension {
  incoming (_server: CometDServer, _session: ServerSession, message: ServerMessage): Incoming {
    if (!message.ext?.['binary'] || message.channel.startsWith('/meta/')) return true
    const data = read(message.data)
    if (data === undefined) {
      message.reply.successful = false
      message.reply.error = '400:binary:message_invalid'
      return false
    }
    message.data = data
    const { binary, ...ext } = message.ext
    message.ext = Object.keys(ext).length > 0 ? ext : undefined
    return true
  }

  outgoing (_server: CometDServer, _sender: ServerSession | null, _session: ServerSession | null, message: OutgoingMessage | Reply): void {
    const bytes = message['data']
    if (!(bytes instanceof Uint8Array)) return
    const { last = true, meta } = bytes as Partial<BinaryData>
    message['data'] = { data: encode(bytes), last, ...(meta !== undefined && { meta }) }
    message.ext = { ...message.ext, binary: {} }
  }
}

function read (value: unknown): BinaryData | undefined {
  const { data, last = true, meta } = (value ?? {}) as Record<string, unknown>
  if (typeof data !== 'string' || typeof last !== 'boolean') return undefined
  const bytes = decode(data)
  return bytes && Object.assign(bytes, { last, ...(meta !== undefined && { meta }) })
}
