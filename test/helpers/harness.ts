import FakeTimers, { type Clock as FakeClock } from '@sinonjs/fake-timers'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { type Test } from 'tap'
import cometd, { type CometDPluginOptions, type CometDServer, type ServerSession } from '../../plugin/index.js'

/** A message as it came over the wire. */
export type Wire = Record<string, any>

export interface Harness {
  app: FastifyInstance
  cometd: CometDServer
  /** The time that the server sees; it stands still until it is ticked. */
  clock: FakeClock
  /** A client that has not done its handshake. */
  client: () => Client
  /** A client with a session that has been connected once. */
  open: (handshake?: Wire) => Promise<Client>
}

export interface LogLine { level: number, msg: string, [field: string]: unknown }

/** A log that can be read. */
export function memoryLog (): { lines: LogLine[], logger: NonNullable<FastifyServerOptions['logger']> } {
  const lines: LogLine[] = []
  return { lines, logger: { level: 'trace', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } as never }
}

/** An application with the plugin, on a fake clock. */
export async function start (t: Test, options: CometDPluginOptions = {}, fastify: FastifyServerOptions = {}): Promise<Harness> {
  const app = Fastify(fastify)
  t.teardown(async () => await app.close())
  const clock = FakeTimers.createClock()
  await app.register(cometd, { clock: timeSource(clock), ...options })
  const client = (): Client => new Client(app)
  return {
    app,
    cometd: app.cometd,
    clock,
    client,
    open: async handshake => await client().open(handshake)
  }
}

export function timeSource (clock: FakeClock): NonNullable<CometDPluginOptions['clock']> {
  return {
    now: () => clock.now,
    date: () => clock.now,
    setTimeout: (callback, milliseconds) => clock.setTimeout(callback, milliseconds),
    clearTimeout: handle => clock.clearTimeout(handle as never)
  }
}

/** What a client that knows only the wire does, over `app.inject`. */
export class Client {
  readonly app: FastifyInstance
  url = '/cometd'
  cookie: string | undefined
  clientId = ''
  #id = 0

  constructor (app: FastifyInstance) {
    this.app = app
  }

  get session (): ServerSession {
    return this.app.cometd.getServerSession(this.clientId) as ServerSession
  }

  async post (payload: string | object | undefined, headers: Record<string, string> = {}) {
    const response = await this.app.inject({
      method: 'POST',
      url: this.url,
      headers: { ...(this.cookie !== undefined && { cookie: this.cookie }), ...headers },
      ...(payload !== undefined && { payload })
    })
    const cookies = [response.headers['set-cookie'] ?? []].flat().map(cookie => cookie.split(';')[0] as string)
    if (cookies.length > 0) this.cookie = cookies.join('; ')
    return response
  }

  /** Sends the messages as they are. Gives what came back. */
  async raw (...messages: Wire[]): Promise<Wire[]> {
    return (await this.post(messages)).json()
  }

  /** Sends the messages with an id and the clientId. Gives what came back. */
  async send (...messages: Wire[]): Promise<Wire[]> {
    return await this.raw(...messages.map(message => ({ id: String(++this.#id), clientId: this.clientId, ...message })))
  }

  async handshake (fields: Wire = {}): Promise<Wire> {
    const [reply] = await this.raw({ id: String(++this.#id), channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'], ...fields })
    if (reply?.clientId !== undefined) this.clientId = reply.clientId
    return reply as Wire
  }

  async connect (fields: Wire = {}): Promise<Wire[]> {
    return await this.send({ channel: '/meta/connect', connectionType: 'long-polling', ...fields })
  }

  /** Handshake and first connect. */
  async open (handshake: Wire = {}): Promise<this> {
    await this.handshake(handshake)
    await this.connect()
    return this
  }

  /** Sends a connect; resolves when the server holds it. */
  async hold (fields: Wire = {}): Promise<{ answer: Promise<Wire[]> }> {
    const { session } = this
    let answer: Promise<Wire[]> | undefined
    await new Promise<void>((resolve, reject) => {
      session.addListener('suspended', function suspended () {
        session.removeListener('suspended', suspended)
        resolve()
      })
      answer = this.connect(fields)
      answer.then(messages => reject(new Error(`not held: ${JSON.stringify(messages)}`)), reject)
    })
    return { answer: answer as Promise<Wire[]> }
  }

  async subscribe (subscription: string | string[]): Promise<Wire> {
    return (await this.send({ channel: '/meta/subscribe', subscription })).at(-1) as Wire
  }

  async publish (channel: string, data: unknown, fields: Wire = {}): Promise<Wire> {
    return (await this.send({ channel, data, ...fields })).at(-1) as Wire
  }
}

/** The next time `event` happens to `source`, with its arguments. */
export async function once (source: { addListener: (event: never, listener: never) => void }, event: string): Promise<unknown[]> {
  return await new Promise(resolve => source.addListener(event as never, ((...args: unknown[]) => resolve(args)) as never))
}

/** Lets everything happen that is due in this turn of the event loop. */
export async function turn (): Promise<void> {
  await new Promise(resolve => setImmediate(resolve))
}
