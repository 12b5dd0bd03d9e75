/** Logs for tests of the protocol: mini-transactions over protection groups, with all their links. */
import type { Random } from '../sim/random.ts'
import type { Linked } from '../src/protocol/chain.ts'
import { type GroupIndex, groupIndex, type Lsn, lsn } from '../src/protocol/lsn.ts'
import type { RecordSummary } from '../src/protocol/message.ts'

export interface Written extends RecordSummary, Linked {
  readonly group: GroupIndex
}

/**
 * A log from an LSN on.
 * @param before what it goes on from: the last record before it, and the last of each group
 */
export function someLog(
  random: Random,
  from: number,
  mtrs: number,
  groups: number,
  before: { readonly last: Lsn; readonly ends: ReadonlyMap<GroupIndex, Lsn> } = { last: lsn(from), ends: new Map() },
): Written[] {
  const ends = new Map(before.ends)
  const log: Written[] = []
  let previous = before.last
  let last = lsn(from)
  for (let m = 0; m < mtrs; m++) {
    const lengths = Array.from({ length: random.between(1, 4) }, () => random.between(60, 100))
    lengths.forEach((length, i) => {
      const group = groupIndex(random.below(groups))
      const at = lsn(last + length)
      const toCpl = lengths.slice(i + 1).reduce((sum, n) => sum + n, 0)
      log.push({ lsn: at, prevVolume: previous, prevGroup: ends.get(group) ?? lsn(0), toCpl, group })
      ends.set(group, at)
      last = at
      previous = at
    })
  }
  return log
}
