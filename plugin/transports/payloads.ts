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
  readonly #ofOne = new Map<Frame, Payload>()
  // By the first and the last: what many have in common may be in front of what each has alone, or behind it, and looking for the
  // same list must not cost more the more lists there are.
  readonly #ofMany = new Map<Frame, Map<Frame, Known>>()
  readonly #defer: (code: () => void) => void

  constructor (defer: (code: () => void) => void) {
    this.#defer = defer
  }

  of (frames: readonly Frame[]): Payload {
    if (this.#ofOne.size === 0 && this.#ofMany.size === 0) this.#defer(() => this.#forget())
    const first = frames[0] as Frame
    if (frames.length > 1) return this.#of(first, frames.at(-1) as Frame, frames)
    let payload = this.#ofOne.get(first)
    if (payload === undefined) {
      payload = new Payload([first.json])
      this.#ofOne.set(first, payload)
    }
    return payload
  }

  #of (first: Frame, last: Frame, frames: readonly Frame[]): Payload {
    let byLast = this.#ofMany.get(first)
    if (byLast === undefined) {
      byLast = new Map()
      this.#ofMany.set(first, byLast)
    }
    const known = byLast.get(last)
    if (known !== undefined && areSame(known.frames, frames)) return known.payload
    const payload = new Payload(frames.map(({ json }) => json))
    byLast.set(last, { frames, payload })
    return payload
  }

  #forget (): void {
    this.#ofOne.clear()
    this.#ofMany.clear()
  }
}

// In a loop of its own: this is done for every session.
function areSame (some: readonly Frame[], others: readonly Frame[]): boolean {
  if (some.length !== others.length) return false
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false
  return true
}
