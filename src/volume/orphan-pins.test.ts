import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lsn, volumeId, volumeName } from '../protocol/lsn.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { OrphanPins } from './orphan-pins.ts'
import { changeVolume, createVolume, readVolume } from './registry-cells.ts'
import type { VolumeContext } from './volume-context.ts'
import { newBranch, newVolume } from './volume-record.ts'
import { addPin } from './volume-retention.ts'

const PARENT = volumeId(1)
const BRANCH = volumeId(2)
const LOST = volumeId(3)

describe('pins of branches that are not there', () => {
  it('go after a minute; pins of branches and of people stay', async () => {
    const registry = new MemoryRegistry()
    let nowMs = 0
    const context = { registry, clock: { now: () => nowMs, wallClock: () => nowMs } } as unknown as VolumeContext
    await createVolume(registry, newVolume(PARENT, 256, 64))
    for (const id of [volumeName(BRANCH), volumeName(LOST)]) {
      await changeVolume(registry, PARENT, (volume) => addPin(volume, { id, kind: 'branch', lsn: lsn(5) }))
    }
    await changeVolume(registry, PARENT, (volume) => addPin(volume, { id: 'mine', kind: 'pin', lsn: lsn(5) }))
    await createVolume(registry, newBranch(BRANCH, (await readVolume(registry, PARENT)).record, lsn(5)))
    const orphans = new OrphanPins(context)
    const pins = async () => (await readVolume(registry, PARENT)).record.pins.map(({ id }) => id)

    assert.equal(await orphans.remove(), 0)
    nowMs = 59_000
    assert.equal(await orphans.remove(), 0)
    assert.deepEqual(await pins(), [volumeName(BRANCH), volumeName(LOST), 'mine'])
    nowMs = 61_000
    assert.equal(await orphans.remove(), 1)
    assert.deepEqual(await pins(), [volumeName(BRANCH), 'mine'])
  })
})
