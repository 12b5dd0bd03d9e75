import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FILE_BYTES_MAX, FileType, type Ino, LINKS_MAX, ROOT_INO, type Timestamp } from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { MemoryDevice } from './memory-device.ts'
import { describeTree } from './tree-model.ts'

const now = (): Timestamp => ({ seconds: 1_700_000_000, nanoseconds: 1 })
const OWNER = { uid: 1, gid: 2 }
const CHUNK = 65_536

async function fresh(device: MemoryDevice, capacityBytes = 2 ** 47): Promise<FileSystem> {
  await FileSystem.format(device, { now, capacityBytes })
  return FileSystem.attach(device, { now })
}

describe('names', () => {
  it('have 255 bytes, any but / and 0', async () => {
    const device = new MemoryDevice()
    const system = await fresh(device)
    const names = ['\xff'.repeat(255), '\x01', 'é'.normalize('NFC'), '\xc3\xa9', ' ', '...']
    for (const name of names) await system.mkdir(ROOT_INO, name, 0o700, OWNER)
    for (const [name, code] of [
      ['x'.repeat(256), 'ENAMETOOLONG'],
      ['', 'ENOENT'],
      ['a/b', 'EINVAL'],
      ['a\0', 'EINVAL'],
      ['\u0100', 'EINVAL'],
      ['.', 'EEXIST'],
      ['..', 'EEXIST'],
    ] as const) {
      assert.throws(() => system.mkdir(ROOT_INO, name, 0o700, OWNER), { code }, JSON.stringify(name))
    }
    const again = await FileSystem.attach(device, { now })
    const found = again.readdir(ROOT_INO, 2, 100).map(({ name }) => name)
    assert.deepEqual(found, names)
  })

  it('of symbolic links have 4,095 bytes', async () => {
    const device = new MemoryDevice()
    const system = await fresh(device)
    const { ino } = await system.symlink(ROOT_INO, 'long', '\xfe'.repeat(4095), OWNER)
    assert.throws(() => system.symlink(ROOT_INO, 'longer', 'x'.repeat(4096), OWNER), { code: 'ENAMETOOLONG' })
    assert.equal((await FileSystem.attach(device, { now })).readlink(ino), '\xfe'.repeat(4095))
  })

  it('lead up and down', async () => {
    const system = await fresh(new MemoryDevice())
    const outer = await system.mkdir(ROOT_INO, 'outer', 0o700, OWNER)
    const inner = await system.mkdir(outer.ino, 'inner', 0o700, OWNER)
    assert.equal(system.lookup(inner.ino, '..').ino, outer.ino)
    assert.equal(system.lookup(inner.ino, '.').ino, inner.ino)
    assert.equal(system.lookup(ROOT_INO, '..').ino, ROOT_INO)
    assert.equal(system.getattr(ROOT_INO).links, 3)
    await system.rename(outer.ino, 'inner', ROOT_INO, 'moved')
    assert.equal(system.lookup(inner.ino, '..').ino, ROOT_INO)
    assert.deepEqual([system.getattr(ROOT_INO).links, system.getattr(outer.ino).links], [4, 2])
    assert.throws(() => system.rename(ROOT_INO, 'outer', outer.ino, 'self'), { code: 'EINVAL' })
  })
})

describe('a directory of 100,000 files', () => {
  it('is made, listed while it changes, found again and emptied', async () => {
    const device = new MemoryDevice()
    const system = await fresh(device)
    const count = 100_000
    for (let i = 0; i < count; i++) await system.mknod(ROOT_INO, `file-${i}`, FileType.REGULAR | 0o600, OWNER)
    const again = await FileSystem.attach(device, { now })
    assert.equal(again.lookup(ROOT_INO, 'file-77777').mode, FileType.REGULAR | 0o600)
    const free = again.statfs().blocksFree
    const seen = new Set<string>()
    let cookie = 2
    for (;;) {
      const entries = again.readdir(ROOT_INO, cookie, 100)
      for (const { name } of entries) {
        assert.ok(!seen.has(name))
        seen.add(name)
        if (Number(name.slice(5)) % 2 === 0) await again.unlink(ROOT_INO, name)
      }
      cookie = entries.at(-1)?.cookie ?? 0
      if (entries.length < 100) break
    }
    assert.equal(seen.size, count)
    assert.deepEqual(again.check(), [])
    // Another attach goes on where the last one was in the listing.
    const third = await FileSystem.attach(device, { now })
    const half = third.readdir(ROOT_INO, 2, 25_000)
    const fourth = await FileSystem.attach(device, { now })
    const rest = fourth.readdir(ROOT_INO, half.at(-1)?.cookie ?? 0, count)
    assert.equal(new Set([...half, ...rest].map(({ name }) => name)).size, count / 2)
    assert.equal(fourth.statfs().blocksFree, free)
  })
})

