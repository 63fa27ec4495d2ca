import helmet from '@fastify/helmet'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import cometd, { type CometDPluginOptions } from '../../plugin/index.js'
import { listen } from '../helpers/http.js'
import { Witness, withChromium } from './chromium.js'

t.setTimeout(120_000)

/** An application with the page, behind a prefix, with headers of @fastify/helmet. */
async function serve (t: Test, options: CometDPluginOptions = {}): Promise<{ app: FastifyInstance, origin: string }> {
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(helmet)
  await app.register(cometd, { prefix: '/api', asyncapi: { docs: true, info: { title: 'Chat', description: 'Rooms for *everybody*' } }, ...options })
  return { app, origin: await listen(app) }
}

async function open (t: Test, browser: Browser, origin: string): Promise<{ page: Page, witness: Witness }> {
  const page = await (await browser.newContext({ viewport: { width: 1_700, height: 1_000 } })).newPage()
  const witness = new Witness()
  witness.watch(page)
  const response = await page.goto(`${origin}/api/cometd/docs`)
  t.match(response?.headers()['content-security-policy'], /^default-src 'none'; script-src 'self'; style-src 'self';/)
  return { page, witness }
}

withChromium(t, launch => {
  t.test('the page shows the document, and nothing leaves the host', async t => {
    const { app, origin } = await serve(t)
    app.cometd.createServerChannel('/chat/{room}', { title: 'A room', description: 'People talk here', roles: ['member'], schema: Type.Object({ user: Type.String({ description: 'Who wrote it' }), text: Type.String() }, { $id: 'Chat', title: 'Chat message', examples: [{ user: 'ada', text: 'Good morning' }] }) })
    app.cometd.createServerChannel('/tree', { schema: Type.Recursive(This => Type.Object({ children: Type.Array(This) }), { $id: 'Tree' }) })
    app.cometd.createServerChannel('/data', { schema: { type: 'object', examples: [{ $ref: '#/nowhere' }, { $ref: 'elsewhere' }] } })
    app.cometd.remoteCall('rooms/{id}/join', { schema: { parameters: Type.Null(), result: Type.Object({ seat: Type.Integer({ title: 'Seat number' }) }) } }, () => ({ seat: 1 }))

    const { page, witness } = await open(t, await launch(t), origin)
    await page.getByRole('heading', { name: 'Chat 1.0.0' }).first().waitFor()
    t.equal(await page.title(), 'Chat')
    const shows = async (...texts: string[]): Promise<void> => {
      for (const text of texts) t.ok(await page.getByText(text, { exact: true }).count() > 0, text)
    }
    await shows('everybody', `${origin.replace('http', 'ws')}/api/cometd`, `${origin}/api/cometd`, 'Name: BAYEUX_BROWSER')
    await shows('receive_chat_room', 'send_chat_room', '/chat/{room}', 'People talk here', 'Chat message', 'member', 'receive_service_rooms_id_join', "Clients call remoteCall('rooms/{id}/join').")
    t.match((await page.locator('pre').allTextContents()).join(), 'Good morning', 'with its example')

    await page.evaluate("for (const button of document.querySelectorAll('main button')) button.click()")
    await page.getByText('Who wrote it').first().waitFor()
    await shows('children', 'seat')
    t.ok(await page.getByText('[CIRCULAR]').count() > 0)
    await page.getByRole('link', { name: 'receive_tree' }).click()
    t.match(page.url(), '#operation-receive-receive_tree')

    t.strictSame([...witness.origins], [origin])
    t.strictSame(witness.take(), [])
  })

  t.test('descriptions cannot make it load or run anything', async t => {
    const visits: string[] = []
    const elsewhere = createServer((request, response) => { visits.push(request.url as string); response.end() }).listen(0, '127.0.0.1')
    t.teardown(() => elsewhere.close())
    await new Promise(resolve => elsewhere.once('listening', resolve))
    const url = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`

    const { app, origin } = await serve(t)
    app.cometd.createServerChannel('/a', { description: `![](${url}/image) <img src="${url}/tag" onerror="document.title = 1"> <script src="${url}/script"></script><script>document.title = 1</script> <iframe src="${url}/frame"></iframe> <style>@import '${url}/style'</style> the end` })
    const { page, witness } = await open(t, await launch(t), origin)
    await page.getByText('the end').first().waitFor()
    await page.waitForLoadState('networkidle')
    t.equal(await page.title(), 'Chat')
    t.strictSame(visits, [])
    for (const complaint of witness.take()) t.match(complaint, 'Content Security Policy')
  })

  t.test('a document that is not to be had is told', async t => {
    const { origin } = await serve(t, { routeOptions: { onRequest: async (request, reply) => { if (request.url.endsWith('.json')) await reply.code(403).send('') } } })
    const { page } = await open(t, await launch(t), origin)
    await page.getByText('The document cannot be shown: HTTP 403').waitFor()
  })
})
