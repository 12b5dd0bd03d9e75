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

  it('is said at most every 10 ms, and only when it has moved; all of it every second, and when it is asked for', () => {
    const { durability, announcer, sent } = announcing()
    const told: number[] = []
    let at = 0
    for (let ms = 1; ms <= 3_000; ms++) {
      // A record a millisecond, until there are no more.
      if (ms <= 100) {
        durability.appended(a, lsn(++at), true)
        announcer.appended(a, lsn(at))
        durability.groupDurable(a, lsn(at))
      }
      const before = sent.length
      announcer.tick(ms)
      if (sent.length > before) told.push(ms)
    }
    assert.deepEqual(told, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 1_000, 2_000, 3_000])
    assert.deepEqual(
      sent.map(({ complete }) => complete),
      [true, ...new Array<boolean>(10).fill(false), true, true, true],
    )
    assert.deepEqual(
      sent.map(({ sequence }) => sequence),
      sent.map((_, i) => i + 1),
    )
    announcer.again()
    announcer.tick(3_001)
    assert.equal(sent.at(-1)?.complete, true)
    assert.deepEqual(
      new Map(sent.at(-1)?.points ?? []),
      new Map([
        [a, lsn(100)],
        [b, lsn(0)],
      ]),
    )
  })
})
