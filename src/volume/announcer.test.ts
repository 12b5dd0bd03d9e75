import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Durability } from '../protocol/durability.ts'
import { groupIndex, lsn, volumeId, ZERO_LSN } from '../protocol/lsn.ts'
import { readVdl, type VdlAnnouncement } from '../protocol/message.ts'
import { Announcer } from './announcer.ts'

const [a, b] = [groupIndex(0), groupIndex(1)]

function announcing(): { durability: Durability; announcer: Announcer; sent: VdlAnnouncement[] } {
  const durability = new Durability(ZERO_LSN, new Map([a, b].map((group) => [group, ZERO_LSN])))
  const sent: VdlAnnouncement[] = []
  const announcer = new Announcer(volumeId(1), 1, durability, (parts) =>
    sent.push(readVdl(Buffer.concat(parts).subarray(1))),
  )
  announcer.tick(0)
  return { durability, announcer, sent }
}

describe('announcing the durable point', () => {
  it('leaves out a group only when its point is the same as in the announcement before', () => {
    const { durability, announcer, sent } = announcing()
    for (const [group, at] of [
      [a, lsn(100)],
      [b, lsn(200)],
    ] as const) {
      durability.appended(group, at, true)
      announcer.appended(group, at)
    }
    durability.groupDurable(a, lsn(100))
    announcer.tick(20)
    assert.equal(sent.at(-1)?.vdl, 100)
    // The record of group b was appended before that announcement and is durable after it.
    durability.groupDurable(b, lsn(200))
    announcer.tick(40)
    assert.equal(sent.at(-1)?.vdl, 200)
    assert.deepEqual(new Map(sent.at(-1)?.points ?? []).get(b), 200)
    assert.deepEqual(
      sent.map(({ complete, sequence }) => [complete, sequence]),
      [
        [true, 1],
        [false, 2],
        [false, 3],
      ],
    )
    durability.appended(a, lsn(300), true)
    announcer.appended(a, lsn(300))
    durability.groupDurable(a, lsn(300))
    announcer.tick(60)
    assert.deepEqual(sent.at(-1)?.points, [[a, 300]])
  })
})
