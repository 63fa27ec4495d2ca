import { Polling } from './polling.js'

/** Messages in the body of POST requests (B80–B83). */
export class LongPolling extends Polling {
  readonly name = 'long-polling'
  readonly contentType = 'application/json; charset=utf-8'

  write (json: string): string {
    return json
  }
}
