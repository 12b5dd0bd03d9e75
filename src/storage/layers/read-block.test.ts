import { equal, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { VolumeError } from '../../protocol/errors.ts'
import { groupIndex, lsn, ZERO_LSN } from '../../protocol/lsn.ts'
import { decodeRecords, encodeRecord, RecordKind, recordBytes } from '../../protocol/record.ts'
import { Memtable } from './memtable.ts'
import { readBlock } from './read-block.ts'
import { Workload } from './test/workload.ts'

const BLOCK = 5
const { layers } = new Workload()
const { blockBytes } = layers.setting

/** A record of a memtable: a whole block, or a change of its first granule. */
function insert(memtable: Memtable, kind: RecordKind, at: number, prevBlock: number, value: number): void {
  const payload =
    kind === RecordKind.FULL
      ? new Uint8Array(blockBytes).fill(value)
      : Uint8Array.of(0, 0, 1, 0, ...new Uint8Array(16).fill(value))
  const bytes = new Uint8Array(recordBytes(payload.length))
  const header = {
    kind,
    flags: 0,
    group: groupIndex(0),
    block: BLOCK,
    volumeEpoch: 1,
    lsn: lsn(at),
    toCpl: 0,
    prevVolume: ZERO_LSN,
    prevGroup: ZERO_LSN,
    prevBlock: lsn(prevBlock),
  }
  encodeRecord(bytes, new DataView(bytes.buffer), 0, header, payload)
  for (const record of decodeRecords(bytes)) memtable.insert(record)
}

const firstByte = (memtable: Memtable, at: number) => readBlock(BLOCK, lsn(at), [memtable], layers).bytes?.[0]

describe('a delta', () => {
  it('is applied to the version that it was made against', () => {
    const memtable = new Memtable()
    insert(memtable, RecordKind.FULL, 1_000, 0, 1)
    insert(memtable, RecordKind.DELTA, 2_000, 1_000, 2)
    insert(memtable, RecordKind.DELTA, 3_000, 2_000, 3)
    equal(firstByte(memtable, 1_999), 1)
    equal(firstByte(memtable, 2_000), 2)
    equal(firstByte(memtable, 3_000), 3)
  })

  it('is not applied to any other, be that older or newer: the copy is damaged', () => {
    for (const made of [500, 1_500, 2_500]) {
      const memtable = new Memtable()
      insert(memtable, RecordKind.FULL, 1_000, 0, 1)
      insert(memtable, RecordKind.DELTA, 2_000, 1_000, 2)
      insert(memtable, RecordKind.DELTA, 3_000, made, 3)
      throws(
        () => firstByte(memtable, 3_000),
        (error) => error instanceof VolumeError && error.code === 'Corrupt',
        `made against ${made}`,
      )
      equal(firstByte(memtable, 2_999), 2)
    }
  })
})
