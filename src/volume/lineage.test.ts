import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { VolumeError } from '../protocol/errors.ts'
import { type GroupIndex, groupIndex, lsn, volumeId } from '../protocol/lsn.ts'
import { ancestorOf, inheritedGroups, lineage } from './lineage.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { createVolume } from './registry-cells.ts'
import { type GroupStage, newBranch, newVolume, type VolumeRecord } from './volume-record.ts'

const withGroups = (record: VolumeRecord, groups: Record<number, GroupStage>): VolumeRecord => ({
  ...record,
  groups: new Map(Object.entries(groups).map(([group, stage]) => [groupIndex(Number(group)), stage])),
})

/** A root, its branch at 500, and the branches of that: at 700, and below its own beginning, at 300. */
async function family() {
  const registry = new MemoryRegistry()
  const root = withGroups(newVolume(volumeId(1), 256, 64), { 0: 'active', 1: 'active', 2: 'active' })
  const child = withGroups(newBranch(volumeId(2), root, lsn(500)), { 1: 'active', 3: 'creating' })
  const late = withGroups(newBranch(volumeId(3), child, lsn(700)), { 2: 'active', 4: 'active' })
  const early = newBranch(volumeId(4), child, lsn(300))
  for (const record of [root, child, late, early]) await createVolume(registry, record)
  return { registry, root, child, late, early }
}

const ids = (groups: ReadonlySet<GroupIndex>): number[] => [...groups].sort()

describe('the ancestors of a branch', () => {
  it('are listed from the parent upwards, each as it is seen: never above what is between shows', async () => {
    const { registry, root, child, late, early } = await family()
    const seen = async (record: VolumeRecord): Promise<unknown[]> =>
      (await lineage(registry, record)).map(({ record: { id }, lsn: at }) => [id, at])
    assert.deepEqual(await seen(root), [])
    assert.deepEqual(await seen(child), [[1, 500]])
    assert.deepEqual(await seen(late), [
      [2, 700],
      [1, 500],
    ])
    assert.deepEqual(await seen(early), [
      [2, 300],
      [1, 300],
    ])
  })

  it('have to be there', async () => {
    const { registry, child } = await family()
    const orphan = { ...child, parent: { volume: volumeId(9), lsn: lsn(5) } }
    await assert.rejects(
      lineage(registry, orphan),
      (error) => error instanceof VolumeError && error.code === 'NotFound',
    )
  })
})

describe('what shows through in a group', () => {
  it('is the nearest ancestor that has it, and zeros where none does', async () => {
    const { registry, late } = await family()
    const ancestors = await lineage(registry, late)
    const below = (group: number): unknown => ancestorOf(ancestors, groupIndex(group))
    assert.deepEqual(below(0), { volume: 1, lsn: 500 })
    assert.deepEqual(below(1), { volume: 2, lsn: 700 })
    assert.deepEqual(below(2), { volume: 1, lsn: 500 })
    assert.equal(below(3), null, 'a group that is only being made')
    assert.equal(below(4), null, 'of its own')
  })

  it('is inherited from all of them together', async () => {
    const { registry, root, late } = await family()
    assert.deepEqual(ids(inheritedGroups(await lineage(registry, late))), [0, 1, 2])
    assert.deepEqual(ids(inheritedGroups(await lineage(registry, root))), [])
  })
})
