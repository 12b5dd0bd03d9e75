import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ScriptedFabric } from '../../test/scripted-fabric.ts'
import { sixMembers } from '../../test/six-members.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { VolumeError } from '../protocol/errors.ts'
import { lsn, volumeId } from '../protocol/lsn.ts'
import { encodePage, readRead } from '../protocol/message.ts'
import { type BlockContent, BlockReads } from './block-reads.ts'
import { NodeClient } from './node-client.ts'

function setUp() {
  const fabric = new ScriptedFabric()
  const time = { ms: 0 }
  const client = new NodeClient(fabric, { now: () => time.ms, wallClock: () => 0 })
  const reads = new BlockReads(client)
  const read = (): string[] => {
    const outcomes: string[] = []
    reads.read(
      {
        volume: volumeId(1),
        config: sixMembers(),
        block: 3,
        volumeEpoch: 1,
        readPoint: lsn(100),
        minScl: null,
      },
      (outcome: BlockContent | VolumeError) =>
        outcomes.push(outcome instanceof VolumeError ? outcome.code : `byte ${outcome.bytes[0]}`),
    )
    return outcomes
  }
  /** Whom the reads since the last look went to, and the numbers of the requests. */
  const asked = (): { readonly address: string; readonly request: number }[] =>
    fabric.take().map(({ address, body }) => ({ address, request: readRead(body).request }))
  const answer = (to: { address: string; request: number } | undefined, what: number | ErrorCode): void => {
    if (to === undefined) throw new Error('nobody was asked')
    const status = typeof what === 'number' ? 'Ok' : what
    const bytes = typeof what === 'number' ? new Uint8Array(16).fill(what) : new Uint8Array()
    fabric.arrive(to.address, encodePage({ request: to.request, status, version: lsn(9), bytes }))
  }
  /** Reads once and lets who is asked answer after so long. */
  const answered = (afterMs: number): string | undefined => {
    read()
    const [one] = asked()
    time.ms += afterMs
    answer(one, 1)
    return one?.address
  }
  return { fabric, time, client, reads, read, asked, answer, answered }
}

describe('a read', () => {
  it('asks one full member, and no tail', () => {
    const { read, asked, answer } = setUp()
    const outcomes = read()
    const requests = asked()
    assert.equal(requests.length, 1)
    assert.ok(['a', 'c', 'e'].includes(requests[0]?.address ?? ''))
    answer(requests[0], 7)
    assert.deepEqual(outcomes, ['byte 7'])
  })

  it('asks whoever was fastest so far, and now and then another', () => {
    const { asked, read, time, answer } = setUp()
    const speed: Record<string, number> = { a: 5, c: 1, e: 9 }
    const counts: Record<string, number> = { a: 0, c: 0, e: 0 }
    for (let i = 0; i < 640; i++) {
      read()
      const [one] = asked()
      time.ms += speed[one?.address ?? ''] ?? 0
      counts[one?.address ?? ''] = (counts[one?.address ?? ''] ?? 0) + 1
      answer(one, 1)
    }
    const { a = 0, c = 0, e = 0 } = counts
    assert.ok(c > 600, `c was asked ${c} times`)
    assert.ok(a + e >= 8, 'nobody else was')
  })

  it('asks a second member when the first takes several times what it usually needs; the first answer counts', () => {
    const { read, asked, answer, time, reads } = setUp()
    const outcomes = read()
    const [first] = asked()
    time.ms = 3.9
    reads.tick()
    assert.deepEqual(asked(), [], 'not yet')
    time.ms = 4
    reads.tick()
    const [second] = asked()
    assert.notEqual(second?.address, first?.address)
    answer(second, 2)
    answer(first, 1)
    assert.deepEqual(outcomes, ['byte 2'])
    assert.equal(reads.hedged, 1)
  })

  it('asks every full member once at most', () => {
    const { read, asked, answer, time, reads } = setUp()
    const outcomes = read()
    const all = asked()
    for (let i = 0; i < 10; i++) {
      time.ms += 50
      reads.tick()
      all.push(...asked())
    }
    assert.deepEqual(all.map(({ address }) => address).sort(), ['a', 'c', 'e'])
    answer(all[2], 3)
    assert.deepEqual(outcomes, ['byte 3'])
  })

  it('waits longer for members that have been slow', () => {
    const { answered, read, asked, time, reads } = setUp()
    // All three were measured, and all take 20 ms.
    const seen = new Set<string | undefined>()
    for (let i = 0; i < 400; i++) seen.add(answered(20))
    assert.ok(seen.size >= 2)
    read()
    asked()
    time.ms += 70
    reads.tick()
    assert.deepEqual(asked(), [])
    time.ms += 20
    reads.tick()
    assert.equal(asked().length, 1)
  })
})

