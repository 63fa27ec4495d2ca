import type { IncomingMessage } from 'node:http'

/** Whether a request asks for a WebSocket. What ws would refuse anyway does not. */
export function asksForWebSocket ({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}
