/** Writing DER (ITU-T X.690), as much of it as certificates need. Reading is left to OpenSSL. */
import { isIP } from 'node:net'

type Bytes = Uint8Array

/** Tag, length and what is in it. */
export function element(tag: number, ...parts: readonly Bytes[]): Buffer {
  const content = Buffer.concat(parts)
  if (content.length < 0x80) return Buffer.concat([Buffer.of(tag, content.length), content])
  const length = content.length < 0x100 ? [0x81, content.length] : [0x82, content.length >> 8, content.length & 0xff]
  if (content.length > 0xffff) throw new RangeError(`${content.length} bytes are more than a certificate's part has`)
  return Buffer.concat([Buffer.of(tag, ...length), content])
}

export const sequence = (...parts: readonly Bytes[]): Buffer => element(0x30, ...parts)
export const set = (...parts: readonly Bytes[]): Buffer => element(0x31, ...parts)
export const octets = (bytes: Bytes): Buffer => element(0x04, bytes)
export const text = (value: string): Buffer => element(0x0c, Buffer.from(value))
export const yes = (): Buffer => element(0x01, Buffer.of(0xff))

/** @param unusedBits how many of the last byte's low bits mean nothing */
export const bits = (bytes: Bytes, unusedBits = 0): Buffer => element(0x03, Buffer.of(unusedBits), bytes)

/** A number that is not negative, its most significant byte first. */
export function integer(bytes: Bytes): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0)
  const digits = start < 0 ? Buffer.of(0) : bytes.subarray(start)
  return element(0x02, (digits[0] ?? 0) >= 0x80 ? Buffer.of(0) : Buffer.of(), digits)
}

/** An object identifier in its usual form, `1.2.840.10045.2.1`. */
export function identifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const encoded = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift(0x80 | (left & 0x7f))
    return groups
  })
  return element(0x06, Buffer.from(encoded))
}

/** RFC 5280 wants two digits of the year before 2050, and four from then on. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return Number(digits.slice(0, 4)) < 2050
    ? element(0x17, Buffer.from(digits.slice(2)))
    : element(0x18, Buffer.from(digits))
}

/** `[n]`: in place of the type's own tag where `parts` are primitive, around them where they are not. */
export const tagged = (n: number, form: 'primitive' | 'constructed', ...parts: readonly Bytes[]): Buffer =>
  element(0x80 | (form === 'constructed' ? 0x20 : 0) | n, ...parts)

/** The 4 or 16 bytes of an IP address. */
export function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  if (isIP(address) !== 6 || /[.%]/.test(address))
    throw new TypeError(`${address} is not an IP address in its plain form`)
  const [head = '', tail] = address.split('::')
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16))
  const [before, after] = [words(head), words(tail ?? '')]
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]))
}
