import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryDisk } from '../../test/memory-disk.ts'
import { VolumeError } from '../protocol/errors.ts'
import { LayerHolds } from './layer-holds.ts'
import type { Segment } from './segment.ts'

const notFound = (error: unknown): boolean => error instanceof VolumeError && error.code === 'NotFound'

/** A disk that counts the files that are open. */
class CountingDisk extends MemoryDisk {
  openFiles = 0
  override open(path: string): ReturnType<MemoryDisk['open']> {
    const file = super.open(path)
    this.openFiles++
    return { ...file, close: () => void this.openFiles-- }
  }
}

/** A segment as far as its layers: each has the byte of its number, two refs of one file are one. */
function segmentWith(disk: MemoryDisk, folder: string, ids: readonly number[]): Segment {
  const refs = ids.map((id) => ({ id, file: `layer-${id}` }))
  for (const { id, file } of refs)
    disk.plant(
      `${folder}/${file}`,
      new Uint8Array(100).map((_, i) => id + i),
    )
  return { folder, layers: { refs } } as unknown as Segment
}

function setUp() {
  const disk = new CountingDisk()
  const time = { ms: 0 }
  return { disk, time, holds: new LayerHolds(disk, () => time.ms) }
}

describe('layers that are held for a peer', () => {
  it('can be read in pieces, though the files are removed meanwhile', () => {
    const { disk, holds } = setUp()
    const segment = segmentWith(disk, 's', [1, 2])
    holds.hold(segment)
    for (const id of [1, 2]) disk.remove(`s/layer-${id}`)
    assert.deepEqual(holds.read(segment, 2, 10, 3), Uint8Array.of(12, 13, 14))
    assert.deepEqual(holds.read(segment, 1, 0, 2), Uint8Array.of(1, 2))
  })

  it('are those of one moment: others are not there, nor those of another segment', () => {
    const { disk, holds } = setUp()
    const segment = segmentWith(disk, 's', [1])
    const other = segmentWith(disk, 'other', [1])
    assert.throws(() => holds.read(segment, 1, 0, 1), notFound)
    holds.hold(segment)
    assert.throws(() => holds.read(segment, 3, 0, 1), notFound)
    assert.throws(() => holds.read(other, 1, 0, 1), notFound)
  })

  it('are let go half a minute after the last read, or when the segment is asked for again', () => {
    const { disk, time, holds } = setUp()
    const segment = segmentWith(disk, 's', [1, 1, 2])
    holds.hold(segment)
    assert.equal(disk.openFiles, 2, 'a file that two refs name is opened once')
    time.ms = 29_000
    holds.read(segment, 1, 0, 1)
    time.ms = 58_000
    holds.expire()
    holds.read(segment, 1, 0, 1)
    holds.hold(segment)
    assert.equal(disk.openFiles, 2)
    time.ms = 88_000
    holds.expire()
    assert.throws(() => holds.read(segment, 1, 0, 1), notFound)
    assert.equal(disk.openFiles, 0)
  })
})
