import { TimestampOptions as schema } from '../../schemas/extensions.js'
import type { ServerExtension } from '../bayeux/extensions.js'
import { now } from '../bayeux/guests.js'
import type { OutgoingMessage, Reply } from '../bayeux/message.js'
import type { CometDServer } from '../bayeux/server.js'
import type { ServerSession } from '../bayeux/session.js'
import { optionCheck } from '../option-check.js'

/** What a TimestampExtension takes. */
export interface TimestampOptions {
  /** Writes the time. Default: ISO 8601 in UTC (B24), with milliseconds. */
  format?: (date: Date) => string
}

const check = optionCheck('timestamp', schema)

/**
 * Tells in `timestamp` of every message to clients, events and replies, when the server made it. One that the application has
 * put there is left alone; those of clients do not travel on. As CometD's timestamp extension, but for the format.
 */
export class TimestampExtension implements ServerExtension {
  readonly #format: (date: Date) => string

  /** @throws COMETD_ERR_OPTION_INVALID */
  constructor (options: TimestampOptions = {}) {
    check(options)
    this.#format = options.format ?? (date => date.toISOString())
  }

  outgoing (_server: CometDServer, _sender: ServerSession | null, _session: ServerSession | null, message: OutgoingMessage | Reply): void {
    message['timestamp'] ??= now('format', this.#format(new Date()))
  }
}
