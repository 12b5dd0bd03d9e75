import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryDisk } from '../../test/memory-disk.ts'
import { stateOf, tableOn } from '../../test/segment-host.ts'
import { memberOf, sixMembers } from '../../test/six-members.ts'
import { VolumeError } from '../protocol/errors.ts'
import { joint } from '../protocol/group.ts'
import { groupIndex, lsn, nodeId, volumeId } from '../protocol/lsn.ts'
import { Segment } from './segment.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code

/** Volume 1 with groups 0 and 12, its branch 2 with group 0, and the branch of that, 3, with group 0. */
function filled() {
  const disk = new MemoryDisk()
  const { table, host } = tableOn(disk)
  const add = (volume: number, group: number, below: number | null): Segment => {
    const known = table.volumes.get(volumeId(volume)) ?? table.addVolume(stateOf(volume))
    const ancestor = below === null ? null : { volume: volumeId(below), lsn: lsn(0) }
    const segment = Segment.create(host, known, sixMembers(group), ancestor, false)
    table.add(segment)
    return segment
  }
  const segments = [add(1, 0, null), add(1, 12, null), add(2, 0, 1), add(3, 0, 2)]
  return { disk, table, segments }
}

const present = (disk: MemoryDisk): string[] =>
  [...tableOn(disk).table.all()].map(({ volume, group, state }) => `${volume.state.volume}/${group} ${state}`)

describe('what a node holds', () => {
  it('is found again after a restart', () => {
    const { disk, table } = filled()
    assert.deepEqual(present(disk), ['1/0 active', '1/12 active', '2/0 active', '3/0 active'])
    assert.deepEqual([...tableOn(disk).table.volumes.keys()], [...table.volumes.keys()])
    const [first] = tableOn(disk).table.reports(volumeId(1))
    assert.deepEqual(first, table.reports(volumeId(1))[0])
  })

  it('is answered for by volume and group, or refused', () => {
    const { table, segments } = filled()
    assert.equal(table.get(volumeId(1), groupIndex(12)), segments[1])
    assert.equal(table.need(volumeId(2), groupIndex(0)), segments[2])
    assert.equal(table.get(volumeId(1), groupIndex(1)), undefined)
    assert.deepEqual(table.of(volumeId(9)), [])
    for (const [volume, group] of [
      [1, 1],
      [9, 0],
    ] as const) {
      assert.throws(() => table.need(volumeId(volume), groupIndex(group)), hasCode('UnknownSegment'))
    }
  })

  it('shows through branches, nearest first, as far as the ancestors are here', () => {
    const { table, segments } = filled()
    const [root, , child, grandchild] = segments as [Segment, Segment, Segment, Segment]
    assert.deepEqual(table.ancestorsOf(grandchild), [child, root])
    assert.deepEqual(table.ancestorsOf(root), [])
    table.remove(child)
    assert.deepEqual(table.ancestorsOf(grandchild), [])
  })

  it('goes when it is removed or forgotten, and nothing else does', () => {
    const { disk, table, segments } = filled()
    table.remove(segments[1] as Segment)
    assert.deepEqual(present(disk), ['1/0 active', '2/0 active', '3/0 active'])
    const second = table.volumes.get(volumeId(2))
    assert.ok(second)
    for (const segment of table.of(volumeId(2))) table.remove(segment)
    table.forget(second)
    assert.deepEqual(present(disk), ['1/0 active', '3/0 active'])
    assert.deepEqual([...tableOn(disk).table.volumes.keys()], [1, 3])
    assert.deepEqual(
      disk.paths().filter((path) => path.includes('00000002')),
      [],
    )
  })

  it('does not count what was never completely made, nor a segment whose manifest is lost: it is made anew', () => {
    const { disk } = filled()
    disk.makeFolder('segments/vol-00000003-5')
    for (const path of disk.paths()) if (path.startsWith('segments/vol-00000001-12/')) disk.flip(path, 40)
    assert.deepEqual(present(disk), ['1/0 active', '2/0 active', '3/0 active'])
    assert.ok(!disk.paths().some((path) => path.startsWith('segments/vol-00000001-12/')))
  })

  it('is told apart by whole names: volume 1 does not take the segments of another whose name begins alike', () => {
    const disk = new MemoryDisk()
    const { table, host } = tableOn(disk)
    for (const [volume, group] of [
      [0x11, 1],
      [0x11, 11],
      [0x1, 1],
    ] as const) {
      const known = table.volumes.get(volumeId(volume)) ?? table.addVolume(stateOf(volume))
      table.add(Segment.create(host, known, sixMembers(group), null, false))
    }
    assert.deepEqual(present(disk).sort(), ['1/1 active', '17/1 active', '17/11 active'])
  })
})

describe('a membership that a segment adopts', () => {
  const next = joint(sixMembers(), new Map([[nodeId('b'), memberOf('g', 0, 'tail')]]))

  it('is newer than the one before, and there after a restart', () => {
    const { disk, segments } = filled()
    const [segment] = segments as [Segment]
    assert.equal(segment.adopt(next), true)
    assert.equal(segment.adopt(next), false)
    assert.equal(segment.adopt(sixMembers()), false)
    assert.deepEqual(tableOn(disk).table.need(volumeId(1), groupIndex(0)).config, next)
  })

  it('is not taken for adopted when it could not be written, also not at the second try', () => {
    const { disk, segments } = filled()
    const [segment] = segments as [Segment]
    disk.capacityBytes = 0
    for (let tries = 0; tries < 2; tries++) assert.throws(() => segment.adopt(next), hasCode('DiskFull'))
    assert.equal(segment.config.epoch, 1)
    disk.capacityBytes = Number.MAX_SAFE_INTEGER
    assert.equal(segment.adopt(next), true)
    assert.equal(tableOn(disk).table.need(volumeId(1), groupIndex(0)).config.epoch, 2)
  })
})
