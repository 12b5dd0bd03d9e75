import { equal, ok, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { VolumeError } from '../../protocol/errors.ts'
import { lsn } from '../../protocol/lsn.ts'
import { Compaction } from './compaction.ts'
import { flush } from './flush.ts'
import type { ParentRead } from './read-block.ts'
import { BLOCKS, Dice, Workload, type WorkloadSetting } from './test/workload.ts'

/** A workload with its compaction, and what of its history must stay readable. */
class Compacted extends Workload {
  compaction: Compaction
  cutoff = 0
  pins: number[] = []

  constructor(setting: WorkloadSetting = {}) {
    super(setting)
    this.compaction = this.#begin()
  }

  #begin(): Compaction {
    const compaction = new Compaction({ layers: this.layers, parentRead: this.parentRead, minGarbageBytes: 64 })
    compaction.setGrant({ cutoff: lsn(this.cutoff), pins: this.pins.map(lsn) })
    return compaction
  }

  override restart(): void {
    super.restart()
    this.compaction = this.#begin()
  }

  grant(dice: Dice): void {
    if (this.points.length === 0) return
    const point = this.points[dice.below(this.points.length)]!
    if (point >= this.cutoff && dice.below(2) === 0) this.pins.push(point)
    else if (this.pins.length > 0 && dice.below(3) === 0) this.pins.splice(dice.below(this.pins.length), 1)
    const next = this.points[dice.below(this.points.length)]!
    if (next > this.cutoff) this.cutoff = next
    this.compaction.setGrant({ cutoff: lsn(this.cutoff), pins: this.pins.map(lsn) })
  }

  /** Runs jobs until none is left; answers how many. */
  compact(jobsMax = 1000): number {
    for (let jobs = 0; jobs < jobsMax; jobs++) {
      const edit = Workload.run(this.compaction.runJob())
      if (edit === undefined) return jobs
      this.install(edit)
    }
    return jobsMax
  }

  retained(dice: Dice, count: number): number[] {
    const above = this.points.filter((p) => p >= this.cutoff)
    const some = Array.from({ length: count }, () => above[dice.below(above.length)]).filter((p) => p !== undefined)
    return [...some, this.cutoff, ...this.pins]
  }
}

type Step = 'write' | 'flush' | 'merge' | 'mergePart' | 'overlap' | 'grant' | 'coalesce' | 'restart'
const steps: fc.Arbitrary<Step> = fc.constantFrom<Step>(
  'write',
  'write',
  'write',
  'flush',
  'flush',
  'merge',
  'mergePart',
  'overlap',
  'grant',
  'grant',
  'coalesce',
  'restart',
)

function play(w: Compacted, dice: Dice, plan: readonly Step[]): void {
  for (const step of plan) {
    if (step === 'write') for (let i = dice.below(60); i >= 0; i--) w.write(dice)
    else if (step === 'flush') w.flush()
    else if (step === 'coalesce') w.coalesce()
    else if (step === 'merge') w.compact(1 + dice.below(6))
    else if (step === 'mergePart') {
      const edit = Workload.run(w.compaction.runJob(), dice.below(3))
      if (edit !== undefined) w.install(edit)
    } else if (step === 'overlap') {
      const job = w.compaction.runJob()
      let next = job.next()
      w.flush()
      while (!next.done) next = job.next()
      if (next.value !== undefined) w.install(next.value)
    } else if (step === 'grant') w.grant(dice)
    else {
      w.flush()
      w.restart()
    }
    w.checkAll(w.retained(dice, 1).slice(0, 3))
  }
  w.coalesce()
  w.flush()
  ok(w.compact() < 1000)
  w.checkAll(w.retained(dice, 6))
  equal(w.disk.files.size, new Set(w.layers.refs.map((ref) => ref.id)).size)
}

