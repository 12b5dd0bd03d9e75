import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { CrashDisk, PAGE } from '../../test/crash-disk.ts'
import {
  entryOf,
  FIXTURE_OPTIONS,
  fixtureLog,
  idOf,
  Life,
  OPTIONS,
  openLog,
  PAGES_OF_FILE,
} from '../../test/hot-log-life.ts'
import { VolumeError } from '../protocol/errors.ts'
import { HotLog } from './hot-log.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code

describe('what append returned from is replayed exactly once, in order', () => {
  it('after a clean end, over many files, with releases', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const life = new Life(seed)
        for (let i = 0; i < 4; i++) {
          life.run(15)
          life.reopen()
        }
      }),
      { numRuns: 60 },
    )
  })

  it('after a loss of power at every operation of a life, and again at any operation of the next ones', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const whole = new Life(seed)
        whole.run(12)
        for (let crashAt = 0; crashAt < whole.disk.operations; crashAt++) {
          const life = new Life(seed)
          life.disk.crashAt = Math.max(crashAt, life.disk.operations)
          let random = crashAt
          for (let next = 0; next < 4; next++) {
            if (!life.run(12)) life.disk.restart()
            life.reopen()
            random = Math.imul(random + seed, 0x9e3779b1) >>> 0
            life.disk.crashAt = life.disk.operations + (random % 12)
          }
        }
      }),
      { numRuns: 40 },
    )
  })

  it('after the process was killed, and again after a loss of power once that was replayed', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(60), (seed, crashAt) => {
        const life = new Life(seed)
        life.disk.crashAt = life.disk.operations + crashAt
        if (!life.run(40)) life.disk.revive()
        life.reopen()
        life.disk.restart()
        life.reopen()
        life.run(10)
        life.reopen()
      }),
      { numRuns: 300 },
    )
  })

  it('after losses of power one upon the other, before anything could be appended', () => {
    const life = new Life(7)
    life.run(20)
    for (let i = 0; i < 200; i++) {
      life.disk.crashAt = life.disk.operations + (i % 2)
      life.run(2)
      life.disk.restart()
      life.reopen()
    }
  })
})

describe('a log of which only the files from one on are needed', () => {
  const written = (): { disk: CrashDisk; ids: number[] } => {
    const disk = new CrashDisk(1)
    const { log } = openLog(disk)
    const positions = Array.from({ length: 30 }, (_, i) => log.append([entryOf(i, 900)])[0])
    return { disk, ids: positions.flatMap((position, i) => (position !== undefined && position.file >= 3 ? [i] : [])) }
  }

  it('is replayed from there; what lies below is neither looked at nor gone', () => {
    const { disk, ids } = written()
    const first = disk.list('log').find((name) => name.startsWith('00000001')) as string
    disk.plant(`log/${first}`, new Uint8Array(PAGES_OF_FILE * PAGE).fill(7))
    const { log, damage, entries } = openLog(disk, { ...OPTIONS, fromFile: 3 })
    assert.deepEqual(damage, [])
    assert.deepEqual(
      entries.map(({ id }) => id),
      ids,
    )
    assert.equal(log.oldestFile, 1)
    const [position] = log.append([entryOf(99, 10)])
    assert.ok(position !== undefined)
    assert.equal(openLog(disk, { ...OPTIONS, fromFile: 3 }).entries.at(-1)?.id, 99)
    log.release(3)
    assert.equal(log.oldestFile, 3)
  })

  it('is damaged when that file is not there', () => {
    const { disk } = written()
    const last = openLog(disk).log.currentFile
    const { log, damage } = openLog(disk, { ...OPTIONS, fromFile: last + 1 })
    assert.equal(damage.length, 1)
    assert.equal(log.currentFile, last)
  })
})

describe('an append', () => {
  it('larger than a file goes into several, and an entry larger than a file is refused', () => {
    const disk = new CrashDisk(1)
    const { log } = openLog(disk)
    const entries = Array.from({ length: 30 }, (_, i) => entryOf(i, 900))
    log.append(entries)
    assert.equal(log.currentFile, 8)
    assert.deepEqual(
      openLog(disk).entries.map(({ id }) => id),
      entries.map((_, i) => i),
    )
    log.append([[new Uint8Array(log.entryBytesMax)]])
    assert.throws(() => log.append([[new Uint8Array(log.entryBytesMax + 1)]]), hasCode('BadRequest'))
  })

  it('writes a batch larger than the buffer in several writes', () => {
    const disk = new CrashDisk(1)
    const fileBytes = 4 << 20
    const { log } = openLog(disk, { ...OPTIONS, fileBytes })
    const [position] = log.append([entryOf(2, 3 << 20)])
    assert.ok(position !== undefined)
    assert.equal(idOf(log.read(position)), 2)
    assert.deepEqual(openLog(disk, { ...OPTIONS, fileBytes }).entries, [{ id: 2, position }])
  })

  it('takes entries whose length or first byte falls on the border of two pages', () => {
    const payload = PAGE - 32
    for (let first = payload - 12; first <= payload + 4; first++) {
      const disk = new CrashDisk(1)
      const { log } = openLog(disk)
      const positions = log.append([entryOf(0, first), entryOf(2, 5), entryOf(4, 2 * payload - 4), entryOf(6, 4)])
      assert.deepEqual(
        openLog(disk).entries,
        positions.map((position, i) => ({ id: 2 * i, position })),
      )
      positions.forEach((position, i) => {
        assert.equal(idOf(log.read(position)), 2 * i)
      })
    }
  })

  it('takes empty entries and empty lists', () => {
    const { log } = openLog(new CrashDisk(1))
    assert.deepEqual(log.append([]), [])
    const [position] = log.append([[]])
    assert.ok(position !== undefined)
    assert.equal(log.read(position).length, 0)
  })
})

