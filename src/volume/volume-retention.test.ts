import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { VolumeError } from '../protocol/errors.ts'
import { lsn, volumeId } from '../protocol/lsn.ts'
import { newVolume, type Pin, type VolumeRecord } from './volume-record.ts'
import { addPin, advanceCutoff, expireLeases, PINS_MAX, removePin, renewLease } from './volume-retention.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code
const fresh = newVolume(volumeId(1), 8192, 100)
const pin = (id: string, at: number): Pin => ({ id, kind: 'pin', lsn: lsn(at) })
const lease = (id: string, at: number, expiresAtMs: number): Pin => ({ id, kind: 'lease', lsn: lsn(at), expiresAtMs })
const cutTo = (volume: VolumeRecord, to: number, nowMs = 0): VolumeRecord => advanceCutoff(volume, lsn(to), nowMs)

describe('a pin', () => {
  it('is refused below the cutoff, where the version may be gone', () => {
    const volume = cutTo(fresh, 100)
    assert.throws(() => addPin(volume, pin('a', 99)), hasCode('ReadPointTooOld'))
    assert.deepEqual(addPin(volume, pin('a', 100)).pins, [pin('a', 100)])
  })

  it('may be added below the cutoff at the very LSN that another one keeps', () => {
    const volume = cutTo(addPin(fresh, pin('a', 50)), 100)
    const both = addPin(volume, { id: 'vol-00000002', kind: 'branch', lsn: lsn(50) })
    assert.equal(removePin(both, 'a').pins.length, 1)
    assert.throws(() => addPin(volume, pin('b', 51)), hasCode('ReadPointTooOld'))
    assert.throws(() => addPin(removePin(volume, 'a'), pin('b', 50)), hasCode('ReadPointTooOld'))
  })

  it('is added and removed once, however often that is asked', () => {
    const volume = addPin(fresh, pin('a', 50))
    assert.equal(addPin(volume, pin('a', 50)), volume)
    assert.equal(addPin(cutTo(volume, 100), pin('a', 50)).pins.length, 1)
    assert.throws(() => addPin(volume, pin('a', 51)), hasCode('AlreadyExists'))
    assert.throws(() => addPin(volume, lease('a', 50, 9)), hasCode('AlreadyExists'))
    const without = removePin(volume, 'a')
    assert.deepEqual(without.pins, [])
    assert.equal(removePin(without, 'a'), without)
  })

  it('is refused when it makes no sense, or there are too many', () => {
    assert.throws(() => addPin(fresh, pin('', 5)), hasCode('BadRequest'))
    assert.throws(() => addPin(fresh, pin('a', 0.5)), hasCode('BadRequest'))
    assert.throws(() => addPin(fresh, { id: 'a', kind: 'lease', lsn: lsn(5) }), hasCode('BadRequest'))
    assert.throws(() => addPin(fresh, { ...pin('a', 5), expiresAtMs: 5 }), hasCode('BadRequest'))
    const full = { ...fresh, pins: Array.from({ length: PINS_MAX }, (_, i) => pin(`p${i}`, i)) }
    assert.throws(() => addPin(full, pin('a', 5)), hasCode('BadRequest'))
  })
})

describe('a lease', () => {
  it('is renewed while it lives, never shortened, and not once it has run out', () => {
    const volume = addPin(fresh, lease('r', 50, 1000))
    assert.equal(renewLease(volume, 'r', 2000, 999).pins[0]?.expiresAtMs, 2000)
    assert.equal(renewLease(volume, 'r', 500, 400), volume)
    assert.throws(() => renewLease(volume, 'r', 2000, 1000), hasCode('LeaseExpired'))
    assert.throws(() => renewLease(volume, 'other', 2000, 0), hasCode('LeaseExpired'))
    assert.throws(() => renewLease(addPin(fresh, pin('p', 5)), 'p', 2000, 0), hasCode('LeaseExpired'))
  })

  it('is dropped when it has run out, and pins are not', () => {
    const volume = addPin(addPin(addPin(fresh, lease('r', 50, 1000)), lease('s', 60, 2000)), pin('p', 40))
    assert.equal(expireLeases(volume, 999), volume)
    assert.deepEqual(
      expireLeases(volume, 1000).pins.map(({ id }) => id),
      ['s', 'p'],
    )
  })
})