describe('compaction', () => {
  it('keeps all that is retained readable, in any order of work, restarts in the midst of merges included', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(steps, { minLength: 5, maxLength: 40 }), fc.boolean(), (seed, plan, small) => {
        play(new Compacted(small ? { layerBytes: 700 } : {}), new Dice(seed), plan)
      }),
      { numRuns: 150 },
    )
  })

  it('does the same for a branch, whose zeros hide what the parent has', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(steps, { minLength: 5, maxLength: 30 }), (seed, plan) => {
        const dice = new Dice(seed)
        const parent = new Compacted()
        for (let i = 0; i < 200; i++) parent.write(dice)
        parent.flush()
        const branched = parent.head
        const parentRead: ParentRead = (block, point) => parent.read(block, Math.min(point, branched))
        for (let i = 0; i < 50; i++) parent.write(dice)
        const child = new Compacted({ base: lsn(branched), parentRead })
        play(child, dice, plan)
        // The parent collects all but the pin of the branch; its trims may vanish, and the branch's deltas still apply.
        parent.cutoff = parent.head
        parent.compaction.setGrant({ cutoff: lsn(parent.head), pins: [lsn(branched)] })
        parent.flush()
        parent.compact()
        play(child, dice, plan)
      }),
      { numRuns: 60 },
    )
  })

  it('keeps the number of layers that a read may visit logarithmic in the number of flushes', () => {
    const w = new Compacted()
    const dice = new Dice(3)
    for (let round = 0; round < 300; round++) {
      for (let i = 0; i < 10; i++) w.write(dice)
      w.flush()
      w.compact()
      // Fewer than four layers of each level, and log4(300) < 5 levels.
      ok(w.layers.stackMax <= 15, `${w.layers.stackMax} layers after ${round} flushes`)
    }
    w.checkAll(w.retained(dice, 20))
  })

  it('writes each byte about once per level of merges', () => {
    const w = new Compacted()
    const dice = new Dice(3)
    let flushed = 0
    for (let round = 0; round < 64; round++) {
      for (let i = 0; i < 200; i++) w.write(dice)
      const before = w.disk.written
      w.flush()
      flushed += w.disk.written - before
      w.compact()
    }
    ok(w.disk.written / flushed < 4.5, `write amplification ${w.disk.written / flushed}`)
  })

  it('drops history: what stays is about the image and what the cutoff keeps', () => {
    const w = new Compacted({ layerBytes: 20_000 })
    const dice = new Dice(8)
    let flushed = 0
    for (let round = 0; round < 200; round++) {
      for (let i = 0; i < 60; i++) w.write(dice)
      const before = w.disk.written
      w.flush()
      flushed += w.disk.written - before
      w.cutoff = w.head
      w.compaction.setGrant({ cutoff: lsn(w.cutoff), pins: [] })
      w.compact()
    }
    const image = [...w.model.values()].filter((v) => v.at(-1)?.bytes !== undefined).length * (w.blockBytes + 36)
    const size = w.layers.fileBytes
    ok(size < image * 2.5 + 20_000, `${size} bytes for an image of ${image}`)
    ok(w.disk.written / flushed < 8, `write amplification ${w.disk.written / flushed}`)
    w.checkAll()
  })

  it('gives back the room of trimmed blocks', () => {
    const w = new Compacted()
    const dice = new Dice(1)
    for (let i = 0; i < 800; i++) w.write(dice)
    w.flush()
    w.cutoff = w.head
    w.compaction.setGrant({ cutoff: lsn(w.cutoff), pins: [] })
    w.compact()
    const before = w.layers.fileBytes
    w.trim(0, BLOCKS)
    w.flush()
    w.cutoff = w.head
    w.compaction.setGrant({ cutoff: lsn(w.cutoff), pins: [] })
    w.compact()
    ok(w.layers.fileBytes < before / 20, `${w.layers.fileBytes} of ${before} bytes`)
    w.checkAll()
  })

  it('takes a layer over as it is where nothing else has data', () => {
    const w = new Compacted({ layerBytes: 4000 })
    for (let file = 0; file < 4; file++) {
      for (let block = 0; block < 20; block++) w.full(file * 20 + block, file + 1)
      w.flush()
    }
    const before = w.disk.written
    w.compact()
    equal(w.disk.written, before)
    equal(w.layers.stackMax, 1)
    w.checkAll()
  })

  it('leaves all as it was when the disk is full, in whatever step', () => {
    const w = new Compacted()
    const dice = new Dice(21)
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 80; i++) w.write(dice)
      if (round < 4) w.flush()
    }
    w.cutoff = w.points[w.points.length >> 1]!
    w.compaction.setGrant({ cutoff: lsn(w.cutoff), pins: [] })
    w.active.freeze()
    const files = [...w.disk.files.keys()].join()
    const { openFiles } = w.disk
    const jobs = [() => flush({ memtable: w.active, layers: w.layers }), () => w.compaction.runJob()]
    for (const job of jobs) {
      let failed = 0
      for (let room = 0; ; room += 300) {
        w.disk.room = room
        try {
          Workload.run<unknown>(job())
          break
        } catch (error) {
          equal((error as VolumeError).code, 'DiskFull')
          equal([...w.disk.files.keys()].join(), files)
          failed++
        } finally {
          w.disk.room = Number.MAX_SAFE_INTEGER
        }
      }
      ok(failed > 3)
      w.layers.removeStrayFiles()
    }
    ok(w.disk.openFiles <= openFiles + 8)
    w.checkAll()
  })

  it('takes an edit back that could not be made durable', () => {
    const w = new Compacted()
    const dice = new Dice(21)
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 80; i++) w.write(dice)
      w.flush()
    }
    const edit = Workload.run(w.compaction.runJob())!
    const refs = JSON.stringify(w.layers.refs)
    throws(() =>
      w.layers.install(edit, () => {
        throw new VolumeError('DiskFull', 'manifest')
      }),
    )
    equal(JSON.stringify(w.layers.refs), refs)
    w.checkAll()
    w.install(edit)
    w.checkAll()
  })

  it('refuses a cutoff that goes back', () => {
    const w = new Compacted()
    w.compaction.setGrant({ cutoff: lsn(10), pins: [] })
    throws(() => w.compaction.setGrant({ cutoff: lsn(9), pins: [] }), { code: 'Invariant' })
  })
})
