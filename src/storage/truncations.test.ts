import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LoneNode, recordAfter, STATE } from '../../test/lone-node.ts'
import { groupIndex, type Lsn, lsn, ZERO_LSN } from '../protocol/lsn.ts'
import { encodeVdl } from '../protocol/message.ts'
import type { Segment } from './segment.ts'

const first = recordAfter(ZERO_LSN, 3, 9)
const second = recordAfter(first.lsn, 4, 9)

const segmentOf = (lone: LoneNode): Segment => lone.node.table.need(STATE.volume, groupIndex(0))

function withBoth(): LoneNode {
  const lone = new LoneNode()
  lone.configure()
  lone.append({}, first, second)
  lone.commit()
  return lone
}

/** The writer says that the volume is durable up to here, where the group has its last record. */
function announce(lone: LoneNode, sequence: number, vdl: Lsn): void {
  const message = encodeVdl({
    volume: STATE.volume,
    volumeEpoch: 1,
    sequence,
    complete: true,
    vdl,
    points: [[groupIndex(0), vdl]],
  })
  lone.node.receive(1, message[0] as number, message.subarray(1))
}

function workThrough(lone: LoneNode): void {
  for (let slices = 0; slices < 1_000 && lone.node.background(); slices++);
}

describe('what an opening annulled', () => {
  it('is cut from the log, and stays so after a restart, though its bytes are still there', () => {
    const lone = withBoth()
    assert.equal(segmentOf(lone).scl, second.lsn)
    const truncations = [{ epoch: 2, from: first.lsn, to: lsn(second.lsn + 10_000) }]
    const { segments } = lone.call('seal', { state: { ...STATE, epoch: 2, truncations, grantVersion: 2 } })
    assert.equal(segments[0]?.scl, first.lsn)
    lone.restart()
    assert.equal(segmentOf(lone).scl, first.lsn)
  })
})

describe('what is not known to be durable', () => {
  it('is not written to layers, which no opening can cut; its log is kept until it is', () => {
    const lone = withBoth()
    const segment = segmentOf(lone)
    announce(lone, 1, first.lsn)
    lone.node.work.wantFlush(segment)
    workThrough(lone)
    assert.deepEqual([segment.flushed, segment.oldestLogFile(0)], [0, 1])
    announce(lone, 2, second.lsn)
    lone.node.work.wantFlush(segment)
    workThrough(lone)
    assert.deepEqual([segment.flushed, segment.oldestLogFile(0)], [second.lsn, undefined])
  })
})

describe('a node that hears of a durable point', () => {
  it('serves reads there once its own chain has reached it', () => {
    const lone = new LoneNode()
    lone.configure()
    lone.append({}, first)
    lone.commit()
    announce(lone, 1, second.lsn)
    const statusAt = (readPoint: Lsn) => lone.read({ block: 3, readPoint }).status
    assert.equal(statusAt(second.lsn), 'ReadPointAhead')
    lone.append({}, second)
    lone.commit()
    assert.equal(statusAt(second.lsn), 'Ok')
  })
})
