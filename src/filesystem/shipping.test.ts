/** What operations cost in bytes of log, counted as a volume's writer counts them. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { diff } from '../protocol/delta.ts'
import { recordBytes } from '../protocol/record.ts'
import type { Change, Eventual } from './block-device.ts'
import { type Ino, ROOT_INO, type Timestamp } from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { MemoryDevice } from './memory-device.ts'

let seconds = 1_700_000_000
let nanoseconds = 0
const now = (): Timestamp => ({ seconds, nanoseconds: ++nanoseconds })
const OWNER = { uid: 1, gid: 2 }
const TRIM_BYTES = 4

/** Counts as `MiniTransaction` does, with every block in the cache. */
class ShippingDevice extends MemoryDevice {
  logBytes = 0
  records = 0

  override append(changes: readonly Change[]) {
    for (const change of changes) {
      const payloadBytes = 'trim' in change ? TRIM_BYTES : this.#delta(change.block, change.bytes)
      this.records += payloadBytes > 0 ? 1 : 0
      this.logBytes += payloadBytes > 0 ? recordBytes(payloadBytes) : 0
    }
    return super.append(changes)
  }

  #delta(block: Parameters<MemoryDevice['blocks']['get']>[0], bytes: Uint8Array): number {
    const before = this.blocks.get(block) ?? new Uint8Array(this.blockBytes)
    const length = diff(before, new Uint8Array(bytes), new Uint8Array(this.blockBytes * 0.75))
    return length < 0 ? this.blockBytes : length
  }
}

const device = new ShippingDevice()
await FileSystem.format(device, { now })
const system = await FileSystem.attach(device, { now })
const { ino: folder } = await system.mkdir(ROOT_INO, 'base', 0o700, OWNER)
// Files of a database: the tables are not empty.
for (let i = 0; i < 300; i++) await system.mknod(folder, `${16_384 + i}`, 0o100600, OWNER)

/** Log of one operation, in bytes. */
async function cost(operation: () => Eventual<unknown>): Promise<number> {
  const before = device.logBytes
  await operation()
  return device.logBytes - before
}

const page = (seed: number): Uint8Array => Uint8Array.from({ length: 8192 }, (_, i) => (i * 31 + seed) % 251)
let file = 0 as Ino

describe('an operation ships', () => {
  const atMost = (what: string, bytesMax: number, operation: () => Eventual<unknown>): void => {
    it(`at most ${bytesMax} bytes for ${what}`, async (context) => {
      const bytes = await cost(operation)
      context.diagnostic(`${bytes} bytes`)
      assert.ok(bytes <= bytesMax, `${bytes} bytes`)
    })
  }

  atMost('making a file', 350, async () => {
    file = (await system.create(folder, '2619', 0o600, OWNER)).ino
  })
  atMost('making a directory', 350, () => system.mkdir(folder, 'pgsql_tmp', 0o700, OWNER))
  atMost('renaming a file', 350, () => system.rename(folder, '16400', folder, 'pg_internal.init'))
  atMost('replacing a file by another', 500, () => system.rename(folder, '16401', folder, '16402'))
  atMost('changing a mode', 150, () => system.setattr(file, { mode: 0o640 }))
  atMost('making a file longer', 150, () => system.setattr(file, { size: 5 * 8192 }))
  atMost('an extent of 16 MiB', 250, () => system.fallocate(file, 'allocate', 0, 16 * 2 ** 20))
  atMost('the first write to a block, besides the block', recordBytes(8192) + 100, () => system.write(file, 0, page(1)))
  atMost('a page that makes a file longer, by a new extent, besides the page', recordBytes(8192) + 180, () =>
    system.write(file, 16 * 2 ** 20, page(2)),
  )
  atMost('a page that makes a file longer, besides the page', recordBytes(8192) + 100, () =>
    system.write(file, 16 * 2 ** 20 + 8192, page(2)),
  )
  atMost('writing what is there already', 0, () => system.write(file, 0, page(1)))
  atMost('removing an open file', 450, () => system.unlink(folder, '2619'))
  atMost('closing it, which frees its extents', 300, () => system.release(file))
  atMost('making and removing a file', 750, async () => {
    const { ino } = await system.create(folder, 'temporary', 0o600, OWNER)
    await system.release(ino)
    await system.unlink(folder, 'temporary')
  })

  it('at most 700 bytes for 500 bytes changed in a page of 8 KiB', async () => {
    const { ino } = await system.create(folder, 'table', 0o600, OWNER)
    const content = page(3)
    await system.write(ino, 0, content)
    content.fill(1, 2000, 2500)
    assert.ok((await cost(() => system.write(ino, 0, content))) <= 700)
  })

  it('no more than its changes for WAL in a preallocated file, over all', async () => {
    const { ino } = await system.create(ROOT_INO, '000000010000000000000001', 0o600, OWNER)
    await system.fallocate(ino, 'allocate', 0, 16 * 2 ** 20)
    const [block, record] = [new Uint8Array(8192), page(4).subarray(0, 400)]
    let bytes = 0
    let records = -device.records
    for (let i = 0; i < 20; i++) {
      block.set(record, i * 400)
      if (i === 10) seconds++
      bytes += await cost(() => system.write(ino, 0, block))
    }
    records += device.records
    // One for each write, and one for the times, as a second has passed.
    assert.equal(records, 20 + 1)
    // A record's header and range, and the granules at both ends.
    assert.ok(bytes / 20 <= 400 + 60 + 4 + 32 + 10, `${bytes / 20} bytes a write`)
  })

  it('bounded bytes for the largest directory', async () => {
    const { ino } = await system.mkdir(ROOT_INO, 'large', 0o700, OWNER)
    for (let i = 0; i < 10_000; i++) await system.mknod(ino, `name-${i}`, 0o100600, OWNER)
    assert.ok((await cost(() => system.mknod(ino, 'one-more', 0o100600, OWNER))) <= 450)
    assert.ok((await cost(() => system.unlink(ino, 'name-5000'))) <= 450)
  })
})
