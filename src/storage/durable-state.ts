/**
 * Small states that a node must not lose or take back: promises, identity, what may be collected. Each is JSON in two
 * copies, `<name>.a` and `<name>.b`, of which `a` is always replaced first.
 *
 * A copy, little endian:
 *
 *      0 u32 crc32 of bytes 4..32      16 u64 sequence, one higher with every write
 *      4 u32 magic "BoSt"              24 u32 crc32 of the JSON
 *      8 u16 format version            28 u32 zero
 *     10 u16 zero                      32 JSON in UTF-8
 *     12 u32 length of the JSON
 *
 * The header has a checksum of its own, so that a copy whose JSON rotted still tells that it was the newer one.
 */
import { crc32 } from 'node:zlib'
import { invariant, VolumeError } from '../protocol/errors.ts'
import { readU64, writeU64 } from '../protocol/lsn.ts'
import type { Disk } from './disk.ts'

const HEADER_BYTES = 32
const MAGIC = 0x7453_6f42
const FORMAT_VERSION = 1
/** A state is read and written whole; the largest, a volume with 1,024 truncations and many pins, has some 100 KiB. */
export const STATE_BYTES_MAX = 16 * 1024 * 1024

const COPIES = ['a', 'b'] as const
type CopyName = (typeof COPIES)[number]

export type StoredState =
  | { readonly status: 'absent' }
  /** Nothing can be trusted: both copies are bad, or the newer one is. */
  | { readonly status: 'damaged'; readonly reason: string }
  /** `repaired`: one copy was bad, missing or older, and was made again. */
  | { readonly status: 'present'; readonly value: unknown; readonly sequence: number; readonly repaired: boolean }

type Copy =
  | { readonly kind: 'missing' }
  | { readonly kind: 'good'; readonly sequence: number; readonly bytes: Uint8Array }
  /** `sequence` when the header can be read. */
  | { readonly kind: 'bad'; readonly sequence: number | undefined }

const pathOf = (folder: string, name: string, copy: string): string => `${folder}/${name}.${copy}`
const parentOf = (folder: string): string => folder.slice(0, Math.max(0, folder.lastIndexOf('/')))

/**
 * The newest state, after mending a single bad copy.
 * @throws VolumeError `UnsupportedFormat` when a newer version wrote it
 */
export function readState(disk: Disk, folder: string, name: string): StoredState {
  const [a, b] = readCopies(disk, folder, name)
  const newest = newestOf(a, b)
  if (newest === undefined) {
    if (a.kind === 'missing' && b.kind === 'missing') return { status: 'absent' }
    return { status: 'damaged', reason: `${folder}/${name}: no copy is whole` }
  }
  for (const copy of [a, b]) {
    if (copy.kind !== 'bad' || copy.sequence === undefined || copy.sequence <= newest.sequence) continue
    return {
      status: 'damaged',
      reason: `${folder}/${name}: write ${copy.sequence} is bad and ${newest.sequence} is all that is whole`,
    }
  }
  const stale = COPIES.filter((_, i) => !isSame([a, b][i] as Copy, newest))
  if (stale.length > 0) replace(disk, folder, name, newest.bytes, stale)
  const value: unknown = JSON.parse(new TextDecoder().decode(newest.bytes.subarray(HEADER_BYTES)))
  return { status: 'present', value, sequence: newest.sequence, repaired: stale.length > 0 }
}

/**
 * Durable in both copies when it returns.
 * @throws VolumeError `DiskFull`: the state is as before. After any other failure it is either the old or the new one.
 */
export function writeState(disk: Disk, folder: string, name: string, value: unknown): void {
  const [a, b] = readCopies(disk, folder, name)
  if (a.kind === 'missing' && b.kind === 'missing') {
    disk.makeFolder(folder)
    disk.syncFolder(parentOf(folder))
  }
  replace(disk, folder, name, encode(Math.max(sequenceOf(a), sequenceOf(b)) + 1, value), COPIES)
}

/** Removes both copies. A crash in between leaves the state as it was. */
export function removeState(disk: Disk, folder: string, name: string): void {
  for (const copy of [...COPIES, ...COPIES.map(temporary)]) disk.remove(pathOf(folder, name, copy))
  disk.syncFolder(folder)
}

