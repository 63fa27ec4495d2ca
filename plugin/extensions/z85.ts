// RFC 32 of ZeroMQ: four bytes are five digits of base 85.
const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'
const CODES = Buffer.from(DIGITS, 'latin1')
const NONE = 255
const VALUES = new Uint8Array(256).fill(NONE)
CODES.forEach((code, value) => { VALUES[code] = value })

const POWERS = [85 ** 4, 85 ** 3, 85 ** 2, 85, 1]
const LARGEST = 2 ** 32 - 1

/** Writes bytes as Z85. A last group of n < 4 bytes, filled up with zeros, is n + 1 digits. */
export function encode (bytes: Uint8Array): string {
  const groups = Math.ceil(bytes.length / 4)
  const text = Buffer.allocUnsafe(groups * 5)
  for (let group = 0; group < groups; group++) {
    const at = group * 4
    let value = 0
    for (let i = 0; i < 4; i++) value = value * 256 + (bytes[at + i] ?? 0)
    for (let i = 4; i >= 0; i--) {
      text[group * 5 + i] = CODES[value % 85] as number
      value = Math.floor(value / 85)
    }
  }
  return text.latin1Slice(0, text.length - (groups * 4 - bytes.length))
}

/** Reads Z85. Gives undefined if it is none. */
export function decode (text: string): Buffer | undefined {
  if (text.length % 5 === 1) return undefined
  const groups = Math.ceil(text.length / 5)
  const bytes = Buffer.allocUnsafe(groups * 4)
  for (let group = 0; group < groups; group++) {
    let value = 0
    for (let i = 0; i < 5; i++) {
      const at = group * 5 + i
      // The last digit of the alphabet fills the last group up.
      const digit = at < text.length ? VALUES[text.charCodeAt(at)] ?? NONE : 84
      if (digit === NONE) return undefined
      value += digit * (POWERS[i] as number)
    }
    if (value > LARGEST && (group + 1) * 5 <= text.length) return undefined
    bytes.writeUInt32BE(Math.min(value, LARGEST), group * 4)
  }
  return bytes.subarray(0, bytes.length - (groups * 5 - text.length))
}
