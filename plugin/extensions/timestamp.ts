import type { ServerExtension } from '../bayeux/extensions.js'
import type { OutgoingMessage, Reply } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'

export interface TimestampOptions {
  /** Default: ISO 8601 in UTC (B24). */
  format?: (date: Date) => string
}

/** Puts the time at which it is sent into every message to clients, as `timestamp`. */
export class TimestampExtension implements ServerExtension {
  readonly #format: (date: Date) => string

  constructor ({ format = date => date.toISOString() }: TimestampOptions = {}) {
    this.#format = format
  }

  outgoing (server: CometDServer, sender: ServerSession | null, session: ServerSession | null, message: OutgoingMessage | Reply): void {
    message['timestamp'] = this.#format(new Date())
  }
}
