import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CrashDisk, PAGE, PowerLoss, randomOf } from '../../test/crash-disk.ts'
import { entryOf, OPTIONS, openLog, PAGES_OF_FILE } from '../../test/hot-log-life.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { Damage, HotLog, LogPosition } from './hot-log.ts'

interface Place {
  readonly path: string
  readonly page: number
}

/** A log with known contents: append i is the batch with sequence i + 1, and is one entry with number i. */
class Known {
  readonly disk = new CrashDisk(1)
  readonly log: HotLog
  readonly positions: LogPosition[] = []
  /** The pages of each append. */
  readonly places: Place[][] = []
  readonly #random: () => number

  /** Two released files become spares that still hold pages of their former life. */
  constructor(seed: number) {
    this.#random = randomOf(seed)
    this.log = openLog(this.disk).log
    this.disk.reroute = (path, page) => this.#written({ path, page })
    while (this.log.currentFile < 3) this.append()
    this.log.release(3)
    this.disk.reroute = (path, page) => this.#written({ path, page })
  }

  #written(place: Place): Place {
    this.places.at(-1)?.push(place)
    return place
  }

  below(n: number): number {
    return Math.floor(this.#random() * n)
  }

  /** One to three pages, or what is given. */
  append(length = this.below(3 * PAGE - 200)): void {
    this.places.push([])
    this.positions.push(this.log.append([entryOf(this.places.length - 1, length)])[0] as LogPosition)
  }

  appends(count: number): void {
    for (let i = 0; i < count; i++) this.append()
  }

  /** Appends whose pages are still there. */
  kept(): number[] {
    return this.positions.flatMap(({ file }, i) => (file >= this.log.oldestFile ? [i] : []))
  }

  anyPlace(): Place {
    const names = this.disk.list('log')
    return { path: `log/${names[this.below(names.length)]}`, page: this.below(PAGES_OF_FILE) }
  }

  /** Opens the log, and checks that what is not replayed is reported, and that all else is replayed in order. */
  opened(): { damage: readonly Damage[]; lost: number[]; log: HotLog } {
    const { log, damage, entries } = openLog(this.disk)
    const replayed = entries.map(({ id }) => id)
    const lost = this.kept().filter((id) => !replayed.includes(id))
    assert.deepEqual(
      replayed,
      this.kept().filter((id) => !lost.includes(id)),
    )
    for (const id of lost) {
      assert.ok(
        damage.some(({ firstSequence, lastSequence }) => firstSequence <= id + 1 && id + 1 <= lastSequence),
        `append ${id} is lost and not reported`,
      )
    }
    return { damage, lost, log }
  }
}

const samePlace = (a: Place, b: Place): boolean => a.path === b.path && a.page === b.page

describe('a rotten page is reported', () => {
  it('whichever it is of those that hold entries, and the rest is replayed', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const known = new Known(seed)
        known.appends(8)
        for (const id of known.kept()) {
          for (const { path, page } of known.places[id] as Place[]) {
            const offset = page * PAGE + known.below(PAGE)
            const bit = known.below(8)
            known.disk.flip(path, offset, bit)
            const { damage, lost } = known.opened()
            assert.deepEqual(lost, [id])
            assert.equal(damage.length, 1)
            assert.ok(damage[0]?.pages.some((found) => found.page === page && found.problem === 'rot'))
            const position = known.positions[id] as LogPosition
            assert.throws(
              () => known.log.read(position),
              (error) => error instanceof VolumeError && error.code === 'Corrupt',
            )
            known.disk.flip(path, offset, bit)
          }
        }
        assert.deepEqual(known.opened().damage, [])
      }),
      { numRuns: 40 },
    )
  })

  it('at the end, every time until its file is released, while the log goes on behind it', () => {
    const known = new Known(3)
    known.appends(3)
    const { path, page } = known.places.at(-1)?.[0] ?? assert.fail()
    known.disk.flip(path, page * PAGE + 40)
    assert.equal(known.opened().damage.length, 1)
    const { damage, log } = known.opened()
    assert.equal(damage.length, 1)
    const last = known.places.length - 1
    log.append([entryOf(100, 10)])
    const again = openLog(known.disk)
    assert.deepEqual(again.entries.map(({ id }) => id).slice(-2), [last - 1, 100])
    again.log.append([entryOf(101, 10)])
    assert.deepEqual(
      openLog(known.disk)
        .entries.map(({ id }) => id)
        .slice(-3),
      [last - 1, 100, 101],
    )
  })

  it('not where it held nothing: behind the last batch of a file that another follows', () => {
    const known = new Known(4)
    known.append(4 * PAGE)
    known.append(6 * PAGE)
    known.append(6 * PAGE)
    const { path, page } = known.places.at(-2)?.at(-1) ?? assert.fail()
    known.disk.flip(path, (page + 1) * PAGE + 9)
    assert.deepEqual(known.opened().damage, [])
  })
})

