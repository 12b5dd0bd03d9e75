import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SMALL_NODE } from '../../test/local-fleet.ts'
import { LoneNode, recordAfter, STATE } from '../../test/lone-node.ts'
import { groupIndex, type Lsn, ZERO_LSN } from '../protocol/lsn.ts'
import { LayerSet } from './layers/layer-set.ts'
import { LogFloor } from './log-floor.ts'
import type { Segment } from './segment.ts'

const segmentOf = (lone: LoneNode): Segment => lone.node.table.need(STATE.volume, groupIndex(0))
const logFiles = (lone: LoneNode): string[] => lone.disk.paths().filter((path) => path.endsWith('.pages'))

/** Everything that a node does by itself, for a second. */
function workThrough(lone: LoneNode): void {
  for (let i = 0; i < 10; i++) {
    lone.nowMs += 100
    lone.node.tick()
    for (let slices = 0; slices < 1_000 && lone.node.background(); slices++);
  }
}

/** A node with so many full files of log, all of it durable in the volume. */
function loaded(files: number): { readonly lone: LoneNode; readonly last: Lsn } {
  const lone = new LoneNode()
  lone.configure()
  let last = ZERO_LSN
  // Each commit is a page of log.
  for (let i = 0; i < (files * SMALL_NODE.logFileBytes) / SMALL_NODE.logPageBytes; i++) {
    const record = recordAfter(last, i % 8, i)
    lone.append({ vdl: record.lsn, groupPoint: record.lsn }, record)
    lone.commit()
    last = record.lsn
  }
  return { lone, last }
}

describe('log that is in layers', () => {
  it('is not replayed by the next start, which knows all that it was told', () => {
    const { lone, last } = loaded(2)
    lone.node.work.wantFlush(segmentOf(lone))
    workThrough(lone)
    const [oldest = ''] = logFiles(lone)
    assert.ok(LogFloor.load(lone.disk).file > Number.parseInt(oldest.slice('log/'.length), 16), 'it is still there')
    // Who looked at it would be in doubt about what it has.
    for (let offset = 0; offset < SMALL_NODE.logFileBytes; offset += 100) lone.disk.flip(oldest, offset)
    lone.restart()
    const segment = segmentOf(lone)
    assert.deepEqual([segment.state, segment.scl, lone.node.counters.logDamage], ['active', last, undefined])
    const next = recordAfter(last, 1, 1)
    lone.append({}, next)
    lone.commit()
    assert.equal(lone.acks().at(-1)?.scl, next.lsn)
  })

  it('is replayed again when layers that reach less far take the place of those', () => {
    const { lone, last } = loaded(2)
    lone.node.work.wantFlush(segmentOf(lone))
    workThrough(lone)
    const segment = segmentOf(lone)
    assert.equal(segment.flushed, last)
    segment.rebuilt(LayerSet.emptyManifest(), ZERO_LSN, ZERO_LSN, null)
    lone.restart()
    assert.deepEqual([segmentOf(lone).flushed, segmentOf(lone).scl], [0, last])
  })
})

describe('log that no layer holds', () => {
  it('is flushed when there is more of it than a start is to replay', () => {
    const { lone, last } = loaded(3)
    assert.ok(segmentOf(lone).memory.bytes < SMALL_NODE.flushBytes, 'not for its size')
    workThrough(lone)
    assert.equal(segmentOf(lone).flushed, last)
  })
})
