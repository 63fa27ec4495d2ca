import * as cookie from 'cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Binding } from '../bayeux/session.js'
import type { ServerOptions } from '../../schemas/options.js'

// What newKey gives: too strong to be guessed.
const KEY = /^[0-9a-f]{40}$/
const NO_KEYS: readonly string[] = []

/**
 * One browser, as the server knows it by its cookie: its sessions are bound to it. It is told from one with the same cookie at
 * another address: who has had a browser take over a cookie must not use up what that browser may have.
 */
export class Browser implements Binding {
  /** Number of its connects that are held over HTTP/1.1, where a browser has few connections. */
  held = 0
  heldOverHttp2 = 0
  /** Value of the cookie. */
  readonly key: string
  readonly address: string | undefined
  readonly #browsers: Browsers
  #sessions = 0

  constructor (browsers: Browsers, key: string, address: string | undefined) {
    this.#browsers = browsers
    this.key = key
    this.address = address
  }

  get full (): boolean {
    return this.#browsers.known(this).#sessions >= this.#browsers.options.maxSessionsPerCookie
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

/** The browsers that have sessions, and the cookies by which they are known. */
export class Browsers {
  readonly options: ServerOptions
  readonly #newKey: () => string
  readonly #known = new Map<string, Browser>()
  // What goes out with the answers to upgrade requests.
  readonly #issued = new WeakMap<IncomingMessage, { readonly key: string, readonly cookie: string }>()

  constructor (options: ServerOptions, newKey: () => string) {
    this.options = options
    this.#newKey = newKey
  }

  /**
   * The values of the cookie that came with the request, or goes out with the answer to its upgrade. There may be several: a
   * cookie of another path or of a domain above is another cookie.
   */
  keysOf (request: FastifyRequest): readonly string[] {
    const issued = this.#issued.get(request.raw)
    const header = request.headers.cookie
    if (header === undefined) return issued === undefined ? NO_KEYS : [issued.key]
    const name = this.options.browserCookieName
    const keys = header.split(';').flatMap(text => text.includes(name) ? cookie.parse(text)[name] ?? [] : [])
    return issued === undefined ? keys : [...keys, issued.key]
  }

  /**
   * The browser that comes with these values: one that is known and may have another session, if there is one. A value of our form
   * is kept although it is not known: after a restart all tabs of a browser come with the same one, and must not be given
   * different ones. Any other text is not taken over.
   */
  of (keys: readonly string[], address: string | undefined): Browser {
    return this.ofSound(keys, address) ?? new Browser(this, this.#newKey(), address)
  }

  /** As `of`; undefined if none of the values is of our form. */
  ofSound (keys: readonly string[], address: string | undefined): Browser | undefined {
    const browsers = keys.filter(key => KEY.test(key)).map(key => this.known(new Browser(this, key, address)))
    return browsers.find(browser => this.#known.has(idOf(browser)) && !browser.full) ?? browsers.find(browser => !browser.full) ?? browsers[0]
  }

  /** The one that is known, of those with that cookie and address. */
  known (browser: Browser): Browser {
    return this.#known.get(idOf(browser)) ?? browser
  }

  /** Remembers the browser, unless one of its kind is known. Gives the one that is known. */
  keep (browser: Browser): Browser {
    const known = this.known(browser)
    this.#known.set(idOf(browser), known)
    return known
  }

  delete (browser: Browser): void {
    this.#known.delete(idOf(browser))
  }

  /** Gives the client the cookie that its sessions are bound to. */
  setCookie (request: FastifyRequest, reply: FastifyReply, { key }: Browser): void {
    reply.header('set-cookie', this.#cookieOf(request, key))
  }

  /** Has a page that opens a socket get a cookie with the answer, if it has none: browsers keep it. What is no page gets none. */
  issue (request: FastifyRequest): void {
    if (request.headers.origin === undefined || this.keysOf(request).some(key => KEY.test(key))) return
    const key = this.#newKey()
    this.#issued.set(request.raw, { key, cookie: this.#cookieOf(request, key) })
  }

  /** The `Set-Cookie` that goes out with the answer to an upgrade request. */
  issuedTo (request: IncomingMessage): string | undefined {
    return this.#issued.get(request)?.cookie
  }

  #cookieOf (request: FastifyRequest, key: string): string {
    const { options } = this
    const secure = options.browserCookieSecure === 'auto' ? request.protocol === 'https' : options.browserCookieSecure
    const sameSite = options.browserCookieSameSite
    return cookie.serialize(options.browserCookieName, key, {
      path: options.browserCookiePath,
      httpOnly: options.browserCookieHttpOnly,
      secure,
      sameSite: sameSite === false ? sameSite : sameSite.toLowerCase() as 'strict' | 'lax' | 'none',
      partitioned: options.browserCookiePartitioned,
      ...(options.browserCookieDomain !== undefined && { domain: options.browserCookieDomain }),
      ...(options.browserCookieMaxAge !== undefined && { maxAge: options.browserCookieMaxAge })
    })
  }
}

function idOf ({ key, address }: Browser): string {
  return `${key} ${address}`
}
