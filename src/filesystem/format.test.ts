/**
 * The format on disk: an image that version 1 wrote is read by today's code, and today's code writes the same bytes.
 * After a change of the format that is meant: raise `FORMAT_VERSION`, keep reading the old one, and add an image.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { BlockNumber } from '../protocol/lsn.ts'
import { FileType, ROOT_INO, type Timestamp } from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { MemoryDevice } from './memory-device.ts'

const IMAGE = new URL('../../test/fixtures/file-system-v1.bin', import.meta.url)
const BLOCK_BYTES = 8192
const OWNER = { uid: 1000, gid: 2000 }

/** A file system with one of everything. */
async function build(): Promise<MemoryDevice> {
  const now = (): Timestamp => ({ seconds: 1_700_000_000, nanoseconds: 123_456_789 })
  const device = new MemoryDevice(BLOCK_BYTES)
  await FileSystem.format(device, { now, capacityBytes: 2 ** 40, mode: 0o700, owner: OWNER })
  const system = await FileSystem.attach(device, { now })
  const { ino: folder } = await system.mkdir(ROOT_INO, 'base', 0o750, OWNER)
  const { ino: file } = await system.create(folder, '16384', 0o600, OWNER)
  await system.write(file, 0, Buffer.alloc(100_000, 'content '))
  await system.write(file, 2 ** 41, Buffer.from('far'))
  await system.fallocate(file, 'punch-hole', 65_536, 20_000)
  await system.setattr(file, { atime: { seconds: -5, nanoseconds: 1 }, mtime: { seconds: 2 ** 33, nanoseconds: 2 } })
  await system.link(file, ROOT_INO, '\xe9'.repeat(255))
  await system.symlink(ROOT_INO, 'pg_wal', `/elsewhere/${'x'.repeat(300)}`, OWNER)
  await system.mknod(ROOT_INO, 'fifo', FileType.FIFO | 0o620, OWNER)
  await system.mknod(ROOT_INO, 'device', FileType.BLOCK | 0o600, OWNER, 0x801)
  await system.unlink(ROOT_INO, 'fifo')
  await system.mkdir(ROOT_INO, 'again', 0o700, OWNER)
  const { ino: orphan } = await system.create(ROOT_INO, 'orphan', 0o600, OWNER)
  await system.write(orphan, 0, Buffer.alloc(10, 1))
  await system.unlink(ROOT_INO, 'orphan')
  return device
}

/** Blocks in order: number as 8 bytes, then the block. The image is this, with gzip. */
function pack(device: MemoryDevice): Buffer {
  const parts = [...device.blocks].sort(([a], [b]) => a - b)
  const numbered = parts.map(([block, bytes]) => {
    const number = Buffer.alloc(8)
    number.writeBigUInt64LE(BigInt(block))
    return Buffer.concat([number, bytes])
  })
  return Buffer.concat(numbered)
}

function unpack(bytes: Buffer): MemoryDevice {
  const blocks = new Map<BlockNumber, Uint8Array>()
  for (let at = 0; at < bytes.length; at += 8 + BLOCK_BYTES) {
    blocks.set(Number(bytes.readBigUInt64LE(at)) as BlockNumber, bytes.subarray(at + 8, at + 8 + BLOCK_BYTES))
  }
  return new MemoryDevice(BLOCK_BYTES, blocks)
}

describe('format 1', () => {
  const now = (): Timestamp => ({ seconds: 1_800_000_000, nanoseconds: 0 })
  const image = gunzipSync(readFileSync(IMAGE))

  it('is read', async () => {
    const system = await FileSystem.attach(unpack(image), { now })
    assert.deepEqual(system.check(), [])
    const entries = system.readdir(ROOT_INO, 0, 100)
    assert.deepEqual(
      entries.map(({ name, cookie, type }) => [name, cookie, type]),
      [
        ['.', 1, FileType.DIRECTORY],
        ['..', 2, FileType.DIRECTORY],
        ['base', 3, FileType.DIRECTORY],
        ['\xe9'.repeat(255), 4, FileType.REGULAR],
        ['pg_wal', 5, FileType.SYMLINK],
        ['device', 7, FileType.BLOCK],
        ['again', 8, FileType.DIRECTORY],
      ],
    )
    const base = system.lookup(ROOT_INO, 'base')
    const file = system.lookup(base.ino, '16384')
    assert.deepEqual(file, {
      ino: file.ino,
      generation: 1,
      mode: 0o100600,
      links: 2,
      uid: 1000,
      gid: 2000,
      size: 2 ** 41 + 3,
      blocks: 3 * 128,
      rdev: 0,
      atime: { seconds: -5, nanoseconds: 1 },
      mtime: { seconds: 2 ** 33, nanoseconds: 2 },
      ctime: { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
    })
    assert.equal(system.lookup(ROOT_INO, '\xe9'.repeat(255)).ino, file.ino)
    const expected = Buffer.alloc(100_000, 'content ').fill(0, 65_536, 85_536)
    assert.ok(expected.equals(await system.read(file.ino, 0, 100_000)))
    assert.equal(Buffer.from(await system.read(file.ino, 2 ** 41, 9)).toString(), 'far')
    assert.equal(system.readlink(system.lookup(ROOT_INO, 'pg_wal').ino), `/elsewhere/${'x'.repeat(300)}`)
    assert.equal(system.lookup(ROOT_INO, 'device').rdev, 0x801)
    assert.equal(system.lookup(ROOT_INO, 'again').generation, 2)
    // The orphan was removed.
    assert.equal(system.statfs().files - system.statfs().filesFree, 6)
  })

  it('is written, byte for byte', async () => {
    assert.ok(image.equals(pack(await build())))
  })
})
