import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import type { BlockNumber } from '../protocol/lsn.ts'
import { ROOT_INO, type Timestamp } from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { EXTENT_BYTES, EXTENT_TABLE_CHUNK, GRANULE_BYTES, INODE_BYTES, readExtent, TableOwner } from './layout.ts'
import { MemoryDevice } from './memory-device.ts'

const BLOCK_BYTES = 8192
const BLOCKS_PER_CHUNK = 65_536 / BLOCK_BYTES
const OWNER = { uid: 1, gid: 2 }
const now = (): Timestamp => ({ seconds: 1_700_000_000, nanoseconds: 0 })

describe('a file system that is examined', () => {
  let whole: MemoryDevice
  let [folder, file] = [0, 0]

  before(async () => {
    whole = new MemoryDevice(BLOCK_BYTES)
    await FileSystem.format(whole, { now })
    const system = await FileSystem.attach(whole, { now })
    folder = (await system.mkdir(ROOT_INO, 'folder', 0o700, OWNER)).ino
    const made = await system.create(ROOT_INO, 'file', 0o600, OWNER)
    file = made.ino
    await system.write(made.ino, 0, Buffer.alloc(100_000, 1))
    await system.symlink(ROOT_INO, 'link', 'file', OWNER)
  })

  const examine = (device: MemoryDevice) => FileSystem.examine(device)

  /** The first block of a table, as the extent table has it. */
  function blockOf(device: MemoryDevice, table: number): DataView {
    const viewOf = (chunk: number): DataView => {
      const bytes = device.blocks.get((chunk * BLOCKS_PER_CHUNK) as BlockNumber) as Uint8Array
      return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    const extents = viewOf(EXTENT_TABLE_CHUNK)
    for (let at = 0; at < BLOCK_BYTES; at += EXTENT_BYTES) {
      const { owner, logical, physical } = readExtent(extents, at)
      if (owner === table && logical === 0) return viewOf(physical)
    }
    throw new Error(`table ${table} has no extent`)
  }

  async function damaged(table: number, damage: (view: DataView) => void): Promise<readonly string[]> {
    const device = new MemoryDevice(BLOCK_BYTES, whole.blocks)
    damage(blockOf(device, table))
    const before = new Map([...device.blocks].map(([block, bytes]) => [block, Buffer.from(bytes).toString('hex')]))
    const { problems } = await examine(device)
    for (const [block, bytes] of device.blocks) assert.equal(Buffer.from(bytes).toString('hex'), before.get(block))
    return problems
  }

  it('is whole', async () => {
    assert.deepEqual(await examine(whole), { files: 4, problems: [] })
  })

  it('tells every record that does not fit, where attaching refuses at the first', async () => {
    const device = new MemoryDevice(BLOCK_BYTES, whole.blocks)
    const inodes = blockOf(device, TableOwner.INODES)
    for (const number of [folder, file]) inodes.setUint32(number * INODE_BYTES, 0, true)
    await assert.rejects(FileSystem.attach(device, { now }), { code: 'EIO' })
    const { files, problems } = await examine(device)
    assert.equal(files, 2)
    assert.match(problems[0] ?? '', new RegExp(`^extent \\d+ belongs to inode ${file}, which is not there$`))
    for (const number of [folder, file]) {
      const isNamed = problems.some((what) => what.includes(`names inode ${number}, which is not there`))
      assert.ok(isNamed, problems.join('\n'))
    }
    assert.ok(problems.some((what) => what === `directory ${ROOT_INO} has 3 links, not 2`))
  })

  it('tells of a root that is none', async () => {
    const problems = await damaged(TableOwner.INODES, (view) => view.setUint32(ROOT_INO * INODE_BYTES, 0o100600, true))
    assert.ok(problems.includes('there is no root directory'))
  })

  it('tells of an entry whose directory is none', async () => {
    const problems = await damaged(TableOwner.NAMES, (view) => {
      for (let at = 0; at < BLOCK_BYTES; at += GRANULE_BYTES) {
        if (view.getUint32(at, true) === ROOT_INO && view.getUint32(at + 4, true) === folder)
          view.setUint32(at, file, true)
      }
    })
    assert.ok(problems.some((what) => what.endsWith(`is in inode ${file}, which is no directory`)))
  })

  it('is not one where there is nothing, or something else', async () => {
    const device = new MemoryDevice(BLOCK_BYTES)
    await assert.rejects(examine(device), { code: 'EINVAL' })
  })
})
