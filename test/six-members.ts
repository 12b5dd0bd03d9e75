/** A protection group for tests: nodes a to f, two in each of three zones; a, c and e are full. */
import { type GroupConfig, type Member, newGroup } from '../src/protocol/group.ts'
import { groupIndex, nodeId } from '../src/protocol/lsn.ts'

export const memberOf = (name: string, zone: number, kind: 'full' | 'tail'): Member => ({
  node: nodeId(name),
  incarnation: `disk-${name}`,
  zone: `z${zone}`,
  kind,
  address: name,
})

export const SIX: readonly Member[] = [...'abcdef'].map((name, i) =>
  memberOf(name, i >> 1, i % 2 === 0 ? 'full' : 'tail'),
)

export const sixMembers = (group = 0): GroupConfig => newGroup(groupIndex(group), SIX)