describe('a device that is full', () => {
  it('says so, changes nothing, and has all its room again when files are gone', async () => {
    const device = new MemoryDevice()
    const system = await fresh(device, 40 * CHUNK)
    const { ino: file } = await system.create(ROOT_INO, 'f', 0o600, OWNER)
    const { ino: other } = await system.create(ROOT_INO, 'g', 0o600, OWNER)
    const free = system.statfs().blocksFree
    let size = 0
    const fill = async (): Promise<void> => {
      for (; ; size += CHUNK) await system.write(file, size, Buffer.alloc(CHUNK, 1))
    }
    await assert.rejects(fill, { code: 'ENOSPC', errno: 28 })
    assert.ok(size > 30 * CHUNK)
    assert.equal(system.getattr(file).size, size)
    assert.throws(() => system.write(other, 0, Buffer.alloc(1, 1)), { code: 'ENOSPC' })
    assert.throws(() => system.fallocate(other, 'allocate', 0, CHUNK), { code: 'ENOSPC' })
    assert.deepEqual(system.check(), [])
    // Files without content need no more than what the tables have.
    await system.mknod(ROOT_INO, 'h', FileType.REGULAR | 0o600, OWNER)
    await system.setattr(file, { size: 5 })
    await system.write(other, 0, Buffer.alloc(CHUNK, 1))
    for (const name of ['f', 'g']) await system.unlink(ROOT_INO, name)
    for (const ino of [file, other]) await system.release(ino)
    assert.equal(system.statfs().blocksFree, free)
    assert.deepEqual(system.check(), [])
  })

  it('of names takes no more of them, and is emptied', async () => {
    const device = new MemoryDevice()
    const system = await fresh(device, 8 * CHUNK)
    const names: string[] = []
    const fill = async (): Promise<void> => {
      for (;;) {
        const name = `${names.length}-`.padEnd(255, 'n')
        await system.mkdir(ROOT_INO, name, 0o700, OWNER)
        names.push(name)
      }
    }
    await assert.rejects(fill, { code: 'ENOSPC' })
    assert.ok(names.length > 300)
    assert.deepEqual(system.check(), [])
    const again = await FileSystem.attach(device, { now })
    for (const name of names) await again.rmdir(ROOT_INO, name)
    assert.equal(await describeTree(again), await describeTree(await fresh(new MemoryDevice())))
    assert.deepEqual(again.check(), [])
  })
})

