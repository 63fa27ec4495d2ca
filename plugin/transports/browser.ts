import * as cookie from 'cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Binding } from '../bayeux/session.js'
import type { ServerOptions } from '../../schemas/options.js'

// What newKey gives: too strong to be guessed.
const KEY = /^[0-9a-f]{40}$/

/** One browser, as the server knows it by its cookie: its sessions are bound to it. */
export class Browser implements Binding {
  /** Number of its connects that are held over HTTP/1.1, where a browser has few connections. */
  held = 0
  heldOverHttp2 = 0
  /** Value of the cookie. */
  readonly key: string
  readonly #browsers: Browsers
  #sessions = 0

  constructor (browsers: Browsers, key: string) {
    this.#browsers = browsers
    this.key = key
  }

  get full (): boolean {
    return this.#browsers.get(this.key).#sessions >= this.#browsers.options.maxSessionsPerCookie
  }

  /** Whether one more connect may be held (B88). */
  mayHold (overHttp2: boolean): boolean {
    const { maxSessionsPerBrowser, http2MaxSessionsPerBrowser } = this.#browsers.options
    const limit = overHttp2 ? http2MaxSessionsPerBrowser : maxSessionsPerBrowser
    return limit < 0 || (overHttp2 ? this.heldOverHttp2 : this.held) < limit
  }

  /** One more connect is held. */
  hold (overHttp2: boolean): void {
    if (overHttp2) this.heldOverHttp2++
    else this.held++
  }

  /** One of its held connects was let go. */
  letGo (overHttp2: boolean): void {
    if (overHttp2) this.heldOverHttp2--
    else this.held--
  }

  join (): Browser {
    // Another tab may have been quicker.
    const browser = this.#browsers.keep(this)
    browser.#sessions++
    return browser
  }

  leave (): void {
    if (--this.#sessions === 0) this.#browsers.delete(this)
  }
}

/** The browsers that have sessions. */
export class Browsers {
  readonly options: ServerOptions
  readonly #newKey: () => string
  readonly #byKey = new Map<string, Browser>()

  constructor (options: ServerOptions, newKey: () => string) {
    this.options = options
    this.#newKey = newKey
  }

  /** The value of the cookie that came with the request. */
  keyOf (request: FastifyRequest): string | undefined {
    const header = request.headers.cookie
    return header === undefined ? undefined : cookie.parse(header)[this.options.browserCookieName]
  }

  /**
   * The browser of that key, or a new one. A key of our form is kept although it is not known: after a restart all tabs of a
   * browser come with the same one, and must not be given different ones. Any other text is not taken over.
   */
  get (key: string | undefined): Browser {
    const known = key === undefined ? undefined : this.#byKey.get(key)
    return known ?? new Browser(this, key !== undefined && KEY.test(key) ? key : this.#newKey())
  }

  /** The browser of that key, if the key is one: a WebSocket cannot be given a new one. */
  of (key: string | undefined): Browser | undefined {
    return key !== undefined && KEY.test(key) ? this.get(key) : undefined
  }

  /** Remembers the browser, unless one of its key is known. Gives the one that is known. */
  keep (browser: Browser): Browser {
    const known = this.#byKey.get(browser.key)
    if (known !== undefined) return known
    this.#byKey.set(browser.key, browser)
    return browser
  }

  delete (browser: Browser): void {
    this.#byKey.delete(browser.key)
  }

  /** Gives the client the cookie that its sessions are bound to. */
  setCookie (request: FastifyRequest, reply: FastifyReply, browser: Browser): void {
    const { options } = this
    const secure = options.browserCookieSecure === 'auto' ? request.protocol === 'https' : options.browserCookieSecure
    reply.header('set-cookie', cookie.serialize(options.browserCookieName, browser.key, {
      path: options.browserCookiePath,
      httpOnly: options.browserCookieHttpOnly,
      secure,
      sameSite: options.browserCookieSameSite.toLowerCase() as 'strict' | 'lax' | 'none',
      partitioned: options.browserCookiePartitioned,
      ...(options.browserCookieDomain !== undefined && { domain: options.browserCookieDomain }),
      ...(options.browserCookieMaxAge !== undefined && { maxAge: options.browserCookieMaxAge })
    }))
  }
}
