import type { Log } from './environment.js'

/** A log whose failures end nothing: a full disk must not stop the server. */
export class SafeLog implements Log {
  readonly #log: Log

  constructor (log: Log) {
    this.#log = log
  }

  error (details: object, text: string): void {
    try {
      this.#log.error(details, text)
    } catch {}
  }

  warn (details: object, text: string): void {
    try {
      this.#log.warn(details, text)
    } catch {}
  }

  info (details: object, text: string): void {
    try {
      this.#log.info(details, text)
    } catch {}
  }

  debug (details: object, text: string): void {
    try {
      this.#log.debug(details, text)
    } catch {}
  }
}