describe('a write that went astray is reported', () => {
  it('wherever it landed, at the end as well as in the middle', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(6), (seed, later) => {
        const known = new Known(seed)
        known.appends(5)
        known.log.prepare()
        const victim = known.below(2)
        const own: Place[] = []
        let landed: Place | undefined
        known.disk.reroute = (path, page) => {
          own.push({ path, page })
          known.places.at(-1)?.push({ path, page })
          if (own.length !== victim + 1) return { path, page }
          do landed = known.anyPlace()
          while (landed.path === path && landed.page >= page - victim && landed.page < page + 3)
          return landed
        }
        known.append(2 * PAGE - 200)
        const id = known.places.length - 1
        known.disk.reroute = (path, page) => {
          known.places.at(-1)?.push({ path, page })
          return { path, page }
        }
        known.appends(later)
        const { lost, damage } = known.opened()
        assert.ok(lost.includes(id))
        const overwritten = known
          .kept()
          .filter((i) => i < id && known.places[i]?.some((place) => samePlace(place, landed as Place)))
        assert.deepEqual(lost, [...overwritten, id])
        assert.ok(
          overwritten.length === 0 || damage.some(({ pages }) => pages.some(({ problem }) => problem === 'misplaced')),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('when it is of another node', () => {
    const known = new Known(5)
    known.appends(4)
    const foreign = new CrashDisk(2)
    openLog(foreign, { ...OPTIONS, nodeTag: 1 }).log.append([entryOf(0, 10)])
    const page = foreign.bytesOf(`log/${foreign.list('log')[0]}`).subarray(0, PAGE)
    const last = known.places.at(-1)?.[0] ?? assert.fail()
    const bytes = known.disk.bytesOf(last.path)
    bytes.set(page, last.page * PAGE)
    known.disk.plant(last.path, bytes)
    assert.deepEqual(known.opened().lost, [known.places.length - 1])
  })
})

describe('a write that never arrived is reported', () => {
  it('when anything was written after it, even if that was torn', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(2), fc.boolean(), (seed, later, torn) => {
        const known = new Known(seed)
        known.appends(3)
        const { reroute } = known.disk
        known.disk.reroute = (path, page) => {
          known.places.at(-1)?.push({ path, page })
          return undefined
        }
        known.append()
        const id = known.places.length - 1
        known.disk.reroute = reroute
        known.appends(later)
        if (torn) tear(known)
        if (torn || later > 0) assert.deepEqual(known.opened().lost, [id])
      }),
      { numRuns: 300 },
    )
  })

  it('when it was the last of a file and the power went before the next file held anything', () => {
    const disk = new CrashDisk(1)
    const { log } = openLog(disk)
    log.append([entryOf(0, 4 * PAGE)])
    disk.reroute = () => undefined
    log.append([entryOf(1, PAGE)])
    log.append([entryOf(2, 4 * PAGE)])
    assert.equal(log.currentFile, 2)
    const { damage, entries } = openLog(disk)
    assert.deepEqual(
      entries.map(({ id }) => id),
      [0],
    )
    assert.deepEqual(damage, [{ firstSequence: 2, lastSequence: 2, pages: [] }])
  })

  it('when it was a whole file', () => {
    const known = new Known(6)
    known.appends(12)
    const [, second] = known.disk.list('log')
    const gone = known.kept().filter((id) => known.places[id]?.[0]?.path === `log/${second}`)
    known.disk.remove(`log/${second}`)
    assert.ok(gone.length > 0)
    assert.deepEqual(known.opened().lost, gone)
  })
})

/** A batch of two pages or three of which one alone arrives before the power goes; a file may begin with it. */
function tear(known: Known): void {
  let pages = 0
  known.disk.reroute = (path, page) => (pages++ === 1 ? { path, page } : undefined)
  known.places.push([])
  known.log.append([entryOf(1000, 2 * PAGE)])
  known.places.pop()
}

describe('a torn tail is not reported', () => {
  it('whatever remains of it, and what comes later cannot be mixed with it', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 6 }),
        (seed, tears) => {
          const disk = new CrashDisk(seed)
          const expected: number[] = []
          for (const remains of tears) {
            const opened = openLog(disk)
            assert.deepEqual(opened.damage, [])
            assert.deepEqual(
              opened.entries.map(({ id }) => id),
              expected,
            )
            if (remains % 2 === 1) {
              opened.log.append([entryOf(expected.length, 10)])
              expected.push(expected.length)
            }
            let index = 0
            // Of three pages any but all.
            disk.reroute = (path, page) => (remains < 7 && (remains >> index++) & 1 ? { path, page } : undefined)
            opened.log.append([entryOf(999, 3 * PAGE - 200)])
            disk.reroute = undefined
          }
          const { damage, entries } = openLog(disk)
          assert.deepEqual(damage, [])
          assert.equal(entries.length, expected.length)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('when the power goes in the middle of the first batch ever', () => {
    for (let seed = 0; seed < 20; seed++) {
      const disk = new CrashDisk(seed)
      const { log } = openLog(disk)
      log.prepare()
      disk.crashAt = disk.operations + 2
      assert.throws(() => log.append([entryOf(1, 5 * PAGE)]), PowerLoss)
      disk.restart()
      const { damage, entries } = openLog(disk)
      assert.deepEqual([damage, entries], [[], []])
    }
  })
})
