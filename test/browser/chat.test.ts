import type { Browser } from 'playwright-core'
import t, { type Test } from 'tap'
import { Proxy } from '../clients/proxy.js'
import { Tab, Witness, withChromium } from './chromium.js'
import { Program } from './program.js'

const ROOM = 'cafe-society'

t.setTimeout(170_000)

withChromium(t, launch => {
  t.test('people chat over WebSocket', { timeout: 110_000 }, async t => await peopleChat(t, await launch(t)))
  t.test('people chat where WebSocket is refused', { timeout: 60_000 }, async t => await peopleGoOn(t, await launch(t)))
})

async function startServer (t: Test): Promise<Program> {
  const server = new Program('examples/chat/server.js')
  t.teardown(async () => await server.stop('SIGKILL'))
  await server.start()
  return server
}

async function peopleChat (t: Test, browser: Browser): Promise<void> {
  const server = await startServer(t)
  const witness = new Witness()

  const one = await browser.newContext()
  const ada = await Tab.enter(one, server.url, 'Ada', witness)
  const grace = await Tab.enter(one, server.url, 'Grace', witness)
  const linus = await Tab.enter(await browser.newContext(), server.url, 'Linus', witness)
  let everybody = [ada, grace, linus]

  await t.test('in a room that one of them creates', async t => {
    await ada.createRoom('Café  Society!')
    await ada.reads(`You are in #${ROOM}`)
    await Promise.all([grace, linus].map(async tab => await tab.openRoom(ROOM)))
    for (const tab of everybody) {
      for (const { name } of everybody) await tab.sees(name)
      t.strictSame(await tab.people(), ['Ada', 'Grace', 'Linus'])
    }
  })

  await t.test('a message from each arrives at the others', async t => {
    await converse(everybody, 'Good morning')
    for (const tab of everybody) t.equal(await tab.status(), 'Connected over WebSocket')
    t.ok(witness.pushed.some(text => text.includes('Good morning, says Ada')), 'the server sent it over WebSocket')
    t.strictSame([...witness.posts], [], 'and got all messages that way')
  })

  await t.test('what is written is shown as text', async t => {
    const text = '<img src=x onerror="console.error(1)"> & <b>bold</b>'
    await linus.say(text)
    for (const tab of everybody) await tab.reads(text)
    t.equal(await ada.page.locator('.text img, .text b').count(), 0)
  })

  await t.test('a private message reaches only its addressee', async t => {
    await ada.whisper('Linus', 'For Linus alone')
    await linus.reads('For Linus alone')
    await linus.reads('only to you')
    await ada.reads('only to Linus')
    // Sent later by the same person, so it comes later.
    await ada.say('For everybody')
    await grace.reads('For everybody')
    t.notOk(await grace.hasRead('For Linus alone'))
  })

  await t.test('a second person of one name gets a name of their own', async () => {
    const other = await Tab.enter(one, server.url, 'Grace', witness)
    await other.sees('Grace 2')
    await other.page.close()
  })

  await t.test('one leaves with a button, one closes the tab, and the others see it', async () => {
    await linus.page.bringToFront()
    await linus.page.getByRole('button', { name: 'Leave' }).click()
    await linus.page.getByLabel('Your name').waitFor()
    for (const tab of [ada, grace]) {
      await tab.reads('Linus left')
      await tab.misses('Linus')
    }
    await grace.page.close()
    await ada.reads('Grace left')
    await ada.misses('Grace')
    await linus.page.close()
  })

  t.strictSame(witness.take(), [], 'the pages complain about nothing')

  await t.test('people come back', async () => {
    everybody = [ada, await Tab.enter(one, server.url, 'Grace', witness), await Tab.enter(await browser.newContext(), server.url, 'Linus', witness)]
    for (const tab of everybody.slice(1)) await tab.openRoom(ROOM)
    for (const { name } of everybody) await ada.sees(name)
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await t.test(`they talk on after the server was ended by ${signal} and started again`, async t => {
      const code = await server.stop(signal)
      t.equal(code, signal === 'SIGTERM' ? 0 : null)
      await Promise.all(everybody.map(async tab => await tab.state('Reconnecting…')))

      await server.start()
      await Promise.all(everybody.map(async tab => await tab.state('over WebSocket')))
      for (const tab of everybody) {
        for (const { name } of everybody) await tab.sees(name)
        t.strictSame(await tab.people(), ['Ada', 'Grace', 'Linus'])
      }
      await converse(everybody, `Hello after ${signal}`)
      t.strictSame(witness.take().filter(text => !isOfWebSocket(text)), [], 'only WebSockets failed')
    })
  }

  t.strictSame([...witness.posts].filter(path => path !== '/cometd/disconnect'), [], 'nothing was posted but the goodbye of a page that was closed')
  t.strictSame([...witness.origins].filter(origin => origin !== new URL(server.url).origin && origin !== 'null'), [], 'no request went elsewhere')
}

async function peopleGoOn (t: Test, browser: Browser): Promise<void> {
  const server = await startServer(t)
  const proxy = await Proxy.start(t, { refuseUpgrades: true })
  proxy.leadTo(Number(new URL(server.url).port))
  const url = new URL('/', proxy.url).href
  const witness = new Witness()
  const context = await browser.newContext()
  const tabs = [await Tab.enter(context, url, 'Ada', witness), await Tab.enter(context, url, 'Grace', witness)]

  await t.test('they talk over long-polling', async t => {
    await converse(tabs, 'Good morning')
    for (const tab of tabs) t.equal(await tab.status(), 'Connected over long-polling')
    t.ok(proxy.upgrades >= tabs.length, 'after each of them tried WebSocket')
  })

  await t.test('and talk on after a restart', async t => {
    const { upgrades } = proxy
    await server.stop('SIGKILL')
    await Promise.all(tabs.map(async tab => await tab.state('Reconnecting…')))
    await server.start()
    await Promise.all(tabs.map(async tab => await tab.state('over long-polling')))
    await converse(tabs, 'Hello again')
    t.equal(proxy.upgrades, upgrades, 'without trying WebSocket again')
  })

  const refused = /^(WebSocket connection to .* 403|Failed to load resource: )/
  t.strictSame(witness.take().filter(text => !refused.test(text)), [], 'nothing else failed')
}

/** Everybody says something, and everybody reads it. */
async function converse (tabs: Tab[], words: string): Promise<void> {
  for (const speaker of tabs) {
    const text = `${words}, says ${speaker.name}`
    await speaker.say(text)
    for (const tab of tabs) await tab.reads(text)
  }
}

// What the browser says when the server went away, also of a page that answered on a socket that was already closing.
function isOfWebSocket (text: string): boolean {
  return text.startsWith('WebSocket connection to ') || text === 'WebSocket is already in CLOSING or CLOSED state.'
}
