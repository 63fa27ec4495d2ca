// WebSocket frames (RFC 6455) as far as the driver needs them: whole text frames without extensions, ASCII only.

export const OPCODE = { text: 0x1, close: 0x8, ping: 0x9, pong: 0xA } as const

const FINAL = 0x80
const OPCODE_BITS = 0x0F
const MASKED = 0x80
const LENGTH_BITS = 0x7F
const LENGTH_IN_16_BITS = 126
const LENGTH_IN_64_BITS = 127
const MAX_16_BITS = 0xFFFF
const MASK_BYTES = 4
/** Any key will do; with one of zeros some servers would spare themselves the unmasking. */
const MASK = Buffer.from([0x5A, 0x17, 0xC3, 0x2E])

/** One frame of a client. */
export function frame (opcode: number, text: string): Buffer {
  const { length } = text
  if (length > MAX_16_BITS) throw new RangeError(`a frame of ${length} bytes`)
  const long = length >= LENGTH_IN_16_BITS
  const start = (long ? 4 : 2) + MASK_BYTES
  const bytes = Buffer.allocUnsafe(start + length)
  bytes[0] = FINAL | opcode
  bytes[1] = MASKED | (long ? LENGTH_IN_16_BITS : length)
  if (long) bytes.writeUInt16BE(length, 2)
  MASK.copy(bytes, start - MASK_BYTES)
  bytes.write(text, start, 'latin1')
  for (let index = 0; index < length; index++) bytes[start + index]! ^= MASK[index & 3]!
  return bytes
}

/** Cuts what a server sends into frames. */
export class FrameReader {
  readonly #onFrame: (opcode: number, text: string) => void
  #rest: Buffer | undefined

  constructor (onFrame: (opcode: number, text: string) => void) {
    this.#onFrame = onFrame
  }

  /** @throws at a frame that is none of a server's, or not a whole message */
  read (chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    let start = 0
    while (true) {
      const end = this.#readOne(bytes, start)
      if (end === undefined) break
      start = end
    }
    this.#rest = start < bytes.length ? bytes.subarray(start) : undefined
  }

  /** Where the frame at `start` ends; nothing if it is not all there. */
  #readOne (bytes: Buffer, start: number): number | undefined {
    if (bytes.length < start + 2) return undefined
    const head = bytes[start]!
    const short = bytes[start + 1]!
    if ((head & ~OPCODE_BITS) !== FINAL || (short & MASKED) !== 0) throw new Error(`an unexpected frame: ${head}, ${short}`)

    const body = start + 2 + (short === LENGTH_IN_16_BITS ? 2 : short === LENGTH_IN_64_BITS ? 8 : 0)
    if (bytes.length < body) return undefined
    const length = short === LENGTH_IN_16_BITS
      ? bytes.readUInt16BE(start + 2)
      : short === LENGTH_IN_64_BITS ? Number(bytes.readBigUInt64BE(start + 2)) : short & LENGTH_BITS
    if (bytes.length < body + length) return undefined
    this.#onFrame(head & OPCODE_BITS, bytes.toString('latin1', body, body + length))
    return body + length
  }
}
