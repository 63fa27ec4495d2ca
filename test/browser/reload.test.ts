import fastifyStatic from '@fastify/static'
import Fastify from 'fastify'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import t from 'tap'
import cometd, { type ServerSession } from '../../plugin/index.js'
import { once } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { withChromium } from './chromium.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const client = fileURLToPath(new URL('.', import.meta.resolve('cometd')))

async function call (page: Page, name: string, ...args: unknown[]): Promise<unknown> {
  return await page.evaluate(`peer.${name}(...${JSON.stringify(args)})`)
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
        await call(page, 'prepareReload')
        await page.reload()
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
})
