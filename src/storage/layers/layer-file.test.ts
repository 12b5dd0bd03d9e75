import { equal, match, ok, throws } from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { VolumeError } from '../../protocol/errors.ts'
import { CONTROL_BLOCK, groupIndex, lsn } from '../../protocol/lsn.ts'
import { decodeRecord } from '../../protocol/record.ts'
import { digest } from './digest.ts'
import { decodeEntry, entryLength, entryToRecord } from './entry.ts'
import { LayerCache } from './layer-cache.ts'
import { GROUP_HEADER_BYTES } from './layer-file.ts'
import { LayerSet } from './layer-set.ts'
import { scrub } from './scrub.ts'
import { BLOCKS, Dice, Workload } from './test/workload.ts'
import { wallClock } from './wall-clock.ts'

/** A small layer with every kind of entry, groups of several blocks, and a range trim. */
function small(packs = true): Workload {
  const w = new Workload({ layerBytes: 1 << 20, packs })
  w.control(1_700_000_000_000)
  for (const block of [3, 4, 200, 300]) w.full(block, block & 0xff)
  for (let i = 0; i < 20; i++) w.delta(3, i)
  w.coalesce()
  w.trim(4, 2)
  w.trim(150, 400)
  w.delta(300, 7)
  w.control(1_700_000_001_000)
  w.flush()
  return w
}

const path = (w: Workload): string => `segment/${w.layers.refs[0]!.file}`
const FORMAT_VERSION = 2
/**
 * Made once by each version of the format. Only when the format gets a new version are new files put beside these:
 * `WRITE_LAYER_FIXTURE=1 node --test src/storage/layers/layer-file.test.ts`.
 */
const fixtureOf = (version: number) => new URL(`./test/fixtures/layer-v${version}`, import.meta.url)
const manifestOf = (version: number) => new URL(`./test/fixtures/layer-v${version}.json`, import.meta.url)

/** All that can be seen of a segment: every block at every point, and the control records. */
function everything(w: Workload): void {
  const { index } = w.layers.reader(w.layers.refs[0]!)
  equal(index.groups, 6)
  for (const point of w.points) for (const block of [3, 4, 5, 150, 200, 300, 549]) w.check(block, point)
  equal([...wallClock(w)].length, 2)
}

