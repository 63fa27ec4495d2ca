import * as ws from 'ws'
import type { Frame } from '../bayeux/frame.js'

// Not in ws's types. Its `frame` writes the header of a WebSocket frame.
const { Sender } = ws as unknown as { Sender: { frame: (data: Buffer, options: object) => Buffer[] } }
const TEXT = { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true }

/** A WebSocket message on its way out. */
export class Payload {
  readonly text: string
  /** Length of the text in UTF-8. */
  readonly bytes: number
  #wire: Buffer | undefined

  /** @param messages Bayeux messages as JSON */
  constructor (messages: readonly string[]) {
    this.text = `[${messages.join()}]`
    this.bytes = Buffer.byteLength(this.text)
  }

  /** The WebSocket frame, as it is for every socket without extensions. */
  get wire (): Buffer {
    this.#wire ??= Buffer.concat(Sender.frame(Buffer.from(this.text), TEXT))
    return this.#wire
  }
}

interface Known { frames: readonly Frame[], payload: Payload }

/** The payloads of this turn of the event loop: what many sessions get is built once. */
export class Payloads {
  readonly #byFirst = new Map<Frame, Known[]>()
  readonly #defer: (code: () => void) => void

  constructor (defer: (code: () => void) => void) {
    this.#defer = defer
  }

  of (frames: readonly Frame[]): Payload {
    const first = frames[0] as Frame
    const known = this.#byFirst.get(first)
    if (known !== undefined) for (const entry of known) if (areSame(entry.frames, frames)) return entry.payload
    const payload = new Payload(frames.map(({ json }) => json))
    if (known === undefined) this.#remember(first, { frames, payload })
    else known.push({ frames, payload })
    return payload
  }

  #remember (first: Frame, entry: Known): void {
    if (this.#byFirst.size === 0) this.#defer(() => this.#byFirst.clear())
    this.#byFirst.set(first, [entry])
  }
}

// In a loop of its own: this is done for every session.
function areSame (some: readonly Frame[], others: readonly Frame[]): boolean {
  if (some.length !== others.length) return false
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false
  return true
}
