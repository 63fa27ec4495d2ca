import type { Log } from '../bayeux/environment.js'
import type { Reply } from '../bayeux/message.js'

/** A reply as JSON. Extensions and listeners may have put something into it that JSON cannot hold: then it is an error. */
export function replyText (reply: Reply, log: Log): string {
  try {
    return JSON.stringify(reply)
  } catch (err) {
    log.error({ err }, 'reply replaced: an extension or listener put something into it that JSON cannot hold')
    return JSON.stringify({ id: reply.id, channel: reply.channel, successful: false, error: '500::internal_error' })
  }
}
