import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import { PATH, serve } from './control.js'
import { listen } from './http-server.js'

/** The little of faye that is used here; the package has no types. */
interface Faye {
  NodeAdapter: new (options: { mount: string, timeout: number }) => { attach (server: Server): void }
}

const faye = createRequire(import.meta.url)('faye') as Faye

await serve(({ holdTimeoutMs }) => {
  const server = createServer()
  new faye.NodeAdapter({ mount: PATH, timeout: holdTimeoutMs / 1_000 }).attach(server)
  return listen(server)
})
