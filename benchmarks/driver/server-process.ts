import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Answers, Peer, PeerOptions, Question } from '../peers/control.js'

// Without the memory reducer: it collects once, some time after load has ended, what the load left behind, and with 10,000
// sessions takes 300 ms or more, in whichever window it happens to fall.
const NODE_FLAGS = ['--expose-gc', '--no-memory-reducer']

/** A server in a process of its own, and the questions that it answers about itself. */
export class ServerProcess {
  readonly name: string
  readonly port: number
  readonly #child: ChildProcess

  private constructor (name: string, child: ChildProcess, port: number) {
    this.name = name
    this.#child = child
    this.port = port
  }

  /** @param name of a program in `benchmarks/peers/` */
  static async start (name: string, options: PeerOptions): Promise<ServerProcess> {
    const program = fileURLToPath(new URL(`../peers/${name}.js`, import.meta.url))
    const child = fork(program, [JSON.stringify(options)], { execArgv: NODE_FLAGS })
    const { port } = await nextMessage<Peer>(child)
    return new ServerProcess(name, child, port)
  }

  ask<Q extends Question> (question: Q): Promise<Answers[Q]> {
    const answer = nextMessage<Answers[Q]>(this.#child)
    this.#child.send(question)
    return answer
  }

  /** User and system time that the process spent while `work` ran (µs). */
  async cpuDuring (work: () => Promise<unknown>): Promise<number> {
    const before = await this.ask('cpu')
    await work()
    const after = await this.ask('cpu')
    return after.cpuUs - before.cpuUs
  }

  async stop (): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exit
  }
}

/** @throws if the process ends before it says anything */
async function nextMessage<T extends object> (child: ChildProcess): Promise<T> {
  const listening = new AbortController()
  const { signal } = listening
  const ended = once(child, 'exit', { signal }).then(([code]) => { throw new Error(`the server process ended with ${code}`) })
  try {
    const [message] = await Promise.race([once(child, 'message', { signal }), ended]) as [T]
    return message
  } finally {
    ended.catch(() => {})
    listening.abort()
  }
}
