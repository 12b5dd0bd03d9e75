import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { VolumeError } from '../protocol/errors.ts'
import { joint, newGroup } from '../protocol/group.ts'
import { groupIndex, lsn, nodeId, volumeId } from '../protocol/lsn.ts'
import { formatGroupRecord, parseGroupRecord } from './group-record.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { volumeKey } from './registry.ts'
import { changeVolume, createGroup, createVolume, readGroup, readVolume } from './registry-cells.ts'
import { claimEpoch, recordTruncation } from './volume-changes.ts'
import { formatVolumeRecord, newBranch, newVolume, parseVolumeRecord, volumeState } from './volume-record.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code
const fixture = (name: string): string =>
  readFileSync(new URL(`../../test/fixtures/${name}-v1.json`, import.meta.url), 'utf8')

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** Every document that differs from `json` in one value: of another type, missing, or joined by an unknown one. */
function* spoilt(json: Json): Generator<Json> {
  if (json === null || typeof json !== 'object') {
    yield -1
    yield typeof json === 'string' ? 5 : 'text'
    yield {}
    return
  }
  yield 'text'
  if (Array.isArray(json)) {
    for (const [i, item] of json.entries()) for (const bad of spoilt(item)) yield json.with(i, bad)
    return
  }
  for (const [key, value] of Object.entries(json)) {
    for (const bad of spoilt(value)) yield { ...json, [key]: bad }
    const { [key]: _, ...rest } = json
    if (!/^\d+$/.test(key)) yield rest
  }
  yield { ...json, unknown: 1 }
}

for (const [name, reformat] of [
  ['volume-record', (json: string) => formatVolumeRecord(parseVolumeRecord(json))],
  ['group-record', (json: string) => formatGroupRecord(parseGroupRecord(json))],
] as const) {
  describe(`${name}, format 1`, () => {
    it('is read, and is what is written', () => {
      assert.equal(reformat(fixture(name)), JSON.stringify(JSON.parse(fixture(name))))
    })

    it('refuses a newer format', () => {
      const newer = JSON.stringify({ ...JSON.parse(fixture(name)), format: 2, more: true })
      assert.throws(() => reformat(newer), hasCode('UnsupportedFormat'))
    })

    it('refuses whatever has a value of another type, one too few or one too many', () => {
      let count = 0
      for (const bad of spoilt(JSON.parse(fixture(name)))) {
        assert.throws(() => reformat(JSON.stringify(bad)), hasCode('Corrupt'), JSON.stringify(bad))
        count++
      }
      assert.ok(count > 100)
      assert.throws(() => reformat('{'), hasCode('Corrupt'))
    })
  })
}

describe('a volume record', () => {
  const parsed = parseVolumeRecord(fixture('volume-record'))
  const refuses = (change: object): void =>
    assert.throws(
      () => parseVolumeRecord(JSON.stringify({ ...JSON.parse(fixture('volume-record')), ...change })),
      hasCode('Corrupt'),
    )

  it('has a cutoff not below its base, different pins, and truncations in order', () => {
    refuses({ cutoff: parsed.base - 1 })
    refuses({ pins: [parsed.pins[0], parsed.pins[0]] })
    refuses({ truncations: [...parsed.truncations].reverse() })
    refuses({ truncations: [{ epoch: 1, from: 5, to: 4 }] })
    refuses({ groups: { '01': 'active' } })
  })

  it('has an expiry for leases and for no other pin', () => {
    refuses({ pins: [{ id: 'a', kind: 'lease', lsn: 50000 }] })
    refuses({ pins: [{ id: 'a', kind: 'pin', lsn: 50000, expiresAtMs: 1 }] })
  })

  it('tells nodes each pinned LSN once', () => {
    const pins = [...parsed.pins, { id: 'again', kind: 'pin' as const, lsn: lsn(41000) }]
    const state = volumeState({ ...parsed, pins }, 9)
    assert.deepEqual(state.pins, [41000, 45000, 268500100])
    assert.deepEqual([state.grantVersion, state.epoch, state.cutoff, state.truncations.length], [9, 4, 45000, 2])
  })

  it('of a branch begins where its parent is shown, beside it', () => {
    const branch = newBranch(volumeId(9), parsed, lsn(50000))
    assert.deepEqual(branch.parent, { volume: parsed.id, lsn: 50000 })
    assert.deepEqual([branch.placement, branch.base, branch.cutoff, branch.epoch], [parsed.placement, 50000, 50000, 0])
    assert.deepEqual(parseVolumeRecord(formatVolumeRecord(branch)), branch)
  })
})

describe('records in the registry', () => {
  const id = volumeId(3)

  it('are made once, read and changed', async () => {
    const registry = new MemoryRegistry()
    await assert.rejects(readVolume(registry, id), hasCode('NotFound'))
    await assert.rejects(changeVolume(registry, id, claimEpoch), hasCode('NotFound'))
    await createVolume(registry, newVolume(id, 8192, 100))
    await assert.rejects(createVolume(registry, newVolume(id, 8192, 100)), hasCode('AlreadyExists'))
    const changed = await changeVolume(registry, id, claimEpoch)
    assert.equal(changed.record.epoch, 1)
    assert.deepEqual((await readVolume(registry, id)).record, changed.record)
  })

  it('give every one of many openers an epoch of its own', async () => {
    const registry = new MemoryRegistry()
    await createVolume(registry, newVolume(id, 8192, 100))
    const claims = await Promise.all(Array.from({ length: 8 }, () => changeVolume(registry, id, claimEpoch)))
    assert.deepEqual(claims.map(({ record }) => record.epoch).sort(), [1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('are not written when nothing changed', async () => {
    const registry = new MemoryRegistry()
    await createVolume(registry, newVolume(id, 8192, 100))
    const before = await registry.get(volumeKey(id))
    await changeVolume(registry, id, (volume) => volume)
    assert.deepEqual(await registry.get(volumeKey(id)), before)
  })

  it('of groups too', async () => {
    const registry = new MemoryRegistry()
    const members = ['a', 'b', 'c'].flatMap((zone) =>
      (['full', 'tail'] as const).map((kind) => ({
        node: nodeId(zone + kind),
        incarnation: 'x',
        zone,
        kind,
        address: 'h:1',
      })),
    )
    const config = newGroup(groupIndex(2), members)
    await createGroup(registry, id, config)
    assert.deepEqual((await readGroup(registry, id, groupIndex(2))).record, config)
    const changing = joint(
      config,
      new Map([[nodeId('ctail'), { ...(members[5] as (typeof members)[0]), node: nodeId('new') }]]),
    )
    assert.deepEqual(parseGroupRecord(formatGroupRecord(changing)), changing)
  })
})

describe('what nodes are told of an epoch', () => {
  it('comes only once its truncation is recorded: whoever adopted it before would never carry that out', () => {
    const claimed = claimEpoch(newVolume(volumeId(1), 8192, 100))
    assert.equal(claimed.epoch, 1)
    assert.equal(volumeState(claimed, 7).epoch, 0)
    const recorded = recordTruncation(claimed, { epoch: 1, from: lsn(0), to: lsn(1000) })
    assert.equal(volumeState(recorded, 8).epoch, 1)
    assert.equal(volumeState(claimEpoch(recorded), 9).epoch, 1)
  })
})