describe('the cutoff', () => {
  it('never goes back', () => {
    const volume = cutTo(fresh, 100)
    assert.equal(cutTo(volume, 50), volume)
  })

  it('stops at the lowest lease that lives, and goes on when it has run out', () => {
    const volume = addPin(addPin(fresh, lease('r', 70, 2000)), lease('s', 50, 1000))
    assert.equal(cutTo(volume, 100, 500).cutoff, 50)
    assert.equal(cutTo(volume, 100, 1000).cutoff, 70)
    assert.equal(cutTo(volume, 100, 2000).cutoff, 100)
    assert.equal(cutTo(volume, 30, 500).cutoff, 30)
  })

  it('passes pins and branches, which stay listed', () => {
    const volume = addPin(addPin(fresh, pin('p', 50)), { id: 'vol-00000002', kind: 'branch', lsn: lsn(60) })
    const cut = cutTo(volume, 100)
    assert.equal(cut.cutoff, 100)
    assert.deepEqual(cut.pins, volume.pins)
  })

  it('is not held by a lease that was taken below it, at a pinned LSN', () => {
    const volume = addPin(cutTo(addPin(fresh, pin('p', 50)), 100), lease('r', 50, 1000))
    assert.equal(cutTo(volume, 200).cutoff, 200)
  })
})

describe('whatever happens', () => {
  it('what was pinned can be read: it is listed, or at or above the cutoff, until it is removed or runs out', () => {
    const at = fc.nat(20).map(lsn)
    const id = fc.constantFrom('a', 'b', 'c')
    const step = fc.oneof(
      fc.record({ what: fc.constant('pin' as const), id, at }),
      fc.record({ what: fc.constant('lease' as const), id, at, forMs: fc.nat(9) }),
      fc.record({ what: fc.constant('renew' as const), id, forMs: fc.nat(9) }),
      fc.record({ what: fc.constant('remove' as const), id }),
      fc.record({ what: fc.constant('expire' as const) }),
      fc.record({ what: fc.constant('cut' as const), at }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let volume = fresh
        /** What nodes may have collected: below the cutoff, all that was unlisted at some time since. */
        const gone = new Set<number>()
        for (const [nowMs, each] of steps.entries()) {
          const before = volume
          try {
            if (each.what === 'pin') volume = addPin(volume, pin(each.id, each.at))
            else if (each.what === 'lease') volume = addPin(volume, lease(each.id, each.at, nowMs + each.forMs))
            else if (each.what === 'renew') volume = renewLease(volume, each.id, nowMs + each.forMs, nowMs)
            else if (each.what === 'remove') volume = removePin(volume, each.id)
            else if (each.what === 'expire') volume = expireLeases(volume, nowMs)
            else volume = advanceCutoff(volume, each.at, nowMs)
          } catch (error) {
            assert.ok(error instanceof VolumeError && error.family !== 'invariant')
          }
          assert.ok(volume.cutoff >= before.cutoff)
          for (let point = 0; point < volume.cutoff; point++) {
            if (!volume.pins.some((kept) => kept.lsn === point)) gone.add(point)
          }
          for (const { lsn: point } of volume.pins) assert.ok(!gone.has(point), `${point} is pinned and gone`)
          for (const live of volume.pins) {
            const held = (live.expiresAtMs ?? 0) > nowMs && live.lsn >= before.cutoff
            assert.ok(!held || volume.cutoff <= live.lsn, `the cutoff passed lease ${live.id}`)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })
})
