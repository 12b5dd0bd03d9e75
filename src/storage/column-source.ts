/** Gives other segments of a group what they need to mend their damaged blocks: the other end of `column-repair.ts`. */
import { crc32 } from 'node:zlib'
import type { Calls, HistoryAnswer } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { lsn, ZERO_LSN } from '../protocol/lsn.ts'
import { type HistoryCursor, type HistoryPage, historyBasis, historyPage } from './layers/history.ts'
import { LayerDamage } from './layers/layer-damage.ts'
import type { Segment } from './segment.ts'

const NOTHING = new Uint8Array(0)

/** Changes whenever what a page said of a block's past may not go on in the next one. */
const basisOf = (segment: Segment, block: number): string =>
  `${segment.generation}-${historyBasis(segment.blocks, block)}`

/**
 * Answers a page of the history of some blocks.
 * @param damaged told of damage that is found here on the way; answers whether it was not known
 * @throws VolumeError `SuspectSegment`, `ReadPointAhead`, `Conflict`, `BadRequest`: it cannot be had here now
 */
export function giveHistory(
  segment: Segment,
  argument: Calls['history']['argument'],
  damaged: (error: LayerDamage) => boolean,
): { readonly value: HistoryAnswer; readonly attachment: Uint8Array } {
  const { from, to, after, upTo, basis } = argument
  const { volume, layers } = segment
  if (segment.kind !== 'full' || segment.state !== 'active')
    throw new VolumeError('SuspectSegment', `a ${segment.state} ${segment.kind} segment is no source`)
  if (from >= to) throw new VolumeError('BadRequest', `no blocks from ${from} to ${to}`)
  if (segment.scl < upTo) throw new VolumeError('ReadPointAhead', `complete to ${segment.scl}, asked up to ${upTo}`)
  if (layers.collectedTo > upTo)
    throw new VolumeError('Conflict', `garbage was collected up to ${layers.collectedTo}, asked up to ${upTo}`)
  const { cutoff, pins, grantVersion } = volume.state
  const answer = ({ next, bytes }: HistoryPage, isDamaged: boolean) => ({
    value: {
      grant: { cutoff, pins, grantVersion },
      collectedTo: lsn(layers.collectedTo),
      below: segment.below,
      next: next.block,
      damaged: isDamaged,
      after: next.after,
      basis: basisOf(segment, next.block),
      crc: crc32(bytes),
    },
    attachment: bytes,
  })
  const cursor: HistoryCursor = { block: from, after }
  for (;;) {
    const damage = segment.damage.firstFrom(from)
    if (damage !== undefined && damage.from <= from)
      return answer({ next: { block: Math.min(damage.to, to), after: ZERO_LSN }, bytes: NOTHING }, true)
    // Only what was not damaged before can be found to be now: this comes to an end.
    const range = { from, to: Math.min(to, damage?.from ?? to), upTo }
    try {
      if (after > 0 && basis !== basisOf(segment, from))
        throw new VolumeError('Conflict', `garbage was collected since the last page of block ${from}`)
      return answer(historyPage(segment.blocks, cursor, range, volume.state.blocksPerGroup), false)
    } catch (error) {
      if (!(error instanceof LayerDamage) || !damaged(error)) throw error
    }
  }
}
