import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

/** Chromium as Debian installs it; undefined if it is not there. */
export function findChromium (): string | undefined {
  return ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(path => existsSync(path))
}

const ARGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'
]

export async function launch (executablePath: string): Promise<Browser> {
  return await chromium.launch({ executablePath, args: ARGS })
}

/** What the pages of a test complained about, and where they sent requests. */
export class Witness {
  readonly complaints: string[] = []
  readonly origins = new Set<string>()

  watch (page: Page): void {
    page.on('console', message => {
      if (message.type() === 'error' || message.type() === 'warning') this.complaints.push(message.text())
    })
    page.on('pageerror', error => this.complaints.push(String(error)))
    page.on('request', request => this.origins.add(new URL(request.url()).origin))
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
  async state (text: 'Connected' | 'Reconnecting…'): Promise<void> {
    await this.page.getByRole('status').getByText(text, { exact: true }).waitFor()
  }

  #person (name: string) {
    return this.page.locator('#people .name').getByText(name, { exact: true })
  }
}