describe('a full disk', () => {
  it('refuses an append before anything is written, and the log goes on when there is room', () => {
    for (const limit of ['log', 'disk'] as const) {
      const disk = new CrashDisk(1)
      const capacity = 3 * PAGES_OF_FILE * PAGE
      if (limit === 'disk') disk.capacityBytes = capacity
      const options = limit === 'log' ? { ...OPTIONS, capacityBytes: capacity } : OPTIONS
      const { log } = openLog(disk, options)
      for (let id = 0; id < 3; id++) log.append([entryOf(id, 7 * PAGE - 300)])
      const before = openLog(disk, options).entries
      assert.throws(() => log.append([entryOf(3, 20), entryOf(4, 3 * PAGE)]), hasCode('DiskFull'))
      assert.throws(() => log.prepare(), hasCode('DiskFull'))
      assert.deepEqual(openLog(disk, options).entries, before)
      log.append([entryOf(5, 20)])
      log.release(2)
      log.append([entryOf(6, 3 * PAGE)])
      assert.deepEqual(
        openLog(disk, options).entries.map(({ id }) => id),
        [1, 2, 5, 6],
      )
    }
  })
})

describe('released files', () => {
  it('are kept for reuse up to a limit, and their entries cannot be read', () => {
    const disk = new CrashDisk(1)
    const { log } = openLog(disk)
    const positions = Array.from({ length: 6 }, (_, id) => log.append([entryOf(id, 7 * PAGE)])[0])
    assert.deepEqual([log.oldestFile, log.currentFile, log.bytes], [1, 6, 6 * PAGES_OF_FILE * PAGE])
    log.release(100)
    assert.deepEqual([log.oldestFile, log.currentFile], [6, 6])
    assert.deepEqual(disk.list('log'), ['00000006-0005-000000000005.pages', 'spare-0000.pages', 'spare-0001.pages'])
    assert.throws(() => log.read(positions[0] as NonNullable<(typeof positions)[0]>), hasCode('NotFound'))
    assert.equal(idOf(log.read(positions[5] as NonNullable<(typeof positions)[0]>)), 5)
  })

  it('are made ahead by prepare', () => {
    const disk = new CrashDisk(1)
    const { log } = openLog(disk)
    log.prepare()
    log.prepare()
    assert.deepEqual(disk.list('log'), ['spare-0000.pages'])
  })
})

describe('the log after a failed write', () => {
  it('takes nothing until it is opened again', () => {
    const disk = new CrashDisk(1)
    const { log } = openLog(disk)
    log.append([entryOf(0, 10)])
    disk.crashAt = disk.operations
    assert.throws(() => log.append([entryOf(1, 10)]))
    disk.restart()
    assert.throws(() => log.append([entryOf(2, 10)]), hasCode('Closed'))
    const again = openLog(disk)
    again.log.close()
    assert.throws(() => again.log.append([entryOf(2, 10)]), hasCode('Closed'))
  })
})

describe('format 1', () => {
  const folderOf = (version: number) => new URL(`../../test/fixtures/hot-log-v${version}/`, import.meta.url)
  const planted = (version = 2): CrashDisk => {
    const disk = new CrashDisk(1)
    const folder = folderOf(version)
    for (const name of readdirSync(folder)) disk.plant(`log/${name}`, readFileSync(new URL(name, folder)))
    return disk
  }
  const options = FIXTURE_OPTIONS

  for (const version of [1, 2]) {
    it(`of version ${version} is read: two files, the first a recycled one, a torn batch in the second, and a spare`, () => {
      const { log, damage, entries } = openLog(planted(version), options)
      assert.deepEqual(damage, [])
      assert.deepEqual(
        entries.map(({ id }) => id),
        [2, 3, 4, 5, 8],
      )
      assert.deepEqual([log.oldestFile, log.currentFile], [3, 4])
    })
  }

  it('is what is written', () => {
    const written = fixtureLog()
    assert.deepEqual(written.list('log'), planted().list('log'))
    for (const name of written.list('log')) {
      assert.deepEqual(written.bytesOf(`log/${name}`), planted().bytesOf(`log/${name}`))
    }
  })

  it('refuses a newer version', () => {
    const disk = new CrashDisk(1)
    const page = Buffer.alloc(PAGE)
    page[4] = 3
    page.writeUInt32LE(crc32(page.subarray(4)), 0)
    disk.plant('log/00000001-0000-000000000000.pages', Buffer.concat([page, Buffer.alloc(3 * PAGE)]))
    assert.throws(() => openLog(disk, options), hasCode('UnsupportedFormat'))
  })

  it('refuses a file of another size', () => {
    assert.throws(() => HotLog.open(planted(), OPTIONS, () => {}), hasCode('Corrupt'))
  })
})
