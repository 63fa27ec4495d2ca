// ZeroMQ RFC 32 (Z85): four bytes, the most significant first, are five digits of base 85. That is for multiples of four bytes.
// As CometD's clients do it, a last group of n < 4 bytes is filled up with zeros to be written, and only its first n + 1 digits
// are; to be read, these are filled up with the greatest digit.
const DIGITS = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#')
const FILLER = '#'

// Of each byte the digit that it stands for; greater than any digit: none.
const NO_DIGIT = 128
const VALUES = new Uint8Array(256).fill(NO_DIGIT)
DIGITS.forEach((code, value) => { VALUES[code] = value })

const LARGEST = 2 ** 32 - 1

/** Writes bytes as Z85. */
export function encode (bytes: Uint8Array): string {
  const rest = bytes.length % 4
  const whole = bytes.length - rest
  const text = Buffer.allocUnsafe(Math.ceil(bytes.length / 4) * 5)
  let end = 0
  for (let at = 0; at < whole; at += 4, end += 5) write(text, end, bytes[at] as number, bytes[at + 1] as number, bytes[at + 2] as number, bytes[at + 3] as number)
  if (rest > 0) {
    write(text, end, bytes[whole] as number, bytes[whole + 1] ?? 0, bytes[whole + 2] ?? 0, 0)
    end += rest + 1
  }
  return text.toString('latin1', 0, end)
}

function write (text: Buffer, at: number, a: number, b: number, c: number, d: number): void {
  let value = (a << 24 | b << 16 | c << 8 | d) >>> 0
  for (let i = at + 4; i >= at; i--) {
    const quotient = (value / 85) >>> 0
    text[i] = DIGITS[value - quotient * 85] as number
    value = quotient
  }
}

/** Reads Z85. Gives undefined if it is none. */
export function decode (text: string): Buffer | undefined {
  const rest = text.length % 5
  if (rest === 1) return undefined
  const missing = rest === 0 ? 0 : 5 - rest
  // As UTF-8 no character that is not ASCII has a byte that is a digit.
  const digits = Buffer.from(text + FILLER.repeat(missing))
  const bytes = Buffer.allocUnsafe(Math.ceil(text.length / 5) * 4)
  for (let at = 0, end = 0; at < digits.length; at += 5, end += 4) {
    const a = VALUES[digits[at] as number] as number
    const b = VALUES[digits[at + 1] as number] as number
    const c = VALUES[digits[at + 2] as number] as number
    const d = VALUES[digits[at + 3] as number] as number
    const e = VALUES[digits[at + 4] as number] as number
    const value = (((a * 85 + b) * 85 + c) * 85 + d) * 85 + e
    if ((a | b | c | d | e) >= NO_DIGIT || value > LARGEST) return undefined
    bytes[end] = value >>> 24
    bytes[end + 1] = value >>> 16
    bytes[end + 2] = value >>> 8
    bytes[end + 3] = value
  }
  return bytes.subarray(0, bytes.length - missing)
}
