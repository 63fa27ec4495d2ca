import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Frame } from '../bayeux/frame.js'
import type { Payload } from './payloads.js'

const NOTHING = Buffer.alloc(0)
const NO_FRAMES: readonly Frame[] = []

/** Writes to one WebSocket, and knows what it has not yet handed to the operating system. */
export class SocketWriter {
  readonly #ws: WebSocket
  // injectWS has none of Node's.
  readonly #socket: Socket | undefined
  // Where frames can be written as they are: not if ws has to compress them.
  readonly #direct: Socket | undefined
  readonly #onWritten: () => void
  // One entry for each write that is not confirmed.
  readonly #writes: Array<readonly Frame[]> = []

  constructor (ws: WebSocket, socket: Socket | undefined, onWritten: () => void) {
    this.#ws = ws
    this.#socket = socket
    this.#direct = ws.extensions === '' ? socket : undefined
    this.#onWritten = onWritten
  }

  /** Bytes that wait in this process. */
  get buffered (): number {
    return this.#direct?.writableLength ?? this.#ws.bufferedAmount
  }

  /** Whether nothing can be written any more. The event `close` may still be to come. */
  get gone (): boolean {
    return this.#ws.readyState !== this.#ws.OPEN || this.#socket?.destroyed === true
  }

  /** Writes a payload that is made of `frames`, among others. */
  write (payload: Payload, frames: readonly Frame[]): void {
    if (this.#direct === undefined) {
      this.#writes.push(frames)
      this.#ws.send(payload.text, this.#confirm)
      return
    }
    this.#direct.write(payload.wire)
    // Nearly always the operating system has taken everything by now. Only else is a callback worth its price.
    if (this.#direct.writableLength === 0 && !this.#direct.destroyed) return
    this.#writes.push(frames)
    this.#direct.write(NOTHING, this.#confirm)
  }

  /** Has what `code` writes leave together. */
  together (code: () => void): void {
    this.#direct?.cork()
    code()
    this.#direct?.uncork()
  }

  /** Takes, in order, the frames whose writes were not confirmed. */
  takeUnsent (): Frame[] {
    const unsent = this.#writes.flat()
    this.#writes.fill(NO_FRAMES)
    return unsent
  }

  readonly #confirm = (err?: Error | null): void => {
    // After a failure nothing more is confirmed. Node reports none for a write that a destroyed socket was busy with.
    if (err || this.#socket?.destroyed) return
    this.#writes.shift()
    this.#onWritten()
  }
}