describe('layer file', () => {
  for (const version of [1, FORMAT_VERSION]) {
    it(`is read as version ${version} wrote it`, () => {
      const w = small(version > 1)
      const written = w.disk.files.get(path(w))!
      if (process.env.WRITE_LAYER_FIXTURE === '1' && version === FORMAT_VERSION) {
        writeFileSync(fixtureOf(version), written.bytes.subarray(0, written.length))
        writeFileSync(manifestOf(version), w.manifest)
      }
      const stored = readFileSync(fixtureOf(version))
      w.disk.files.set(path(w), { bytes: new Uint8Array(stored), length: stored.length })
      w.layers = LayerSet.fromManifest(JSON.parse(readFileSync(manifestOf(version), 'utf8')), w.setting)
      everything(w)
    })
  }

  it('detects the change of any byte, or is not harmed by it', () => {
    const w = small()
    const file = w.disk.files.get(path(w))!
    const manifest = w.manifestNow()
    let detected = 0
    for (let at = 0; at < file.length; at++) {
      file.bytes[at]! ^= 1 << (at % 8)
      w.layers = LayerSet.fromManifest(manifest, { ...w.setting, cache: new LayerCache() })
      try {
        for (const block of [3, 4, 200, 300]) w.check(block, w.head)
        for (const _ of wallClock(w));
      } catch (error) {
        ok(error instanceof VolumeError && error.code === 'Corrupt', `byte ${at}: ${String(error)}`)
        match(error.message, /layer 1 \(segment\/layer-00000001\)/)
        detected++
      }
      const { damages } = Workload.run(scrub(w.layers))!
      equal(damages.length, 1, `scrub passed over byte ${at}`)
      file.bytes[at]! ^= 1 << (at % 8)
    }
    ok(detected > file.length * 0.8)
    equal(Workload.run(scrub(w.layers))!.damages.length, 0)
  })

  it('detects a file that was cut off, lost, or put in the place of another', () => {
    const w = small()
    const other = small()
    other.full(9, 9)
    other.flush()
    const manifest = w.manifestNow()
    const whole = w.disk.files.get(path(w))!
    const again = (): LayerSet => LayerSet.fromManifest(manifest, { ...w.setting, cache: new LayerCache() })
    const broken = (): void => {
      w.layers = again()
      throws(() => w.read(3, w.head), { code: 'Corrupt' })
      equal(Workload.run(scrub(again()))!.damages.length, 1)
    }
    for (const length of [0, 10, 500, whole.length - 1]) {
      w.disk.files.set(path(w), { bytes: whole.bytes, length })
      broken()
    }
    w.disk.files.delete(path(w))
    broken()
    w.disk.files.set(path(w), other.disk.files.get('segment/layer-00000002')!)
    broken()
  })

  it('detects a group that was written to the place of another, though its own checksum is right', () => {
    const w = small()
    const file = w.disk.files.get(path(w))!
    const { index } = w.layers.reader(w.layers.refs[0]!)
    const places = Array.from({ length: index.groups }, (_, g) => g).filter(
      (g) => index.block[g]! >= 200 && index.block[g]! < 300,
    )
    const from = index.offset[places[0]!]!
    const same = file.bytes.slice(from, index.offset[places[0]! + 1])
    const target = w.layers.reader(w.layers.refs[0]!).index
    for (let g = 0; g < target.groups; g++) {
      const at = target.offset[g]!
      if (at === from || target.offset[g + 1]! - at < same.length) continue
      const before = file.bytes.slice(at, at + same.length)
      file.bytes.set(same, at)
      const block = target.block[g]!
      if (block !== CONTROL_BLOCK) throws(() => w.read(block, w.head), /checksum/)
      file.bytes.set(before, at)
    }
    w.checkAll()
  })

  it('keeps whole redo records', () => {
    const w = small()
    const reader = w.layers.reader(w.layers.refs[0]!)
    let records = 0
    for (let g = 0; g < reader.index.groups; g++) {
      const bytes = reader.readGroup(g)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      for (let at = GROUP_HEADER_BYTES; at < bytes.length; at += entryLength(view, at)) {
        const encoded = entryToRecord(decodeEntry(bytes, view, at, reader.index.block[g]!), groupIndex(3))
        if (encoded === undefined) continue
        const record = decodeRecord(encoded, new DataView(encoded.buffer), 0)
        ok(w.points.includes(record.lsn))
        equal(record.volumeEpoch, 5)
        const place = w.points.indexOf(record.lsn)
        equal(record.prevVolume, place === 0 ? 0 : w.points[place - 1])
        records++
      }
    }
    // The range trim lies in the index area.
    equal(records, w.points.length - 1)
  })
})

describe('layer cache', () => {
  it('bounds memory and open files, whatever is read', () => {
    const cache = new LayerCache({ bytesMax: 30_000, filesMax: 4 })
    const w = new Workload({ layerBytes: 1000, cache })
    const dice = new Dice(5)
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 100; i++) w.write(dice)
      w.flush()
    }
    ok(w.layers.refs.length > 20)
    w.checkAll()
    ok(w.disk.openFiles <= 4)
    ok(cache.bytes <= 30_000)
    w.layers.close()
    equal(w.disk.openFiles, 0)
    equal(cache.bytes, 0)
    w.checkAll()
  })
})

describe('digest', () => {
  it('is equal for copies that flushed and collected at other times', () => {
    const [a, b] = [new Workload(), new Workload({ layerBytes: 900 })]
    for (const [w, every] of [
      [a, 37],
      [b, 61],
    ] as const) {
      const dice = new Dice(11)
      for (let i = 0; i < 400; i++) {
        w.write(dice)
        if (i % every === 0) w.flush()
      }
    }
    const of = (w: Workload) => JSON.stringify([...digest(w, lsn(w.head), 0, BLOCKS)])
    equal(of(a), of(b))
    ok(of(a).length > 1000)
  })
})
