/** Lives of a hot log on a crash disk, and what of it must be there after each. For the tests beside `hot-log.ts`. */
import assert from 'node:assert/strict'
import { HotLog, type HotLogOptions, type LogPosition } from '../src/storage/hot-log.ts'
import { CrashDisk, PAGE, PowerLoss, randomOf } from './crash-disk.ts'

export const PAGES_OF_FILE = 8
export const OPTIONS: HotLogOptions = {
  nodeTag: 0xb0_4ea1,
  alignedBuffer: (bytes) => new Uint8Array(bytes),
  pageBytes: PAGE,
  fileBytes: PAGES_OF_FILE * PAGE,
}

export interface Written {
  readonly id: number
  readonly position: LogPosition
}

/** An entry that tells its number, in one or two parts. */
export function entryOf(id: number, length: number): Uint8Array[] {
  const bytes = new Uint8Array(Math.max(4, length)).fill(id & 0xff)
  new DataView(bytes.buffer).setUint32(0, id, true)
  const cut = id % bytes.length
  return id % 2 === 0 ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)]
}

export function idOf(bytes: Uint8Array): number {
  const id = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true)
  assert.deepEqual(Buffer.from(bytes), Buffer.concat(entryOf(id, bytes.length)))
  return id
}

export function openLog(
  disk: CrashDisk,
  options: HotLogOptions = OPTIONS,
): ReturnType<typeof HotLog.open> & { entries: Written[] } {
  const entries: Written[] = []
  const opened = HotLog.open(disk, options, (position, bytes) => entries.push({ id: idOf(bytes), position }))
  return { ...opened, entries }
}

/** One log over many crashes. `step` throws when what is replayed is not what was acknowledged. */
export class Life {
  readonly disk: CrashDisk
  readonly #random: () => number
  /** In order: what the log has to hold, perhaps without the first few, and perhaps with some of `#inFlight`. */
  #acknowledged: Written[] = []
  #inFlight: number[] = []
  /** Files below this are gone, and below the second perhaps. */
  #released = 0
  #releasing = 0
  #nextId = 1
  log: HotLog

  constructor(seed: number) {
    this.#random = randomOf(seed)
    this.disk = new CrashDisk(seed ^ 0x5eed)
    this.log = openLog(this.disk).log
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n)
  }

  /** A few appends and releases; answers false when the power went. */
  run(steps: number): boolean {
    try {
      for (let i = 0; i < steps; i++) {
        if (this.#below(5) === 0) this.#release()
        else this.#append()
      }
      return true
    } catch (error) {
      if (error instanceof PowerLoss) return false
      throw error
    }
  }

  #append(): void {
    const entries = Array.from({ length: 1 + this.#below(5) }, () => {
      const large = this.#below(8) === 0
      return entryOf(this.#nextId++, this.#below(large ? 4 * PAGE : PAGE))
    })
    this.#inFlight = entries.map((parts) => idOf(Buffer.concat(parts)))
    const positions = this.log.append(entries)
    this.#acknowledged.push(...positions.map((position, i) => ({ id: this.#inFlight[i] as number, position })))
    this.#inFlight = []
  }

  #release(): void {
    const { oldestFile, currentFile } = this.log
    this.#releasing = Math.min(currentFile, oldestFile + 1 + this.#below(2))
    this.log.release(this.#releasing)
    this.#released = this.#releasing
  }

  #opened(): ReturnType<typeof openLog> {
    for (;;) {
      try {
        return openLog(this.disk)
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error
        this.disk.restart()
      }
    }
  }

  /** Opens the log again, as often as it takes when the power goes meanwhile, and compares. */
  reopen(): void {
    const { log, damage, entries } = this.#opened()
    assert.deepEqual(damage, [])
    this.log = log
    const first = entries[0]?.position.file ?? log.currentFile
    assert.ok(first >= this.#released, `file ${first} was released`)
    const kept = this.#acknowledged.filter(({ position }) => position.file >= Math.max(this.#released, log.oldestFile))
    assert.ok(
      log.oldestFile <= Math.max(this.#releasing, 1),
      `file ${log.oldestFile} is the oldest; ${this.#releasing} was released`,
    )
    assert.deepEqual(entries.slice(0, kept.length), kept)
    const more = entries.slice(kept.length).map(({ id }) => id)
    assert.deepEqual(more, this.#inFlight.slice(0, more.length))
    for (const { id, position } of entries) assert.equal(idOf(log.read(position)), id)
    this.#acknowledged = entries
    this.#inFlight = []
    this.#released = Math.max(this.#released, log.oldestFile)
    this.#releasing = this.#released
  }
}

export const FIXTURE_OPTIONS: HotLogOptions = { ...OPTIONS, fileBytes: 4 * PAGE }

/** The log of `fixtures/hot-log-v2`, and of `-v1`: files 3 (recycled from 1) and 4 (from 2), with a torn batch in 4, and a spare. */
export function fixtureLog(): CrashDisk {
  const disk = new CrashDisk(1)
  const first = openLog(disk, FIXTURE_OPTIONS).log
  first.append([entryOf(0, 3 * PAGE - 200)])
  first.append([entryOf(1, 4 * PAGE - 200)])
  first.release(2)
  first.append([entryOf(2, 40), entryOf(3, 4), entryOf(4, 300)])
  first.release(3)
  first.append([entryOf(5, PAGE)])
  disk.reroute = (path, page) => (page === 1 ? undefined : { path, page })
  first.append([entryOf(6, 3 * PAGE - 200)])
  disk.reroute = undefined
  const second = openLog(disk, FIXTURE_OPTIONS).log
  second.append([entryOf(8, 100)])
  second.prepare()
  return disk
}
