import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { MemoryDisk } from '../../test/memory-disk.ts'
import type { VolumeState } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { groupIndex, lsn, volumeId } from '../protocol/lsn.ts'
import type { VdlAnnouncement } from '../protocol/message.ts'
import { NodeVolume } from './node-volume.ts'

const FIRST: VolumeState = {
  volume: volumeId(7),
  blockBytes: 256,
  blocksPerGroup: 64,
  epoch: 1,
  truncations: [],
  truncationsFromEpoch: 1,
  parent: null,
  base: lsn(0),
  cutoff: lsn(0),
  pins: [],
  grantVersion: 1,
}

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code

function create(state: Partial<VolumeState> = {}): { disk: MemoryDisk; volume: NodeVolume } {
  const disk = new MemoryDisk()
  disk.makeFolder('volumes')
  return { disk, volume: NodeVolume.create(disk, { ...FIRST, ...state }) }
}

/** The volume as the node finds it after a restart. */
function restarted(disk: MemoryDisk): NodeVolume {
  const [volume, ...others] = NodeVolume.load(disk)
  assert.ok(volume !== undefined && others.length === 0)
  return volume
}

const promised = (volume: NodeVolume) => ({ state: volume.state, fencedEpoch: volume.fencedEpoch })

describe('what a node promised about a volume', () => {
  it('only ever grows, and is the same after a restart at any time', () => {
    const epoch = fc.integer({ min: 1, max: 12 })
    const grant = fc.record({ cutoff: fc.nat(9), pins: fc.uniqueArray(fc.nat(9), { maxLength: 3 }) })
    const step = fc.oneof(
      fc.record({ what: fc.constant('fence' as const), epoch }),
      fc.record({ what: fc.constant('seal' as const), epoch, version: fc.nat(9) }),
      fc.record({ what: fc.constant('adopt' as const), epoch, version: fc.nat(9) }),
      fc.record({ what: fc.constant('grant' as const), version: fc.nat(9) }),
      fc.record({ what: fc.constant('restart' as const) }),
    )
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        fc.array(grant, { minLength: 10, maxLength: 10 }),
        fc.nat(40),
        (steps, grants, fullAt) => {
          // Of one history: the cutoff of a later version is no lower.
          const cutoffs = grants.map(({ cutoff }) => cutoff).sort((a, b) => a - b)
          const grantOf = (version: number) => ({
            cutoff: lsn(cutoffs[version] ?? 0),
            pins: (grants[version]?.pins ?? []).map(lsn),
            grantVersion: version,
          })
          const { disk, volume: created } = create({ ...grantOf(0), grantVersion: 0 })
          let volume = created
          for (const [i, each] of steps.entries()) {
            const before = promised(volume)
            disk.capacityBytes = i === fullAt ? 0 : Number.MAX_SAFE_INTEGER
            let outcome: 'done' | 'refused' | 'full' = 'done'
            try {
              if (each.what === 'fence') volume.fence(each.epoch)
              else if (each.what === 'grant') volume.adoptGrant(grantOf(each.version))
              else if (each.what === 'restart') volume = restarted(disk)
              else volume[each.what]({ ...FIRST, epoch: each.epoch, ...grantOf(each.version) })
            } catch (error) {
              assert.ok(error instanceof VolumeError)
              outcome = error.code === 'DiskFull' ? 'full' : 'refused'
              assert.ok(outcome === 'full' || error.code === 'StaleVolumeEpoch', error.code)
            }
            const after = promised(volume)
            if (outcome !== 'done' || each.what === 'restart') assert.deepEqual(after, before, `after ${each.what}`)
            assert.ok(after.fencedEpoch >= before.fencedEpoch && after.state.epoch >= before.state.epoch)
            assert.ok(after.state.cutoff >= before.state.cutoff)
            assert.ok(after.state.grantVersion >= before.state.grantVersion)
            assert.ok(after.fencedEpoch >= after.state.epoch)
            if (outcome === 'done' && 'epoch' in each) assert.ok(after.fencedEpoch >= each.epoch)
            const { cutoff, pins, grantVersion } = after.state
            assert.deepEqual({ cutoff, pins, grantVersion }, grantOf(grantVersion))
            assert.deepEqual(promised(restarted(disk)), after, 'it is on disk when it is given')
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('is not given when it cannot be written, also not when it is asked for a second time', () => {
    const attempts: Record<string, (volume: NodeVolume) => void> = {
      fence: (volume) => volume.fence(5),
      seal: (volume) => void volume.seal({ ...FIRST, epoch: 5 }),
      grant: (volume) => volume.adoptGrant({ cutoff: lsn(9), pins: [], grantVersion: 5 }),
      detach: (volume) => volume.detach(),
    }
    for (const [what, attempt] of Object.entries(attempts)) {
      const { disk, volume } = create({ parent: { volume: volumeId(3), lsn: lsn(0) } })
      disk.capacityBytes = 0
      for (let tries = 0; tries < 2; tries++) assert.throws(() => attempt(volume), hasCode('DiskFull'), what)
      assert.deepEqual(promised(volume), promised(restarted(disk)), what)
      disk.capacityBytes = Number.MAX_SAFE_INTEGER
      attempt(volume)
      assert.deepEqual(promised(volume), promised(restarted(disk)), what)
    }
  })

  it('says which epochs may append: neither a lower one, nor one that is promised and not in force', () => {
    const { volume } = create({ epoch: 4 })
    const said = (): string[] => [3, 4, 5, 6].map((epoch) => volume.checkEpoch(epoch))
    assert.deepEqual(said(), ['StaleVolumeEpoch', 'Ok', 'UnknownEpoch', 'UnknownEpoch'])
    volume.fence(6)
    assert.deepEqual(said(), ['StaleVolumeEpoch', 'StaleVolumeEpoch', 'StaleVolumeEpoch', 'UnknownEpoch'])
    assert.throws(() => volume.seal({ ...FIRST, epoch: 5 }), hasCode('StaleVolumeEpoch'))
    assert.throws(() => volume.fence(5), hasCode('StaleVolumeEpoch'))
    assert.equal(volume.seal({ ...FIRST, epoch: 6 }), true)
    assert.equal(volume.seal({ ...FIRST, epoch: 6 }), false)
    assert.deepEqual(said(), ['StaleVolumeEpoch', 'StaleVolumeEpoch', 'StaleVolumeEpoch', 'Ok'])
  })

  it('stops the node when the cutoff would go back', () => {
    const { volume } = create({ cutoff: lsn(50) })
    assert.throws(() => volume.adoptGrant({ cutoff: lsn(40), pins: [], grantVersion: 2 }), hasCode('Invariant'))
  })

  it('is lost with both copies: the node has to be replaced then', () => {
    const { disk } = create()
    for (const path of disk.paths()) disk.flip(path, 40)
    assert.throws(() => NodeVolume.load(disk), hasCode('Corrupt'))
  })

  it('goes with the volume, and no other', () => {
    const { disk, volume } = create()
    NodeVolume.create(disk, { ...FIRST, volume: volumeId(8) })
    volume.forget()
    assert.deepEqual(
      NodeVolume.load(disk).map(({ state }) => state.volume),
      [8],
    )
  })
})

describe('a read point', () => {
  it('may be read at or above the cutoff, and at each pin', () => {
    const { volume } = create({ cutoff: lsn(100), pins: [lsn(20), lsn(70)] })
    for (let at = 0; at < 130; at++) {
      if (at >= 100 || at === 20 || at === 70) volume.checkReadPoint(lsn(at))
      else assert.throws(() => volume.checkReadPoint(lsn(at)), hasCode('ReadPointTooOld'))
    }
  })
})

describe('an announcement', () => {
  const announce = (sequence: number, more: Partial<VdlAnnouncement> = {}): VdlAnnouncement => ({
    volume: volumeId(7),
    volumeEpoch: 1,
    sequence,
    complete: false,
    vdl: lsn(sequence * 100),
    points: [[groupIndex(0), lsn(sequence * 100)]],
    ...more,
  })
  const others = (volume: NodeVolume, announcement: VdlAnnouncement): boolean | undefined =>
    volume.announced(announcement)?.othersUnchanged

  it('tells of groups that it leaves out only when none before it was lost', () => {
    const { volume } = create()
    assert.equal(others(volume, announce(1)), true)
    assert.equal(others(volume, announce(2)), true)
    assert.equal(others(volume, announce(4)), false, 'the third may have told of a group that this one leaves out')
    assert.equal(others(volume, announce(5)), false)
    assert.equal(others(volume, announce(6, { complete: true })), true)
    assert.equal(others(volume, announce(7)), true)
  })

  it('that comes again, or late, or of another epoch, tells nothing', () => {
    const { volume } = create()
    volume.announced(announce(1))
    volume.announced(announce(3, { complete: true }))
    for (const stale of [announce(1), announce(2), announce(3), announce(9, { volumeEpoch: 2 })]) {
      assert.equal(volume.announced(stale), undefined)
    }
    assert.equal(volume.vdl, 300)
  })

  it('that comes before one that it follows is good for what it names, and the other still counts', () => {
    const { volume } = create()
    assert.equal(others(volume, announce(2)), false)
    assert.deepEqual([...(volume.announced(announce(2))?.points ?? [])], [[0, 200]])
    assert.equal(others(volume, announce(1)), true)
    assert.equal(others(volume, announce(2)), true)
    assert.equal(volume.vdl, 200, 'what is durable never goes back')
  })

  it('begins again with each epoch', () => {
    const { volume } = create()
    volume.announced(announce(5, { complete: true }))
    volume.seal({ ...FIRST, epoch: 2 })
    assert.equal(others(volume, announce(1, { volumeEpoch: 2, vdl: lsn(50) })), true)
    assert.equal(volume.announced(announce(6)), undefined)
    assert.equal(volume.vdl, 500)
  })
})

describe('the durable point', () => {
  it('begins where the volume does, and only rises', () => {
    const { volume } = create({ base: lsn(900), cutoff: lsn(900) })
    assert.equal(volume.vdl, 900)
    for (const at of [100, 1_000, 950]) volume.learnVdl(lsn(at))
    assert.equal(volume.vdl, 1_000)
  })
})
