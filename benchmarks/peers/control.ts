// How the runner talks with a server program: forked, one question at a time, over the channel that fork() opens.

import type { Transport } from '../driver/message.js'

/** What a server program is started with: one JSON argument. */
export interface PeerOptions {
  /** How the driver will come. Only servers that would otherwise pay for what they are not asked need to know. */
  transport: Transport
  /** How long a `/meta/connect` is held when nothing happens (ms). */
  holdTimeoutMs: number
  /** How many channels are declared; ours only. */
  declare: number
}

export interface Peer {
  port: number
  /** Does without a driver what is measured; gives µs of CPU for each time. */
  loop?: () => number
  /** CPU that declaring so many channels takes (µs). */
  declare?: (count: number) => Promise<number>
  /** Publishes to all subscribers, and then delivers one message to each alone if `each`. */
  broadcast?: (each: boolean) => void
  /** Ends the server as its users would; resolves when it is closed. */
  close?: () => Promise<void>
}

export interface Answers {
  /** User and system time of the process since it started (µs). */
  cpu: { cpuUs: number }
  /** Resident memory after a full garbage collection (bytes). */
  memory: { rssBytes: number }
  /** What one time of the loop costs (µs). */
  loop: { us: number }
  /** How long `close` took (ms). */
  close: { closeMs: number }
  /** Heap in use after a full garbage collection (bytes). */
  heap: { heapBytes: number }
  /** The longest time between two turns of the event loop since this was asked last (ms). */
  gap: { gapMs: number }
  /** What it takes to declare 2,500 channels, and 20,000 (µs). */
  declare: { few: number, many: number }
  broadcast: object
  broadcastAndDeliver: object
}

export type Question = keyof Answers

export const HOST = '127.0.0.1'
export const PATH = '/cometd'

/** Looks at every turn of the event loop. */
class Watch {
  longest = 0
  #last = performance.now()

  constructor () {
    const turn = (): void => {
      const now = performance.now()
      this.longest = Math.max(this.longest, now - this.#last)
      this.#last = now
      setTimeout(turn, 0)
    }
    turn()
  }
}

let watch: Watch | undefined

const answerers: { [Q in Question]: (peer: Peer) => Answers[Q] | Promise<Answers[Q]> } = {
  cpu () {
    const { user, system } = process.cpuUsage()
    return { cpuUs: user + system }
  },

  memory () {
    if (global.gc === undefined) throw new Error('start the server with --expose-gc')
    // The second one collects what finalizers and weak references let go in the first.
    global.gc()
    global.gc()
    return { rssBytes: process.memoryUsage.rss() }
  },

  loop (peer) {
    if (peer.loop === undefined) throw new Error('this server has no loop')
    return { us: peer.loop() }
  },

  heap () {
    answerers.memory({ port: 0 })
    return { heapBytes: process.memoryUsage().heapUsed }
  },

  gap () {
    const gapMs = watch?.longest ?? 0
    if (watch === undefined) watch = new Watch()
    watch.longest = 0
    return { gapMs }
  },

  async declare (peer) {
    if (peer.declare === undefined) throw new Error('this server declares nothing')
    const times = async (count: number): Promise<number> => {
      const all: number[] = []
      for (let i = 0; i < 3; i++) all.push(await peer.declare?.(count) ?? NaN)
      return Math.min(...all)
    }
    return { few: await times(2_500), many: await times(20_000) }
  },

  broadcast (peer) {
    peer.broadcast?.(false)
    return {}
  },

  broadcastAndDeliver (peer) {
    peer.broadcast?.(true)
    return {}
  },

  async close (peer) {
    if (peer.close === undefined) throw new Error('this server has nothing to close')
    const start = performance.now()
    await peer.close()
    return { closeMs: performance.now() - start }
  }
}

/** Starts the server of this process, tells the runner its port, then answers the runner until it goes. */
export async function serve (start: (options: PeerOptions) => Promise<Peer>): Promise<void> {
  const peer = await start(JSON.parse(process.argv[2] ?? '{}') as PeerOptions)
  process.on('disconnect', () => process.exit())
  process.on('message', async (question: Question) => {
    process.send?.(await answerers[question](peer))
  })
  process.send?.({ port: peer.port })
}