describe('limits', () => {
  it('of sizes', async () => {
    const system = await fresh(new MemoryDevice())
    const { ino: file } = await system.create(ROOT_INO, 'f', 0o600, OWNER)
    await system.setattr(file, { size: FILE_BYTES_MAX })
    assert.throws(() => system.setattr(file, { size: FILE_BYTES_MAX + 1 }), { code: 'EFBIG', errno: 27 })
    assert.throws(() => system.write(file, FILE_BYTES_MAX, Buffer.alloc(1)), { code: 'EFBIG' })
    assert.throws(() => system.write(file, -1, Buffer.alloc(1)), { code: 'EINVAL' })
    await system.write(file, FILE_BYTES_MAX - 1, Buffer.from('x'))
    assert.equal(Buffer.from(await system.read(file, FILE_BYTES_MAX - 1, 99)).toString(), 'x')
    assert.equal((await system.read(file, FILE_BYTES_MAX + 5, 99)).length, 0)
    assert.equal(system.statfs().blocks * 8192, 2 ** 47)
  })

  it('of links', async () => {
    const system = await fresh(new MemoryDevice())
    const file = await system.mknod(ROOT_INO, 'f', FileType.FIFO | 0o600, OWNER)
    for (let i = 1; i < LINKS_MAX; i++) await system.link(file.ino, ROOT_INO, `l${i}`)
    assert.throws(() => system.link(file.ino, ROOT_INO, 'more'), { code: 'EMLINK', errno: 31 })
    assert.throws(() => system.link(ROOT_INO, ROOT_INO, 'root'), { code: 'EPERM' })
  })

  it('of what is no regular file', async () => {
    const system = await fresh(new MemoryDevice())
    const fifo = await system.mknod(ROOT_INO, 'fifo', FileType.FIFO | 0o600, OWNER)
    const link = await system.symlink(ROOT_INO, 'link', 'fifo', OWNER)
    assert.throws(() => system.write(fifo.ino, 0, Buffer.alloc(1)), { code: 'EINVAL' })
    assert.throws(() => system.write(ROOT_INO, 0, Buffer.alloc(1)), { code: 'EISDIR' })
    assert.throws(() => system.setattr(ROOT_INO, { size: 0 }), { code: 'EISDIR' })
    assert.throws(() => system.open(link.ino), { code: 'ELOOP' })
    assert.throws(() => system.readdir(fifo.ino, 0, 1), { code: 'ENOTDIR' })
    assert.throws(() => system.lookup(fifo.ino, 'x'), { code: 'ENOTDIR' })
    assert.throws(() => system.readlink(fifo.ino), { code: 'EINVAL' })
    assert.throws(() => system.getattr(999 as Ino), { code: 'ENOENT' })
    assert.throws(() => system.mknod(ROOT_INO, 'd', FileType.DIRECTORY | 0o700, OWNER), { code: 'EINVAL' })
  })

  it('of devices', async () => {
    const capacityBytes = 2 ** 30
    await assert.rejects(FileSystem.attach(new MemoryDevice(), { now }), { code: 'EINVAL' })
    await assert.rejects(FileSystem.format(new MemoryDevice(4096), { now, capacityBytes }), { code: 'EINVAL' })
    await assert.rejects(FileSystem.format(new MemoryDevice(), { now, capacityBytes: CHUNK }), { code: 'EINVAL' })
    const device = new MemoryDevice()
    await FileSystem.format(device, { now, capacityBytes })
    await assert.rejects(FileSystem.format(device, { now, capacityBytes }), { code: 'EEXIST' })
  })
})

describe('a read-only device', () => {
  it('shows everything and changes nothing', async () => {
    const device = new MemoryDevice()
    const writer = await fresh(device)
    const { ino: file } = await writer.create(ROOT_INO, 'f', 0o600, OWNER)
    await writer.write(file, 0, Buffer.alloc(10_000, 1))
    await writer.mkdir(ROOT_INO, 'd', 0o700, OWNER)
    device.readOnly = true
    const before = device.blocks.size
    const system = await FileSystem.attach(device, { now })
    assert.equal(system.readOnly, true)
    assert.equal(await describeTree(system), await describeTree(writer))
    for (const change of [
      () => system.write(file, 0, Buffer.alloc(1)),
      () => system.setattr(file, { size: 1 }),
      () => system.setattr(file, { mode: 0 }),
      () => system.fallocate(file, 'allocate', 0, 1),
      () => system.create(ROOT_INO, 'g', 0o600, OWNER),
      () => system.mkdir(ROOT_INO, 'g', 0o600, OWNER),
      () => system.symlink(ROOT_INO, 'g', 'f', OWNER),
      () => system.link(file, ROOT_INO, 'g'),
      () => system.unlink(ROOT_INO, 'f'),
      () => system.rmdir(ROOT_INO, 'd'),
      () => system.rename(ROOT_INO, 'f', ROOT_INO, 'g'),
      () => system.open(file, true),
    ]) {
      assert.throws(change, { code: 'EROFS', errno: 30 })
    }
    await system.open(file)
    await system.release(file)
    await system.fsync()
    assert.equal(device.blocks.size, before)
  })
})
