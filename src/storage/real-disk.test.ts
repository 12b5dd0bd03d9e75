import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { VolumeError } from '../protocol/errors.ts'
import { alignedBuffer, DISK_ALIGNMENT } from './aligned.ts'
import { RealDisk } from './real-disk.ts'
import { diskFailure, RealFile } from './real-file.ts'

const code = (expected: string, message?: RegExp) => (error: unknown) => {
  assert(error instanceof VolumeError, String(error))
  assert.equal(error.code, expected)
  if (message !== undefined) assert.match(error.message, message)
  return true
}

const page = (fill: number, pages = 1): Uint8Array => alignedBuffer(pages * DISK_ALIGNMENT).fill(fill)

const places = [
  { name: 'a disk', folder: tmpdir() },
  { name: 'memory (tmpfs)', folder: '/dev/shm' },
].filter(({ folder }) => existsSync(folder))

for (const place of places) {
  describe(`a real disk on ${place.name}`, () => {
    let root = ''
    let disk: RealDisk
    before(() => {
      root = mkdtempSync(join(place.folder, 'borealis-disk-'))
      disk = RealDisk.open(join(root, 'deep', 'node'))
    })
    after(() => {
      disk.close()
      rmSync(root, { recursive: true })
    })

    it('reads what was written, plainly and durably, each through the other', () => {
      const file = disk.create('mixed')
      file.allocate(64 * DISK_ALIGNMENT)
      assert.equal(file.size(), 64 * DISK_ALIGNMENT)
      for (let round = 1; round <= 50; round++) {
        const at = (round % 8) * DISK_ALIGNMENT
        file.write(at, new Uint8Array(2 * DISK_ALIGNMENT).fill(100 + round))
        file.writeDurable(at, page(round))
        const both = file.read(at, 2 * DISK_ALIGNMENT)
        assert.deepEqual([both[0], both[DISK_ALIGNMENT - 1]], [round, round])
        assert.deepEqual([both[DISK_ALIGNMENT], both.at(-1)], [100 + round, 100 + round])
        file.write(at + 100, Uint8Array.of(7))
        assert.equal(file.read(at + 100, 1)[0], 7)
      }
      file.sync()
      file.close()
      const whole = readFileSync(join(disk.folder, 'mixed'))
      assert.equal(whole.length, 64 * DISK_ALIGNMENT)
      assert.equal(whole[2 * DISK_ALIGNMENT + 100], 7)
    })

    it('zeroes what it allocates', () => {
      const file = disk.create('zeroed')
      file.write(0, new Uint8Array(5000).fill(9))
      file.allocate((1 << 20) + 4096)
      assert.equal(
        file.read(0, file.size()).every((byte) => byte === 0),
        true,
      )
      file.close()
    })

    it('writes durably past the end and to a renamed file', () => {
      const file = disk.create('before')
      disk.rename('before', 'after')
      file.writeDurable(DISK_ALIGNMENT, page(3, 2))
      assert.equal(file.size(), 3 * DISK_ALIGNMENT)
      assert.equal(disk.exists('before'), false)
      assert.equal(statSync(join(disk.folder, 'after')).size, 3 * DISK_ALIGNMENT)
      disk.remove('after')
      assert.equal(file.read(DISK_ALIGNMENT, 1)[0], 3)
      file.close()
    })

    it('refuses durable writes that are not aligned', () => {
      const file = disk.create('unaligned')
      assert.throws(() => file.writeDurable(512, page(1)), code('Invariant'))
      assert.throws(() => file.writeDurable(0, page(1).subarray(0, 100)), code('Invariant'))
      assert.throws(() => file.writeDurable(0, new Uint8Array(DISK_ALIGNMENT)), code('Invariant'))
      file.close()
    })

    it('says Corrupt when a file ends before what is read', () => {
      const file = disk.create('short')
      file.write(0, new Uint8Array(10))
      assert.throws(() => file.read(5, 6), code('Corrupt'))
      assert.equal(file.read(5, 5).length, 5)
      file.close()
    })

    it('keeps folders', () => {
      assert.deepEqual(disk.list('layers'), [])
      disk.makeFolder('layers/a')
      disk.makeFolder('layers/a')
      disk.create('layers/b').close()
      disk.create('layers/B').close()
      disk.syncFolder('layers')
      assert.deepEqual(disk.list('layers'), ['B', 'a', 'b'])
      disk.removeFolder('layers')
      disk.removeFolder('layers')
      disk.remove('layers/b')
      assert.equal(disk.exists('layers'), false)
      assert.equal(disk.list('').includes('.lock'), false)
      assert(disk.freeBytes() > 0)
    })

    it('opens only what is there, and only in its folder', () => {
      assert.throws(() => disk.open('missing'), code('NotFound'))
      assert.throws(() => disk.rename('missing', 'x'), code('NotFound'))
      assert.throws(() => disk.open('../escape'), code('BadRequest'))
      assert.throws(() => disk.open('/etc/passwd'), code('BadRequest'))
    })

    it('is open once: here', () => {
      assert.throws(() => RealDisk.open(disk.folder), code('AlreadyExists', new RegExp(`process ${process.pid}`)))
    })

    it('is open once: in another process, until that dies', async () => {
      const folder = join(root, 'other')
      const program = `
        const { RealDisk } = await import(${JSON.stringify(new URL('./real-disk.ts', import.meta.url).href)})
        RealDisk.open(${JSON.stringify(folder)}); console.log('open'); setInterval(() => {}, 1000)`
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let complaints = ''
      child.stderr.on('data', (chunk) => {
        complaints += chunk
      })
      await new Promise((resolve) => child.stdout.once('data', resolve))
      assert.throws(() => RealDisk.open(folder), code('AlreadyExists', new RegExp(`process ${child.pid}`)))
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
      RealDisk.open(folder).close()
      assert.equal(complaints, '', 'and node:ffi does not warn')
    })
  })
}

describe('failures of the system in our words', () => {
  const cases = { ENOSPC: 'DiskFull', EDQUOT: 'DiskFull', ENOENT: 'NotFound', EIO: 'Corrupt' }
  for (const [system, ours] of Object.entries(cases)) {
    it(`${system} is ${ours}`, () => {
      const error = diskFailure('x', Object.assign(new Error(system), { code: system }))
      assert(error instanceof VolumeError)
      assert.equal(error.code, ours)
    })
  }

  it('a full disk, for every way to write', () => {
    const full = new RealFile('full', openSync('/dev/full', 'r+'))
    assert.throws(() => full.write(0, new Uint8Array(10)), code('DiskFull'))
    assert.throws(() => full.allocate(4096), code('DiskFull'))
    assert.throws(() => full.writeDurable(0, page(1)), code('DiskFull'))
    full.close()
  })

  it('what we have no word for stays as it is', () => {
    const error = Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
    assert.equal(diskFailure('x', error), error)
  })
})
