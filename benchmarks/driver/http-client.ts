import { Agent, request } from 'node:http'
import { HOST, PATH } from '../peers/control.js'

/** Any Bayeux message, as far as the driver looks at it. */
export interface Message {
  channel: string
  clientId?: string
  successful?: boolean
  error?: string
  data?: unknown
}

export interface HttpReply {
  status: number
  /** `name=value` of the cookie that the reply sets. */
  cookie: string | undefined
  messages: Message[]
}

/** Posts to one server over as many kept-alive connections as there are requests at a time. */
export class HttpClient {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: Infinity })

  constructor (port: number) {
    this.#port = port
  }

  post (body: string, cookie: string | undefined): Promise<HttpReply> {
    const headers: Record<string, string | number> = {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body)
    }
    if (cookie !== undefined) headers['Cookie'] = cookie
    return new Promise((resolve, reject) => {
      const outgoing = request({ host: HOST, port: this.#port, path: PATH, method: 'POST', agent: this.#agent, headers }, incoming => {
        let text = ''
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk: string) => { text += chunk })
        incoming.on('error', reject)
        incoming.on('end', () => {
          const status = incoming.statusCode ?? 0
          const setCookie = incoming.headers['set-cookie']?.[0]
          try {
            resolve({ status, cookie: setCookie?.split(';', 1)[0], messages: status === 200 ? JSON.parse(text) : [] })
          } catch (error) {
            reject(error)
          }
        })
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }

  /** Drops every connection; the requests that are held fail. */
  destroy (): void {
    this.#agent.destroy()
  }
}
