import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'

// As Debian installs it.
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(path => existsSync(path))

const ARGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'
]

/** Tests that need a browser. Without one they are skipped, but not in continuous integration. */
export function withChromium (t: Test, test: (launch: (t: Test) => Promise<Browser>) => void): void {
  if (executablePath !== undefined) test(launch)
  else if (process.env['CI'] === 'true') t.fail('there is no Chromium to test with')
  else t.plan(0, 'there is no Chromium to test with: apt-get install chromium')
}

async function launch (t: Test): Promise<Browser> {
  const browser = await chromium.launch({ ...(executablePath !== undefined && { executablePath }), args: ARGS })
  t.teardown(async () => await browser.close())
  return browser
}

/** What the pages of a test complained about, where they sent requests, and what servers sent them over WebSocket. */
export class Witness {
  readonly complaints: string[] = []
  readonly origins = new Set<string>()
  /** The paths of requests that sent messages. */
  readonly posts = new Set<string>()
  readonly pushed: string[] = []

  watch (page: Page): void {
    page.on('console', message => {
      if (message.type() === 'error' || message.type() === 'warning') this.complaints.push(message.text())
    })
    page.on('pageerror', error => this.complaints.push(String(error)))
    page.on('request', request => {
      const { origin, pathname } = new URL(request.url())
      this.origins.add(origin)
      if (request.method() === 'POST') this.posts.add(pathname)
    })
    page.on('websocket', socket => {
      this.origins.add(new URL(socket.url()).origin.replace(/^ws/, 'http'))
      socket.on('framereceived', ({ payload }) => this.pushed.push(String(payload)))
    })
  }

  /** What was said since the last time. */
  take (): string[] {
    return this.complaints.splice(0)
  }
}

/** One person in one tab of the chat. What is clicked comes to the front first: a tab in the background draws once a second. */
export class Tab {
  readonly page: Page
  readonly name: string

  private constructor (page: Page, name: string) {
    this.page = page
    this.name = name
  }

  static async enter (context: BrowserContext, url: string, name: string, witness: Witness): Promise<Tab> {
    const page = await context.newPage()
    witness.watch(page)
    await page.goto(url)
    await page.getByLabel('Your name').fill(name)
    await page.getByRole('button', { name: 'Enter the chat' }).click()
    const tab = new Tab(page, name)
    await tab.state('Connected')
    await tab.reads('You are in #lobby')
    return tab
  }

  async createRoom (name: string): Promise<void> {
    await this.page.bringToFront()
    await this.page.getByLabel('Name of a new room').fill(name)
    await this.page.getByRole('button', { name: 'Create or join the room' }).click()
  }

  async openRoom (room: string): Promise<void> {
    await this.page.bringToFront()
    await this.page.getByRole('navigation').getByRole('link', { name: new RegExp(`^${room},`) }).click()
    await this.reads(`You are in #${room}`)
  }

  async say (text: string): Promise<void> {
    const box = this.page.getByRole('textbox', { name: 'Message' })
    await box.fill(text)
    await box.press('Enter')
  }

  async whisper (to: string, text: string): Promise<void> {
    await this.page.bringToFront()
    await this.page.locator('#people').getByRole('button', { name: to, exact: true }).click()
    await this.page.getByRole('textbox', { name: 'Message' }).fill(text)
    await this.page.getByRole('button', { name: 'Send' }).click()
    await this.page.getByRole('button', { name: 'Write to all' }).click()
  }

  /** Waits until `text` stands among the messages. */
  async reads (text: string): Promise<void> {
    await this.page.getByRole('log').getByText(text, { exact: true }).last().waitFor()
  }

  async hasRead (text: string): Promise<boolean> {
    return await this.page.getByRole('log').getByText(text, { exact: true }).count() > 0
  }

  async people (): Promise<string[]> {
    return await this.page.locator('#people .name').allTextContents()
  }

  /** Waits until `name` is in the list of people. */
  async sees (name: string): Promise<void> {
    await this.#person(name).waitFor()
  }

  /** Waits until `name` is not in the list of people. */
  async misses (name: string): Promise<void> {
    await this.#person(name).waitFor({ state: 'detached' })
  }

  /** Waits for what the page says about its connection. */
  async state (text: 'Connected' | 'over WebSocket' | 'over long-polling' | 'Reconnecting…'): Promise<void> {
    await this.page.getByRole('status').getByText(text, { exact: true }).waitFor()
  }

  async status (): Promise<string | null> {
    return await this.page.getByRole('status').textContent()
  }

  #person (name: string) {
    return this.page.locator('#people .name').getByText(name, { exact: true })
  }
}
