import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HOST, type Peer } from './control.js'

/** Listens on a free port: for the peers that are given a plain `node:http` server. */
export async function listen (server: Server): Promise<Peer> {
  server.listen(0, HOST)
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port }
}
