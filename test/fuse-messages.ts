/** Messages of the kernel for tests of `src/fuse`: recorded ones, and ones made by hand. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Fixture {
  readonly requests: Readonly<Record<string, string>>
  readonly answers: Readonly<Record<string, string>>
}

const fixture = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/fuse-messages.json'), 'utf8')) as Fixture

const bytesOf = (kind: 'requests' | 'answers', name: string): Uint8Array<ArrayBuffer> => {
  const hex = fixture[kind][name]
  if (hex === undefined) throw new Error(`no ${name} among the ${kind} of fuse-messages.json`)
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

export const recordedRequest = (name: string): Uint8Array<ArrayBuffer> => bytesOf('requests', name)
export const expectedAnswer = (name: string): Uint8Array<ArrayBuffer> => bytesOf('answers', name)
export const recordedNames = Object.keys(fixture.requests)

/** What a receive buffer or an answer buffer is, without the kernel's address. */
export function plainBytes(length: number): { bytes: Uint8Array<ArrayBuffer>; view: DataView<ArrayBuffer> } {
  const bytes = new Uint8Array(length)
  return { bytes, view: new DataView(bytes.buffer) }
}

export interface Header {
  readonly opcode: number
  readonly node?: number
  readonly unique?: number
  readonly resent?: boolean
  readonly uid?: number
  readonly gid?: number
}

/** A message with this body: numbers of 32 bits, `bigint`s of 64, texts with their zero. */
export function message(
  { opcode, node = 1, unique = 2, resent = false, uid = 0, gid = 0 }: Header,
  ...body: readonly (number | bigint | string | Uint8Array)[]
): Uint8Array<ArrayBuffer> {
  const parts = body.map((part) => {
    if (typeof part === 'string') return Buffer.from(`${part}\0`)
    if (typeof part !== 'number' && typeof part !== 'bigint') return part
    const bytes = Buffer.alloc(typeof part === 'number' ? 4 : 8)
    if (typeof part === 'number') bytes.writeUInt32LE(part)
    else bytes.writeBigUInt64LE(part)
    return bytes
  })
  const header = Buffer.alloc(40)
  header.writeUInt32LE(40 + parts.reduce((sum, { length }) => sum + length, 0), 0)
  header.writeUInt32LE(opcode, 4)
  header.writeUInt32LE(unique, 8)
  header.writeUInt32LE(resent ? 0x8000_0000 : 0, 12)
  header.writeUInt32LE(node, 16)
  header.writeUInt32LE(uid, 24)
  header.writeUInt32LE(gid, 28)
  header.writeUInt32LE(4321, 32)
  return new Uint8Array(Buffer.concat([header, ...parts]))
}
