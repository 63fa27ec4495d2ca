import type { CometDServer } from '../bayeux/server.js'
import { AcknowledgedMessagesExtension } from './acknowledged-messages.js'
import { ActivityExtension, type ActivityOptions } from './activity.js'
import { BinaryExtension } from './binary.js'
import { TimestampExtension } from './timestamp.js'
import { TimesyncExtension } from './timesync.js'

/** Extensions of CometD that an option adds. */
export interface ExtensionOptions {
  acknowledgement?: boolean
  activity?: Omit<ActivityOptions, 'now'>
  timestamp?: boolean
  timesync?: boolean
  binary?: boolean
}

/** Adds the extensions that the options name. `now` is the server's time, in ms. */
export function addExtensions (server: CometDServer, options: ExtensionOptions, now: () => number): void {
  if (options.acknowledgement) server.addExtension(new AcknowledgedMessagesExtension())
  if (options.activity !== undefined) server.addExtension(new ActivityExtension({ ...options.activity, now }))
  if (options.timestamp) server.addExtension(new TimestampExtension())
  if (options.timesync) server.addExtension(new TimesyncExtension())
  if (options.binary) server.addExtension(new BinaryExtension())
}