const temporary = (copy: CopyName): string => `${copy}.tmp`
const sequenceOf = (copy: Copy): number => (copy.kind === 'missing' ? 0 : (copy.sequence ?? 0))
const isSame = (copy: Copy, newest: Copy & { kind: 'good' }): boolean =>
  copy.kind === 'good' && copy.sequence === newest.sequence

function newestOf(a: Copy, b: Copy): (Copy & { kind: 'good' }) | undefined {
  if (a.kind !== 'good') return b.kind === 'good' ? b : undefined
  return b.kind === 'good' && b.sequence > a.sequence ? b : a
}

/** Puts `bytes` in the place of copies, one after the other, once there is room for all. */
function replace(disk: Disk, folder: string, name: string, bytes: Uint8Array, copies: readonly CopyName[]): void {
  try {
    for (const copy of copies) writeWhole(disk, pathOf(folder, name, temporary(copy)), bytes)
  } catch (error) {
    if (error instanceof VolumeError && error.code === 'DiskFull') {
      for (const copy of copies) disk.remove(pathOf(folder, name, temporary(copy)))
    }
    throw error
  }
  for (const copy of copies) {
    disk.rename(pathOf(folder, name, temporary(copy)), pathOf(folder, name, copy))
    disk.syncFolder(folder)
  }
}

function writeWhole(disk: Disk, path: string, bytes: Uint8Array): void {
  const file = disk.create(path)
  try {
    file.write(0, bytes)
    file.sync()
  } finally {
    file.close()
  }
}

function encode(sequence: number, value: unknown): Uint8Array {
  const text = JSON.stringify(value)
  invariant(text !== undefined, 'a state cannot be undefined')
  const json = new TextEncoder().encode(text)
  if (json.length > STATE_BYTES_MAX) throw new VolumeError('BadRequest', `a state of ${json.length} bytes is too large`)
  const bytes = new Uint8Array(HEADER_BYTES + json.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(4, MAGIC, true)
  view.setUint16(8, FORMAT_VERSION, true)
  view.setUint32(12, json.length, true)
  writeU64(view, 16, sequence)
  view.setUint32(24, crc32(json), true)
  bytes.set(json, HEADER_BYTES)
  view.setUint32(0, crc32(bytes.subarray(4, HEADER_BYTES)), true)
  return bytes
}

const readCopies = (disk: Disk, folder: string, name: string): [Copy, Copy] => [
  readCopy(disk, pathOf(folder, name, 'a')),
  readCopy(disk, pathOf(folder, name, 'b')),
]

function readCopy(disk: Disk, path: string): Copy {
  if (!disk.exists(path)) return { kind: 'missing' }
  const file = disk.open(path)
  try {
    const bytes = file.read(0, Math.min(file.size(), HEADER_BYTES + STATE_BYTES_MAX))
    return checkCopy(bytes, path)
  } catch (error) {
    // A sector that cannot be read is as bad as one with wrong bytes.
    if (error instanceof VolumeError && error.code === 'Corrupt') return { kind: 'bad', sequence: undefined }
    throw error
  } finally {
    file.close()
  }
}

function checkCopy(bytes: Uint8Array, path: string): Copy {
  const unreadable: Copy = { kind: 'bad', sequence: undefined }
  if (bytes.length < HEADER_BYTES) return unreadable
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== crc32(bytes.subarray(4, HEADER_BYTES)) || view.getUint32(4, true) !== MAGIC)
    return unreadable
  const version = view.getUint16(8, true)
  if (version !== FORMAT_VERSION) {
    throw new VolumeError('UnsupportedFormat', `${path} has format ${version}; this version reads ${FORMAT_VERSION}`)
  }
  const sequence = readU64(view, 16)
  const json = bytes.subarray(HEADER_BYTES)
  if (json.length !== view.getUint32(12, true) || crc32(json) !== view.getUint32(24, true))
    return { kind: 'bad', sequence }
  return { kind: 'good', sequence, bytes }
}
