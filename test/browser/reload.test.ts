import fastifyStatic from '@fastify/static'
import Fastify, { type FastifyInstance } from 'fastify'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import cometd, { type CometDPluginOptions, type ServerSession } from '../../plugin/index.js'
import { once } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { withChromium } from './chromium.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const client = fileURLToPath(new URL('.', import.meta.resolve('cometd')))

async function call (page: Page, name: string, ...args: unknown[]): Promise<unknown> {
  return await page.evaluate(`peer.${name}(...${JSON.stringify(args)})`)
}

/** An application with reload.html, which does everything by itself, and a tab with it. */
async function visit (t: Test, launch: (t: Test) => Promise<Browser>, query: string, options: CometDPluginOptions): Promise<{ app: FastifyInstance, page: Page, address: string, events: string[], session: ServerSession }> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(fastifyStatic, { root: here, allowedPath: path => path === '/reload.html' })
  await app.register(fastifyStatic, { root: client, prefix: '/vendor/', decorateReply: false })
  await app.register(cometd, options)
  const address = `${await listen(app)}/reload.html?${query}`
  const events: string[] = []
  app.cometd.addListener('sessionAdded', () => { events.push('added') })
  app.cometd.addListener('sessionRemoved', (session, timeout, reason) => { events.push(`removed: ${reason}`) })
  const page = await (await (await launch(t)).newContext()).newPage()
  const subscribed = once(app.cometd, 'subscribed')
  await page.goto(address)
  const [, session] = await subscribed as [unknown, ServerSession]
  // Before that the page has nothing to hand on.
  if (!session.held) await once(session, 'suspended')
  return { app, page, address, events, session }
}

/** Waits until the tab has got `data`. */
async function gets (page: Page, data: unknown): Promise<void> {
  await page.waitForFunction(`received.includes(${JSON.stringify(data)})`)
}

withChromium(t, launch => {
  for (const transport of ['websocket', 'long-polling']) {
    t.test(`a page that is reloaded keeps its session over ${transport}`, async t => {
      const app = Fastify()
      t.teardown(async () => await app.close())
      await app.register(fastifyStatic, { root: here, allowedPath: path => path === '/peer.html' })
      await app.register(fastifyStatic, { root: client, prefix: '/vendor/', decorateReply: false })
      await app.register(cometd, { maxInterval: 20_000 })
      const url = await listen(app)
      const events: string[] = []
      app.cometd.addListener('sessionAdded', () => { events.push('added') })
      app.cometd.addListener('sessionRemoved', () => { events.push('removed') })

      const browser = await launch(t)
      const page = await (await browser.newContext()).newPage()
      await page.goto(`${url}/peer.html`)
      const added = once(app.cometd, 'sessionAdded')
      t.equal(await call(page, 'open', `${url}/cometd`, [transport]), transport)
      const [session] = await added as [ServerSession]
      await call(page, 'subscribe', '/news')
      if (!session.held) await once(session, 'suspended')

      const news = app.cometd.createServerChannel('/news')
      for (let times = 1; times <= 2; times++) {
        const gone = once(session, 'resumed')
        await call(page, 'prepareReload')
        await page.reload()
        await gone
        news.publish(null, `while it was away ${times}`)
        t.equal(await call(page, 'open', `${url}/cometd`, [transport], '/news'), transport)
        t.equal(await call(page, 'clientId'), session.id)
        t.equal(await call(page, 'next'), `while it was away ${times}`)
        news.publish(null, `since it is back ${times}`)
        t.equal(await call(page, 'next'), `since it is back ${times}`)
        await call(page, 'publish', '/news', `of its own ${times}`)
        t.equal(await call(page, 'next'), `of its own ${times}`)
        if (!session.held) await once(session, 'suspended')
      }
      t.strictSame(events, ['added'], 'and the server has seen no other')
      t.equal(news.subscribers.length, 1)
    })
  }

  for (const transport of ['websocket', 'long-polling']) {
    t.test(`with acknowledgements, a page that is reloaded again and again misses nothing over ${transport}`, async t => {
      const { app, page, events, session } = await visit(t, launch, `transport=${transport}&acknowledge=yes`, { extensions: { acknowledgement: true }, maxInterval: 20_000 })
      const news = app.cometd.createServerChannel('/news')
      let sent = 0
      const sending = setInterval(() => { news.publish(null, sent++) }, 2)
      t.teardown(() => clearInterval(sending))
      for (let times = 0; times < 4; times++) {
        await gets(page, sent + 10)
        await page.reload()
        await page.waitForFunction(`clientId() === '${session.id}'`)
      }
      await gets(page, sent + 10)
      clearInterval(sending)
      await gets(page, sent - 1)
      // What the page before had no time to acknowledge comes a second time.
      const received = [...new Set(await page.evaluate('received') as number[])]
      t.strictSame(received, Array.from({ length: sent }, (_, i) => i))
      t.strictSame(events, ['added'])
    })

    t.test(`a page that comes back too late gets a new session over ${transport}`, async t => {
      const { app, page, address, events, session } = await visit(t, launch, `transport=${transport}`, { maxInterval: 300, timeout: 2_000 })
      const removed = once(app.cometd, 'sessionRemoved')
      await page.goto('about:blank')
      await removed
      const subscribed = once(app.cometd, 'subscribed')
      await page.goto(address)
      const [, next] = await subscribed as [unknown, ServerSession]
      t.not(next.id, session.id)
      app.cometd.createServerChannel('/news').publish(null, 'late')
      await gets(page, 'late')
      t.strictSame(events, ['added', 'removed: timeout', 'added'])
    })
  }

  t.test('where each socket needs a handshake, a page that is reloaded gets a new session', async t => {
    const { app, page, events, session } = await visit(t, launch, 'transport=websocket', { maxInterval: 20_000, requireHandshakePerConnection: true })
    const subscribed = once(app.cometd, 'subscribed')
    await page.reload()
    const [, next] = await subscribed as [unknown, ServerSession]
    t.not(next.id, session.id)
    app.cometd.createServerChannel('/news').publish(null, 'once more')
    await gets(page, 'once more')
    t.strictSame(events, ['added', 'added'])
  })
})
