/**
 * The hot log through many lives on one disk: crashes at any effect, power cuts and kills in any mixture. What was
 * acknowledged, or was seen once after a start, is there for ever; a crash alone never looks like damage.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { alignedBuffer } from '../src/storage/aligned.ts'
import type { Disk } from '../src/storage/disk.ts'
import { HotLog } from '../src/storage/hot-log.ts'
import { SimDisk, SSD_COSTS } from './disk.ts'
import { CRASH_MOMENTS, Effects, SimCrash } from './effects.ts'
import { Random } from './random.ts'

const SEEDS = 400
const LIVES = 8
/** About what one life has, so that most end by a crash, anywhere in it. */
const EFFECTS_MAX = 25
const PAGE_BYTES = 4_096

/** Entries are numbered in their first four bytes. */
function entry(random: Random, number: number): Uint8Array[] {
  const bytes = new Uint8Array(random.magnitude(4, 9_000))
  new DataView(bytes.buffer).setUint32(0, number, true)
  return [bytes]
}

class Story {
  readonly #random: Random
  /** What must be found by the next start. */
  #known = new Set<number>()
  /** Entries below were given up. */
  #releasedTo = 0
  #next = 1

  constructor(random: Random) {
    this.#random = random
  }

  life(disk: Disk): void {
    const log = this.#open(disk)
    for (let batch = 0; batch < 12; batch++) {
      const first = this.#next
      const entries = Array.from({ length: this.#random.between(1, 3) }, () => entry(this.#random, this.#next++))
      const positions = log.append(entries)
      for (let number = first; number < this.#next; number++) this.#known.add(number)
      if (!this.#random.chance(0.2)) continue
      this.#releasedTo = first
      log.release(positions[0]?.file ?? 0)
    }
    log.close()
  }

  #open(disk: Disk): HotLog {
    const found: number[] = []
    const { log, damage } = HotLog.open(
      disk,
      { nodeTag: 7, alignedBuffer, fileBytes: 8 * PAGE_BYTES, sparesMax: this.#random.below(3) },
      (_position, bytes) => {
        found.push(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true))
      },
    )
    assert.deepEqual(damage, [])
    assert.deepEqual(
      found,
      found.toSorted((a, b) => a - b),
    )
    const lost = [...this.#known].filter((number) => number >= this.#releasedTo && !found.includes(number))
    assert.deepEqual(lost, [])
    this.#known = new Set(found)
    return log
  }
}

function run(seed: number): void {
  const random = new Random(seed)
  const disk = new SimDisk(random.fork('disk'), {
    capacityBytes: 8 << 20,
    costs: SSD_COSTS,
    writeBackChance: random.pick([0, 0.1]),
    atomicBytes: PAGE_BYTES,
  })
  const story = new Story(random.fork('story'))
  for (let life = 0; life < LIVES; life++) {
    const effects = new Effects()
    effects.crashAt(random.between(1, EFFECTS_MAX), random.pick(CRASH_MOMENTS))
    try {
      story.life(disk.mount(effects, () => {}))
    } catch (error) {
      if (!(error instanceof SimCrash)) throw new Error(`seed ${seed}, life ${life}`, { cause: error })
    }
    effects.kill()
    if (random.chance(0.7)) disk.losePower()
  }
}

describe('the hot log', () => {
  it(`keeps what it acknowledged through ${LIVES} crashes, for each of ${SEEDS} seeds`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) run(seed)
  })
})
