import cometd from 'cometd-nodejs-server'
import { createServer } from 'node:http'
import { serve } from './control.js'
import { listen } from './http-server.js'

await serve(({ holdTimeoutMs }) => {
  const { handle } = cometd.createCometDServer({ timeout: holdTimeoutMs })
  return listen(createServer(handle))
})
