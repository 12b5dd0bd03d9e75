import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { VolumeError } from '../protocol/errors.ts'
import { groupIndex, type Lsn, lsn, volumeId } from '../protocol/lsn.ts'
import { APPEND_HEADER_BYTES, writeAppendHeader } from '../protocol/message.ts'
import { decodeRecords, encodeRecord, RecordKind, type RedoRecord, recordBytes } from '../protocol/record.ts'
import type { LogPosition } from './hot-log.ts'
import { recordsOfEntry, SegmentLog } from './segment-log.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code

/** A chain of records from an LSN on. */
function chainOf(random: Random, from: number, count: number): RedoRecord[] {
  const records: RedoRecord[] = []
  let before = lsn(from)
  for (let i = 0; i < count; i++) {
    const payload = random.fill(new Uint8Array(random.below(60)))
    const encoded = new Uint8Array(recordBytes(payload.length))
    const at = lsn(before + encoded.length + random.below(200))
    const header = {
      kind: RecordKind.FULL,
      flags: 0,
      group: groupIndex(0),
      block: i,
      volumeEpoch: 1,
      lsn: at,
      toCpl: random.below(3) * 10,
      prevVolume: lsn(at - 7),
      prevGroup: before,
      prevBlock: lsn(0),
    }
    encodeRecord(encoded, new DataView(encoded.buffer), 0, header, payload)
    records.push(...decodeRecords(encoded))
    before = at
  }
  return records
}

/** A hot log that holds entries in files of a few; and the segment's log over it. */
class Log {
  readonly entries: { readonly position: LogPosition; readonly bytes: Uint8Array }[] = []
  readonly log: SegmentLog
  readonly read = (position: LogPosition): Uint8Array => {
    const found = this.entries.find((entry) => entry.position === position)
    assert.ok(found, 'an entry was read that there is not')
    return found.bytes
  }

  constructor(from: number) {
    this.log = new SegmentLog(lsn(from))
  }

  /** Logs records as one entry, as they came. */
  entry(records: readonly RedoRecord[]): LogPosition {
    const bytes = new Uint8Array(APPEND_HEADER_BYTES + records.reduce((sum, { encoded }) => sum + encoded.length, 0))
    writeAppendHeader(bytes, new DataView(bytes.buffer), {
      volume: volumeId(1),
      group: groupIndex(0),
      volumeEpoch: 1,
      membershipEpoch: 1,
      vdl: lsn(0),
      groupPoint: lsn(0),
    })
    let at = APPEND_HEADER_BYTES
    for (const { encoded } of records) {
      bytes.set(encoded, at)
      at += encoded.length
    }
    const body = bytes.subarray(1)
    const position = { file: 1 + Math.floor(this.entries.length / 3), offset: this.entries.length, length: body.length }
    this.entries.push({ position, bytes: body })
    return position
  }

  lsns(above: number, upTo: number, bytesMax = Number.MAX_SAFE_INTEGER): Lsn[] {
    return [...this.log.records(lsn(above), lsn(upTo), bytesMax, this.read)].map((record) => record.lsn)
  }
}

/**
 * Logs a chain as a network may bring it: in entries of several records that repeat and overtake each other; each
 * record is chained once, from the entry in which it came first after those before it.
 */
function arrived(random: Random, from: number, records: readonly RedoRecord[]): Log {
  const log = new Log(from)
  const cuts: RedoRecord[][] = []
  for (let at = 0; at < records.length; ) {
    const count = random.between(1, 4)
    cuts.push(records.slice(at, at + count))
    at += count
  }
  // Neighbours change places, and some come twice, cut in another way.
  const order = cuts.flatMap((cut, i) => (random.chance(0.2) ? [records.slice(i, i + 3), cut] : [cut]))
  for (let i = 1; i < order.length; i++) {
    if (random.chance(0.3)) [order[i - 1], order[i]] = [order[i] as RedoRecord[], order[i - 1] as RedoRecord[]]
  }
  let scl = lsn(from)
  const waiting = new Map<Lsn, { record: RedoRecord; position: LogPosition }>()
  for (const entry of order) {
    const position = log.entry(entry)
    for (const record of recordsOfEntry(log.read(position))) {
      if (record.lsn > scl && !waiting.has(record.prevGroup)) waiting.set(record.prevGroup, { record, position })
      for (let next = waiting.get(scl); next !== undefined; next = waiting.get(scl)) {
        waiting.delete(scl)
        log.log.chained(next.record, next.position)
        scl = next.record.lsn
      }
    }
  }
  assert.equal(scl, records.at(-1)?.lsn)
  return log
}

