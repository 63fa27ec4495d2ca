import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** Makes the application listen on a free port. Gives its URL. */
export async function listen (app: FastifyInstance): Promise<string> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

export interface Posted {
  request: ClientRequest
  response: Promise<{ status: number, headers: IncomingMessage['headers'], body: string }>
}

/** A POST over a real socket, which can be cut off by `request.destroy()`. */
export function post (url: string, body: unknown, headers: Record<string, string> = {}, agent?: Agent): Posted {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const sent = request(url, { method: 'POST', ...(agent && { agent }), headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers } })
  const response = new Promise<Awaited<Posted['response']>>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', message => {
      const chunks: Buffer[] = []
      message.on('data', chunk => chunks.push(chunk))
      message.on('error', reject)
      message.on('end', () => resolve({ status: message.statusCode as number, headers: message.headers, body: Buffer.concat(chunks).toString() }))
    })
  })
  // Who cuts a request off does not wait for its response.
  response.catch(() => {})
  sent.end(text)
  return { request: sent, response }
}
