import type { CometDServer } from '../bayeux/server.js'
import { AcknowledgedMessagesExtension } from './acknowledged-messages.js'
import { ActivityExtension, type ActivityOptions } from './activity.js'
import { BinaryExtension } from './binary.js'
import { TimestampExtension, type TimestampOptions } from './timestamp.js'
import { TimesyncExtension, type TimesyncOptions } from './timesync.js'

/** Extensions of CometD that an option adds. */
export interface ExtensionOptions {
  acknowledgement?: boolean
  activity?: false | ActivityOptions
  timestamp?: boolean | TimestampOptions
  timesync?: boolean | TimesyncOptions
  binary?: boolean
}

/**
 * Adds the extensions that the options name. `now` is the server's time, in ms.
 * @throws COMETD_ERR_OPTION_INVALID
 */
export function addExtensions (server: CometDServer, { acknowledgement, activity, timestamp, timesync, binary }: ExtensionOptions, now: () => number): void {
  // The first is the one nearest to the wire: what passes it after the others have had it, they have as it is there.
  if (timesync) server.addExtension(new TimesyncExtension(timesync === true ? {} : timesync))
  if (binary) server.addExtension(new BinaryExtension())
  if (timestamp) server.addExtension(new TimestampExtension(timestamp === true ? {} : timestamp))
  if (activity) server.addExtension(new ActivityExtension({ now, ...activity }))
  if (acknowledgement) server.addExtension(new AcknowledgedMessagesExtension())
}
