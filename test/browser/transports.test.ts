import fastifyStatic from '@fastify/static'
import Fastify, { type FastifyInstance } from 'fastify'
import { fileURLToPath } from 'node:url'
import type { BrowserContext } from 'playwright-core'
import t, { type Test } from 'tap'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { once } from '../helpers/harness.js'
import { listen } from '../helpers/http.js'
import { Witness, withChromium } from './chromium.js'

/** A tab with peer.html, whose functions can be called. */
interface Peer {
  open: (url: string, transports: string[]) => Promise<string>
  subscribe: (channel: string) => Promise<void>
  publish: (channel: string, data: unknown) => Promise<void>
  next: () => Promise<unknown>
}

const here = fileURLToPath(new URL('.', import.meta.url))
const client = fileURLToPath(new URL('.', import.meta.resolve('cometd')))

/** An application with the page, and with a server if there are options for it. */
async function serve (t: Test, options?: CometDPluginOptions, prepare?: (app: FastifyInstance) => void): Promise<{ app: FastifyInstance, url: string }> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  prepare?.(app)
  await app.register(fastifyStatic, { root: here, allowedPath: path => path === '/peer.html' })
  await app.register(fastifyStatic, { root: client, prefix: '/vendor/', decorateReply: false })
  if (options !== undefined) await app.register(cometd, options)
  return { app, url: await listen(app) }
}

async function openPeer (context: BrowserContext, origin: string, witness?: Witness): Promise<Peer> {
  const page = await context.newPage()
  witness?.watch(page)
  await page.goto(`${origin}/peer.html`)
  const call = async (name: keyof Peer, ...args: unknown[]): Promise<never> => {
    return await page.evaluate(`peer.${name}(...${JSON.stringify(args)})`)
  }
  return {
    open: async (...args) => await call('open', ...args),
    subscribe: async (...args) => await call('subscribe', ...args),
    publish: async (...args) => await call('publish', ...args),
    next: async () => await call('next')
  }
}

withChromium(t, launch => {
  t.test('all tabs of a browser get messages at once over WebSocket', async t => {
    // A tab that had to poll would get nothing in the time of this test.
    const { app, url } = await serve(t, { maxSessionsPerBrowser: 1, multiSessionInterval: 600_000 })
    const cookies = new Set<string | undefined>()
    const carriers: unknown[] = []
    app.cometd.addListener('subscribed', () => {
      const { request } = app.cometd.context
      carriers.push(request?.ws === true)
      cookies.add(request?.headers.cookie)
    })
    const context = await (await launch(t)).newContext()

    const polling = await openPeer(context, url)
    t.equal(await polling.open(`${url}/cometd`, ['long-polling']), 'long-polling', 'one tab polls, and gets the cookie')
    await polling.subscribe('/news')
    const pushed = await Promise.all(Array.from({ length: 8 }, async () => {
      const peer = await openPeer(context, url)
      t.equal(await peer.open(`${url}/cometd`, ['websocket', 'long-polling']), 'websocket')
      await peer.subscribe('/news')
      return peer
    }))
    t.strictSame(carriers, [false, ...Array<boolean>(8).fill(true)], 'the server has eight of them on WebSockets')
    t.strictSame([cookies.size, [...cookies].includes(undefined)], [1, false], 'of one browser')

    const tabs = [polling, ...pushed]
    app.cometd.createServerChannel('/news').publish(null, 'from the server')
    for (const tab of tabs) t.equal(await tab.next(), 'from the server')
    await (tabs.at(-1) as Peer).publish('/news', 'from a tab')
    for (const tab of tabs) t.equal(await tab.next(), 'from a tab')
  })

  t.test('a page that opens a socket keeps the cookie that comes with the answer, so that its session is bound to the browser', async t => {
    const { app, url } = await serve(t, {})
    const upgrades: Array<string | undefined> = []
    app.cometd.addListener('sessionAdded', ({ binding }) => { upgrades.push(binding?.key) })
    const context = await (await launch(t)).newContext()
    const [one, two] = [await openPeer(context, url), await openPeer(context, url)]
    t.equal(await one.open(`${url}/cometd`, ['websocket']), 'websocket')
    const [cookie] = await context.cookies()
    t.match(cookie, { name: 'BAYEUX_BROWSER', value: upgrades[0] as string, path: '/', httpOnly: true, sameSite: 'Lax' })
    t.equal(await two.open(`${url}/cometd`, ['websocket']), 'websocket')
    t.equal(upgrades[1], upgrades[0], 'its other tabs are of the same browser')
  })

  t.test('a page of another origin has the browser send nothing that counts', async t => {
    const statuses: number[] = []
    const { app, url } = await serve(t, {}, app => {
      app.addHook('onResponse', async (request, reply) => { if (request.method === 'POST') statuses.push(reply.statusCode) })
    })
    const { url: elsewhere } = await serve(t)
    let heard = 0
    app.cometd.createServerChannel('/meta/handshake').addListener('message', () => { heard++ })
    const context = await (await launch(t)).newContext()
    const page = await context.newPage()
    await page.goto(`${elsewhere}/peer.html`)
    const send = async (body: string): Promise<void> => {
      await page.evaluate(`fetch('${url}/cometd', { method: 'POST', mode: 'no-cors', credentials: 'include', body: ${body} }).then(() => {}, () => {})`)
    }
    const handshake = JSON.stringify(JSON.stringify([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }]))
    await send(`new URLSearchParams({ message: ${handshake} })`)
    await send(`new Blob([${handshake}])`)
    await send(handshake)
    t.strictSame([statuses, heard], [[403, 403, 415], 0])
    t.strictSame(await context.cookies(), [])
  })

  t.test('a page of another origin talks by callback-polling', async t => {
    const { app, url } = await serve(t, { transports: ['websocket', 'long-polling', 'callback-polling'] })
    const { url: elsewhere } = await serve(t)
    const connects = new Set<string>()
    app.cometd.createServerChannel('/meta/connect').addListener('message', (session, channel, { connectionType }) => {
      connects.add(`${connectionType} by ${app.cometd.context.request?.method}`)
    })
    let sessions = 0
    app.cometd.addListener('sessionAdded', () => { sessions++ })
    const browser = await launch(t)
    const witness = new Witness()

    const peer = await openPeer(await browser.newContext(), elsewhere, witness)
    t.equal(await peer.open(`${url}/cometd`, ['callback-polling']), 'callback-polling')
    await peer.subscribe('/news')
    const text = '"quotes", </script>, \u2028, 漢字 🦊'
    await peer.publish('/news', { text })
    t.strictSame(await peer.next(), { text }, 'it hears what it says')
    app.cometd.createServerChannel('/news').publish(null, 'and what the server says')
    t.equal(await peer.next(), 'and what the server says')
    t.strictSame([[...connects], sessions], [['callback-polling by GET'], 1], 'in one session')
    t.strictSame(witness.take(), [], 'the page complains about nothing')

    const other = await openPeer(await browser.newContext(), elsewhere)
    const arrived = once(app.cometd, 'sessionAdded')
    t.equal(await other.open(`${url}/cometd`, ['websocket', 'long-polling', 'callback-polling']), 'callback-polling', 'which is all that is open to it')
    await arrived
  })
})
