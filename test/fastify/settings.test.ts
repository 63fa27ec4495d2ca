import t from 'tap'
import Fastify, { type FastifyServerOptions } from 'fastify'
import { createServer, type RequestListener } from 'node:http'
import cometd from '../../plugin/index.js'
import { Client } from '../helpers/harness.js'

// What an application may set for all of its routes, and the URLs under which the plugin must then be found.
const SETTINGS: Array<[string, FastifyServerOptions, string[]]> = [
  ['ignoreTrailingSlash', { routerOptions: { ignoreTrailingSlash: true } }, ['/cometd', '/cometd/', '/cometd/handshake', '/cometd/handshake/']],
  ['ignoreDuplicateSlashes', { routerOptions: { ignoreDuplicateSlashes: true } }, ['/cometd', '//cometd//handshake']],
  ['rewriteUrl', { rewriteUrl: request => (request.url as string).replace('/v1', '') }, ['/v1/cometd', '/v1/cometd/handshake']],
  ['serverFactory', { serverFactory: handler => createServer(handler as RequestListener) }, ['/cometd', '/cometd/']],
  ['return503OnClosing', { return503OnClosing: false }, ['/cometd']]
]

for (const [setting, options, urls] of SETTINGS) {
  t.test(`an application with ${setting} finds the plugin at its URLs`, async t => {
    const app = Fastify(options)
    t.teardown(async () => await app.close())
    await app.register(cometd)
    for (const url of urls) {
      const client = new Client(app)
      client.url = url
      await client.open()
      t.match(await client.publish('/a', 1), { successful: true }, url)
    }
  })
}
