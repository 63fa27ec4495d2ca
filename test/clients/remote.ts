import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import type { Peer, TransportName } from './peer.js'

/** What a program answers to a request, or says about what it heard. One JSON a line. */
type Line =
  | { id: number, value?: unknown, error?: string }
  | { listener: number, channel: string, data: unknown }

export interface RemotePeer extends Peer {
  /** Gives the answer of the server, good or bad. */
  remoteCall: (target: string, data: unknown) => Promise<{ successful: boolean, data: unknown }>
}

interface Waiting { resolve: (value: unknown) => void, reject: (err: Error) => void }

/** Tests that need another language. Without it they are skipped, but not in continuous integration. */
export function withRuntime (t: Test, missing: string | undefined, test: () => void): void {
  if (missing === undefined) test()
  else if (process.env['CI'] === 'true') t.fail(missing)
  else t.plan(0, missing)
}

/** A program in another language with clients of a library that we did not write. It is told what to do by lines on its standard input. */
export class RemoteClients {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Map<number, (data: unknown, channel: string) => void>()
  #number = 0
  #complaints = ''
  #ended: Error | undefined

  private constructor (child: ChildProcess) {
    this.#child = child
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', line => { this.#read(line) })
    child.stderr?.on('data', chunk => { this.#complaints += chunk })
    child.on('error', err => { this.#end(err) })
    child.on('close', code => { this.#end(new Error(`the program ended with ${code}: ${this.#complaints}`)) })
  }

  /** Starts the program. It ends with the test. */
  static start (t: Test, command: string, args: string[]): RemoteClients {
    // `env`: tap puts its coverage into the environment of every child process.
    const child = spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], { stdio: 'pipe' })
    const clients = new RemoteClients(child)
    t.teardown(async () => {
      const closed = new Promise(resolve => child.on('close', resolve))
      if (child.exitCode !== null || child.signalCode !== null) return
      child.stdin.end()
      await closed
    })
    return clients
  }

  /** Makes peers in the program. `settings` are for the program; `traits` are those of its library. */
  peers (settings: object = {}, traits: Partial<Peer> = {}): (url: string, transports: TransportName[]) => RemotePeer {
    return (url, transports) => {
      const peer = ++this.#number
      const made = this.request('make', { peer, url, transports, ...settings })
      made.catch(() => {})
      return {
        ...traits,
        open: async () => {
          await made
          return await this.request('open', { peer }) as string
        },
        transport: async () => await this.request('transport', { peer }) as string,
        subscribe: async (channel, listener) => {
          const subscription = ++this.#number
          this.#listeners.set(subscription, listener)
          await this.request('subscribe', { peer, subscription, channel })
          return async () => { await this.request('unsubscribe', { peer, subscription }) }
        },
        remoteCall: async (target, data) => await this.request('remoteCall', { peer, target, data }) as { successful: boolean, data: unknown },
        publish: async (channel, data) => { await this.request('publish', { peer, channel, data }) },
        batch: messages => {
          this.request('startBatch', { peer }).catch(() => {})
          messages()
          this.request('endBatch', { peer }).catch(() => {})
        },
        close: async () => { await this.request('close', { peer }) }
      }
    }
  }

  async request (action: string, fields: object): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#ended
    const id = ++this.#number
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin?.write(`${JSON.stringify({ id, action, ...fields })}\n`)
    })
  }

  #read (text: string): void {
    const line = JSON.parse(text) as Line
    if ('listener' in line) return this.#listeners.get(line.listener)?.(line.data, line.channel)
    const waiting = this.#waiting.get(line.id)
    this.#waiting.delete(line.id)
    if (line.error !== undefined) waiting?.reject(new Error(line.error))
    else waiting?.resolve(line.value)
  }

  #end (err: Error): void {
    this.#ended ??= err
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
  }
}
