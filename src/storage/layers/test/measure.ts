/**
 * Figures of `README.md`: `node src/storage/layers/test/measure.ts [folder]`. Without a folder the disk is memory;
 * with one (it is emptied) it is the real one, and reads come from the system's cache.
 */
import { groupIndex, lsn, volumeId } from '../../../protocol/lsn.ts'
import { decodeRecord, encodeRecord, RecordKind, type RedoRecord, recordBytes } from '../../../protocol/record.ts'
import { RealDisk } from '../../real-disk.ts'
import { Compaction } from '../compaction.ts'
import { flush } from '../flush.ts'
import { LayerCache } from '../layer-cache.ts'
import { LayerSet } from '../layer-set.ts'
import { Memtable } from '../memtable.ts'
import { readBlock } from '../read-block.ts'
import { scrub } from '../scrub.ts'
import { MemoryDisk } from './memory-disk.ts'

const BLOCK_BYTES = 8192
const BLOCKS = 32_768

const folder = process.argv[2]
const disk = folder === undefined ? new MemoryDisk() : RealDisk.open(folder)
let head = 0
let state = 1
const dice = (n: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * n)
}
const lastOf = new Map<number, number>()

function record(kind: RecordKind, block: number, payload: Uint8Array): RedoRecord {
  const prev = head
  head += recordBytes(payload.length)
  const bytes = new Uint8Array(recordBytes(payload.length))
  const view = new DataView(bytes.buffer)
  const prevBlock = lsn(kind === RecordKind.DELTA ? lastOf.get(block)! : 0)
  lastOf.set(block, head)
  const header = { kind, flags: 0, group: groupIndex(1), block, volumeEpoch: 1, lsn: lsn(head), toCpl: 0 }
  encodeRecord(bytes, view, 0, { ...header, prevVolume: lsn(prev), prevGroup: lsn(prev), prevBlock }, payload)
  return decodeRecord(bytes, view, 0)
}

const content = new Uint8Array(BLOCK_BYTES)
function full(block: number): RedoRecord {
  for (let i = 0; i < BLOCK_BYTES; i += 8) content[i] = 1 + ((block + i) % 250)
  return record(RecordKind.FULL, block, content)
}

/** A delta of one range of 128 bytes. */
function delta(block: number): RedoRecord {
  const payload = new Uint8Array(4 + 128).fill(1 + dice(255))
  const first = dice(500)
  payload.set([first & 0xff, first >> 8, 8, 0])
  return record(RecordKind.DELTA, block, payload)
}

const ms = (from: bigint): number => Number(process.hrtime.bigint() - from) / 1e6

function timed<T>(job: Generator<unknown, T>): { value: T; totalMs: number; stepMsMax: number } {
  const from = process.hrtime.bigint()
  let stepMsMax = 0
  for (;;) {
    const step = process.hrtime.bigint()
    const { done, value } = job.next()
    stepMsMax = Math.max(stepMsMax, ms(step))
    if (done) return { value, totalMs: ms(from), stepMsMax }
  }
}

const layers = LayerSet.fromManifest(LayerSet.emptyManifest(), {
  disk,
  folder: 'segment',
  volume: volumeId(1),
  group: groupIndex(1),
  blockBytes: BLOCK_BYTES,
  cache: new LayerCache(),
})
disk.makeFolder('segment')
const say = (what: string, amount: string): void => console.log(`${what.padEnd(52)} ${amount}`)

function filled(what: string, records: readonly RedoRecord[]): Memtable {
  const memtable = new Memtable()
  const from = process.hrtime.bigint()
  for (const r of records) memtable.insert(r)
  const took = ms(from)
  say(`insert ${what}`, `${((records.length / took) * 1000).toFixed(0)} records/s`)
  return memtable
}

function flushed(what: string, memtable: Memtable): void {
  memtable.freeze()
  const { entries } = memtable
  const { value, totalMs, stepMsMax } = timed(flush({ memtable, layers }))
  layers.install(value, () => {})
  const bytes = value.add.reduce((sum, ref) => sum + ref.fileBytes, 0)
  const speed = `${((entries / totalMs) * 1000).toFixed(0)} entries/s, ${(bytes / totalMs / 1000).toFixed(0)} MB/s`
  say(`flush ${what}`, `${speed}, longest step ${stepMsMax.toFixed(1)} ms`)
}

const compaction = new Compaction({ layers })
function compacted(what: string): void {
  let bytes = 0
  let totalMs = 0
  let stepMsMax = 0
  let jobs = 0
  for (;;) {
    const job = timed(compaction.runJob())
    totalMs += job.totalMs
    stepMsMax = Math.max(stepMsMax, job.stepMsMax)
    if (job.value === undefined) break
    jobs++
    bytes += job.value.add.reduce((sum, ref) => sum + ref.fileBytes, 0)
    layers.install(job.value, () => {})
  }
  const speed = `${(bytes / 1e6).toFixed(0)} MB in ${jobs} jobs, ${(bytes / totalMs / 1000).toFixed(0)} MB/s`
  say(what, `${speed}, longest step ${stepMsMax.toFixed(1)} ms`)
}

function reads(what: string): void {
  const count = 100_000
  let visited = 0
  let deltas = 0
  for (let round = 0; round < 2; round++) {
    visited = 0
    deltas = 0
    const from = process.hrtime.bigint()
    for (let i = 0; i < count; i++) {
      const read = readBlock(dice(BLOCKS), lsn(head), [], layers)
      visited += read.layers
      deltas += read.deltas
    }
    if (round === 0) continue
    const each = (ms(from) / count) * 1000
    const mean = `${(visited / count).toFixed(1)} layers and ${(deltas / count).toFixed(1)} deltas each`
    say(`read ${what}`, `${each.toFixed(1)} us, ${mean}`)
  }
}

const every = (make: (block: number) => RedoRecord): RedoRecord[] => Array.from({ length: BLOCKS }, (_, b) => make(b))
const many = (n: number, make: (block: number) => RedoRecord): RedoRecord[] =>
  Array.from({ length: n }, () => make(dice(BLOCKS)))

flushed('whole blocks, 256 MiB', filled('whole blocks', every(full)))
reads('over 1 layer')
flushed('deltas of 128 bytes', filled('deltas of 128 bytes', many(200_000, delta)))
flushed('deltas of 128 bytes', filled('deltas of 128 bytes', many(100_000, delta)))
reads('over 3 layers')
flushed('whole blocks again, 256 MiB', filled('whole blocks', many(BLOCKS, full)))
compacted('merge of 4 layers')
reads('after the merge')
compaction.setGrant({ cutoff: lsn(head), pins: [] })
compacted('garbage collection')
reads('after garbage collection')
const { totalMs, value } = timed(scrub(layers))
say('scrub', `${(value.bytes / totalMs / 1000).toFixed(0)} MB/s`)
