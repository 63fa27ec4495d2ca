import t from 'tap'
import Fastify from 'fastify'
import { checkOptions } from '../plugin/options.js'
import cometd, { type CometDPluginOptions } from '../plugin/index.js'
import { start } from './helpers/harness.js'

t.test('every option has a default or is absent', async t => {
  const { server, registration } = checkOptions({})
  t.match(server, { timeout: 30_000, interval: 0, maxInterval: 10_000, sweepPeriod: 997, maxSessionsPerBrowser: 1, multiSessionInterval: 2_000, duplicateMetaConnectHttpResponseCode: 500, trustClientSession: false, browserCookieName: 'BAYEUX_BROWSER' })
  t.equal(registration.path, '/cometd')
})

t.test('a bad option fails the registration with a coded error that names it', async t => {
  const bad: Array<[object, RegExp]> = [
    [{ timeout: '5000' }, /^option 'timeout': Expected integer$/],
    [{ timeout: -1 }, /^option 'timeout': Expected integer to be greater or equal to 0$/],
    [{ timeout: 1.5 }, /'timeout'/], [{ timeout: NaN }, /'timeout'/], [{ timeout: null }, /'timeout'/], [{ timeout: 1e12 }, /'timeout'/],
    [{ maxInterval: 0 }, /'maxInterval'/], [{ maxMessages: 0 }, /'maxMessages'/], [{ path: 'cometd' }, /'path'/], [{ path: '/cometd/' }, /'path'/], [{ path: '/*' }, /'path'/],
    [{ browserCookieName: 'a b' }, /'browserCookieName'/], [{ browserCookieDomain: 'a;b' }, /'browserCookieDomain'/], [{ browserCookiePath: '/;' }, /'browserCookiePath'/],
    [{ browserCookieSameSite: 'lax' }, /^option 'browserCookieSameSite': Expected one of "Strict", "Lax", "None", false$/],
    [{ browserCookieSecure: 'yes' }, /^option 'browserCookieSecure': Expected one of "boolean", "auto"$/],
    [{ logLevel: 'loud' }, /'logLevel'/], [{ duplicateMetaConnectHttpResponseCode: 200 }, /'duplicateMetaConnectHttpResponseCode'/],
    [{ maxSessionPerBrowser: 1 }, /^option 'maxSessionPerBrowser': there is no such option$/], [{ __proto__: null, toString: 1 }, /'toString': there is no such option/]
  ]
  for (const [options, message] of bad) {
    const app = Fastify()
    app.register(cometd, options as CometDPluginOptions)
    await t.rejects(async () => { await app.ready() }, { code: 'COMETD_ERR_OPTION_INVALID', message }, JSON.stringify(options))
    await app.close()
  }
})

t.test('the user\'s own object is neither kept nor changed', async t => {
  const options = Object.freeze({ timeout: 1_000, browserCookieMaxAge: undefined as never })
  const [one, two] = [await start(t, options), await start(t, options)]
  one.cometd.options.timeout = 2_000
  t.equal(options.timeout, 1_000)
  t.equal(two.cometd.options.timeout, 1_000)
  t.equal(one.cometd.options.timeout, 2_000)
})

t.test('options are live, and checked when they are set', async t => {
  const { cometd, open, clock } = await start(t)
  const one = await open()
  cometd.options.timeout = 5_000
  const { answer } = await one.hold()
  clock.tick(5_050)
  t.equal((await answer).length, 1)
  t.throws(() => { cometd.options.timeout = 'soon' as never }, { code: 'COMETD_ERR_OPTION_INVALID' })
  t.equal(cometd.options.timeout, 5_000)
  t.throws(() => { (cometd.options as Record<string, unknown>)['timeOut'] = 1 }, TypeError)
})