describe('the log of a segment', () => {
  it('gives back its chain, from anywhere to anywhere, however it came', () => {
    for (let seed = 0; seed < 150; seed++) {
      const random = new Random(seed)
      const chain = chainOf(random, 500, 20)
      const log = arrived(random, 500, chain)
      for (let i = 0; i < 10; i++) {
        const [above, upTo] = [random.between(500, 4_000), random.between(500, 4_000)]
        const expected = chain.filter((record) => record.lsn > above && record.lsn <= upTo)
        assert.deepEqual(
          log.lsns(above, upTo),
          expected.map((record) => record.lsn),
        )
        const bytesMax = random.below(400)
        const part = log.lsns(above, upTo, bytesMax)
        let bytes = 0
        const fitting = expected.filter(({ encoded }, at) => {
          bytes += encoded.length
          return at === 0 || bytes <= bytesMax
        })
        assert.deepEqual(
          part,
          fitting.map((record) => record.lsn),
          `at most ${bytesMax} bytes`,
        )
        assert.deepEqual(
          log.log.summaries(lsn(above), lsn(upTo), log.read),
          expected.map(({ lsn: at, prevVolume, toCpl }) => ({ lsn: at, prevVolume, toCpl })),
        )
      }
    }
  })

  it('keeps records that lie in a row in one entry as one stretch', () => {
    const log = new Log(0)
    const chain = chainOf(new Random(1), 0, 50)
    const position = log.entry(chain)
    for (const record of chain) log.log.chained(record, position)
    assert.equal(log.log.stretches, 1)
    assert.deepEqual(
      log.lsns(0, 1e9),
      chain.map((record) => record.lsn),
    )
  })

  it('does not go below where it begins', () => {
    const log = arrived(new Random(1), 500, chainOf(new Random(1), 500, 5))
    assert.throws(() => log.lsns(499, 1e9), hasCode('LogCollected'))
    assert.equal(log.lsns(500, 1e9).length, 5)
  })

  it('passes on what its entries are', () => {
    const log = arrived(new Random(1), 0, chainOf(new Random(1), 0, 5))
    const damaged = (): Uint8Array => {
      throw new VolumeError('Corrupt', 'rot')
    }
    assert.throws(() => [...log.log.records(lsn(0), lsn(1e9), 1e9, damaged)], hasCode('Corrupt'))
  })
})

describe('a truncated log', () => {
  it('ends with the last record at or below the cut, and goes on from there', () => {
    for (let seed = 0; seed < 150; seed++) {
      const random = new Random(seed)
      const chain = chainOf(random, 500, 12)
      const log = arrived(random, 500, chain)
      const cut = random.between(500, (chain.at(-1)?.lsn ?? 0) + 50)
      const kept = chain.filter((record) => record.lsn <= cut)
      const end = kept.at(-1)?.lsn ?? 500
      assert.equal(log.log.truncate(lsn(cut), log.read), end)
      assert.equal(log.log.end, end)
      assert.deepEqual(
        log.lsns(500, 1e9),
        kept.map((record) => record.lsn),
      )
      // A later opening may cut deeper.
      const deeper = random.between(500, cut)
      const left = kept.filter((record) => record.lsn <= deeper)
      assert.equal(log.log.truncate(lsn(deeper), log.read), left.at(-1)?.lsn ?? 500)
      const [next] = chainOf(random, 100_000, 1) as [RedoRecord]
      log.log.chained({ ...next, prevGroup: log.log.end }, log.entry([next]))
      assert.deepEqual(log.lsns(500, 1e9), [...left.map((record) => record.lsn), next.lsn])
    }
  })
})

describe('a log that is let go from its begin', () => {
  it('begins behind what was dropped: by LSN, or with the files that hold it', () => {
    for (let seed = 0; seed < 150; seed++) {
      const random = new Random(seed)
      const chain = chainOf(random, 500, 20)
      const log = arrived(random, 500, chain)
      if (random.chance(0.5)) {
        const upTo = random.between(500, chain.at(-1)?.lsn ?? 0)
        log.log.dropTo(lsn(upTo))
        assert.ok(log.log.from <= upTo, 'nothing above goes')
      } else {
        const file = random.between(1, 4)
        const needed = log.log.oldestFile(lsn(0), 0) ?? 0
        log.log.dropFiles(file)
        if (file <= needed) assert.equal(log.log.from, 500, 'nothing lies there')
        assert.ok((log.log.oldestFile(lsn(0), 0) ?? file) >= file)
      }
      const { from } = log.log
      assert.ok(from === 500 || chain.some((record) => record.lsn === from))
      assert.deepEqual(
        log.lsns(from, 1e9),
        chain.filter((record) => record.lsn > from).map((record) => record.lsn),
      )
      assert.equal(log.log.end, chain.at(-1)?.lsn)
    }
  })

  it('needs the oldest file that holds a record above an LSN', () => {
    for (let seed = 0; seed < 100; seed++) {
      const random = new Random(seed)
      const chain = chainOf(random, 500, 20)
      const log = arrived(random, 500, chain)
      const above = random.between(400, 3_000)
      const needed = log.log.oldestFile(lsn(above), 0)
      assert.equal(needed === undefined, (chain.at(-1)?.lsn ?? 0) <= above)
      if (needed === undefined) continue
      assert.equal(log.log.oldestFile(lsn(above), needed), needed, 'also to who knows that it is not an older one')
      // Everything above can be read without any older file.
      const readable = (position: LogPosition): Uint8Array => {
        assert.ok(position.file >= needed)
        return log.read(position)
      }
      const expected = chain.filter((record) => record.lsn > above).length
      assert.equal([...log.log.records(lsn(Math.max(above, 500)), lsn(1e9), 1e9, readable)].length, expected)
    }
  })

  it('starts anew behind an LSN with nothing', () => {
    const log = arrived(new Random(1), 500, chainOf(new Random(1), 500, 5))
    log.log.restart(lsn(9_000))
    assert.deepEqual([log.log.from, log.log.end, log.log.stretches], [9_000, 9_000, 0])
    assert.equal(log.log.oldestFile(lsn(0), 0), undefined)
    assert.throws(() => log.lsns(500, 1e9), hasCode('LogCollected'))
  })
})
