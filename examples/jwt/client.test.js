// @ts-check
/** @import { Message } from 'cometd' */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CometD } from 'cometd'
import { adapt } from 'cometd-nodejs-client'
import { buildNews } from './app.js'
import { authenticate } from './client.js'

const LIFETIME = 5 // seconds
const NEWS = { title: 'Rain', text: 'It is still raining.' }

adapt()

/** Serves news on a port, with a secret that no other server has. */
async function serve (port = 0) {
  const app = await buildNews({ secret: `random: ${Math.random()}`, lifetime: LIFETIME, cometd: { closeInterval: 0 } })
  const url = await app.listen({ host: '127.0.0.1', port })
  return { app, url, port: Number(new URL(url).port) }
}

/**
 * The CometD client of Ada.
 *
 * @param {string} url
 * @param {string} transport
 */
async function buildClient (url, transport) {
  const client = new CometD()
  client.configure({ url: `${url}/cometd`, backoffIncrement: 100 })
  for (const type of client.getTransportTypes()) if (type !== transport) client.unregisterTransport(type)

  /** @type {string[]} */
  const tokens = []
  await authenticate(client, async () => {
    const response = await fetch(`${url}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'ada', password: 'lovelace' })
    })
    const { token } = /** @type {{ token: string }} */ (await response.json())
    tokens.push(token)
    return token
  })
  return { client, tokens }
}

/**
 * The next message on a channel of the client that fits.
 *
 * @param {CometD} client
 * @param {string} channel
 * @param {(message: Message) => unknown} fits
 * @returns {Promise<Message>}
 */
async function heard (client, channel, fits = ({ successful }) => successful) {
  return await new Promise(resolve => {
    const listener = client.addListener(channel, message => {
      if (!fits(message)) return
      client.removeListener(listener)
      resolve(message)
    })
  })
}

for (const transport of ['websocket', 'long-polling']) {
  describe(`over ${transport}`, { timeout: 30_000 }, () => {
    test('a client gets new tokens in time, and keeps its session', async t => {
      const { app, url } = await serve()
      const { client, tokens } = await buildClient(url, transport)
      t.after(async () => {
        client.disconnect()
        await app.close()
      })
      client.handshake()
      const { clientId } = await heard(client, '/meta/handshake')
      assert.equal(client.getTransport()?.type, transport)

      for (let renewals = 1; renewals <= 2; renewals++) {
        await heard(client, '/meta/connect', ({ ext }) => /** @type {any} */ (ext)?.authentication?.successful)
      }
      assert.equal(tokens.length, 3)
      assert.equal(client.getClientId(), clientId)
      client.subscribe('/news', () => {}, () => client.publish('/news', NEWS))
      assert.deepEqual((await heard(client, '/news', () => true)).data, NEWS)
    })

    test('a client whose token is good for nothing any more gets another', async t => {
      const first = await serve()
      const { client, tokens } = await buildClient(first.url, transport)
      client.handshake()
      await heard(client, '/meta/connect')
      await first.app.close()

      const { app } = await serve(first.port)
      t.after(async () => {
        client.disconnect()
        await app.close()
      })
      await heard(client, '/meta/handshake')
      assert.equal(tokens.length, 2)
    })
  })
}

test('a client that was never let in does not try for ever', { timeout: 30_000 }, async t => {
  const { app, url } = await serve()
  t.after(() => app.close())
  const client = new CometD()
  client.configure({ url: `${url}/cometd` })
  await authenticate(client, async () => 'no token')
  client.handshake()
  await heard(client, '/meta/handshake', ({ error }) => error === '403::handshake_denied')
  await new Promise(resolve => setTimeout(resolve, 200))
  assert.ok(client.isDisconnected())
})
