import t, { type Test } from 'tap'
import { findChromium, launch, Tab, Witness } from './chromium.js'
import { build, Program } from './program.js'

const ROOM = 'cafe-society'

const chromium = findChromium()
if (chromium !== undefined) t.test('people chat', { timeout: 110_000 }, async t => await peopleChat(t, chromium))
else if (process.env['CI'] === 'true') t.fail('there is no Chromium to test with')
else t.plan(0, 'there is no Chromium to test with: apt-get install chromium')

t.setTimeout(120_000)

async function peopleChat (t: Test, chromium: string): Promise<void> {
  await build()
  const server = new Program('examples/chat/server.js')
  t.teardown(async () => await server.stop('SIGKILL'))
  await server.start()

  const browser = await launch(chromium)
  t.teardown(async () => await browser.close())
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

  await t.test('a message from each arrives at the others', async () => await converse(everybody, 'Good morning'))

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
      await Promise.all(everybody.map(async tab => await tab.state('Connected')))
      for (const tab of everybody) {
        for (const { name } of everybody) await tab.sees(name)
        t.strictSame(await tab.people(), ['Ada', 'Grace', 'Linus'])
      }
      await converse(everybody, `Hello after ${signal}`)
      t.strictSame(witness.take().filter(text => !text.startsWith('Failed to load resource: ')), [], 'only requests failed')
    })
  }

  t.strictSame([...witness.origins].filter(origin => origin !== new URL(server.url).origin && origin !== 'null'), [], 'no request went elsewhere')
}

/** Everybody says something, and everybody reads it. */
async function converse (tabs: Tab[], words: string): Promise<void> {
  for (const speaker of tabs) {
    const text = `${words}, says ${speaker.name}`
    await speaker.say(text)
    for (const tab of tabs) await tab.reads(text)
  }
}