describe('a member that cannot answer', () => {
  it('is followed by the next one at once, until none is left', () => {
    const { read, asked, answer, fabric } = setUp()
    const outcomes = read()
    const [first] = asked()
    answer(first, 'SuspectSegment')
    const [second] = asked()
    fabric.down(second?.address ?? '')
    const [third] = asked()
    assert.deepEqual(outcomes, [])
    answer(third, 4)
    assert.deepEqual(outcomes, ['byte 4'])
    assert.equal(new Set([first?.address, second?.address, third?.address]).size, 3)
  })

  it('because the read itself is refused everywhere ends it at once', () => {
    for (const code of ['ReadPointTooOld', 'StaleVolumeEpoch', 'StaleMembership'] as const) {
      const { read, asked, answer } = setUp()
      const outcomes = read()
      answer(asked()[0], code)
      assert.deepEqual([outcomes, asked()], [[code], []])
    }
  })

  it('says more when it is up than when it is down: the error is that of a member that answered', () => {
    for (const order of [
      ['ReadPointAhead', 'down', 'down'],
      ['down', 'ReadPointAhead', 'down'],
      ['down', 'down', 'ReadPointAhead'],
    ] as const) {
      const { read, asked, answer, fabric } = setUp()
      const outcomes = read()
      for (const each of order) {
        const [one] = asked()
        if (each === 'down') fabric.down(one?.address ?? '')
        else answer(one, each)
      }
      assert.deepEqual(outcomes, ['ReadPointAhead'], String(order))
    }
  })

  it('at all is `Unreachable`', () => {
    const { read, fabric } = setUp()
    for (const name of ['a', 'c', 'e']) fabric.unreachable.add(name)
    assert.deepEqual(read(), ['Unreachable'])
  })

  it('while another one is still asked is no end', () => {
    const { read, asked, answer, time, reads } = setUp()
    const outcomes = read()
    const [slow] = asked()
    time.ms += 50
    reads.tick()
    answer(asked()[0], 'SuspectSegment')
    answer(asked()[0], 'SuspectSegment')
    assert.deepEqual(outcomes, [])
    answer(slow, 5)
    assert.deepEqual(outcomes, ['byte 5'])
  })

  it('in time is given up by its deadline', () => {
    const { read, time, client, reads } = setUp()
    const outcomes = read()
    for (let i = 0; i < 20; i++) {
      time.ms += 200
      client.tick()
      reads.tick()
    }
    assert.deepEqual(outcomes, ['TimedOut'])
  })
})

describe('a late answer', () => {
  it('changes nothing, and is not taken for one to a later read', () => {
    const { read, asked, answer, time, reads } = setUp()
    const first = read()
    const [slow] = asked()
    time.ms += 50
    reads.tick()
    answer(asked()[0], 2)
    const second = read()
    answer(slow, 9)
    assert.deepEqual([first, second], [['byte 2'], []])
    answer(asked()[0], 3)
    assert.deepEqual(second, ['byte 3'])
  })
})
