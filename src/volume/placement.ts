/** Choosing the six nodes of a protection group: two in each of three zones, one of the two with blocks. Pure. */
import { crc32 } from 'node:zlib'
import { VolumeError } from '../protocol/errors.ts'
import { checkSet, type GroupConfig, type Member, type SegmentKind } from '../protocol/group.ts'
import type { GroupIndex, NodeId, VolumeId } from '../protocol/lsn.ts'

/** A storage node that segments may be placed on. */
export interface FleetNode {
  readonly node: NodeId
  readonly incarnation: string
  readonly zone: string
  /** `host:port` */
  readonly address: string
  /** `draining`: holds segments, gets no more. */
  readonly state: 'ready' | 'draining'
}

/**
 * Every bit of the number changes every bit (murmur3's last step). A crc alone will not do: those of two texts that end
 * alike differ by the same bits whatever they begin with, and some nodes would never come first.
 */
function scattered(n: number): number {
  let h = n
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** The node's rank for a group: groups spread over many nodes evenly, and adding a node moves nothing. */
const rank = (node: FleetNode, placement: VolumeId, group: GroupIndex): number =>
  scattered(crc32(`${placement}/${group}/${node.node}/${node.incarnation}`))

const memberOf = ({ node, incarnation, zone, address }: FleetNode, kind: SegmentKind): Member => ({
  node,
  incarnation,
  zone,
  kind,
  address,
})

/**
 * @throws VolumeError `NoQuorum` when there are not three zones with two nodes each
 */
export function chooseMembers(nodes: readonly FleetNode[], placement: VolumeId, group: GroupIndex): Member[] {
  const zones = new Map<string, FleetNode[]>()
  for (const node of nodes) if (node.state === 'ready') zones.set(node.zone, [...(zones.get(node.zone) ?? []), node])
  const usable = [...zones].filter(([, members]) => members.length >= 2).sort(([a], [b]) => (a < b ? -1 : 1))
  if (usable.length < 3)
    throw new VolumeError('NoQuorum', `two nodes in each of three zones are needed; ${usable.length} zones have them`)
  const members = usable.slice(0, 3).flatMap(([, candidates]) => {
    const ranked = candidates.toSorted((a, b) => rank(a, placement, group) - rank(b, placement, group))
    return [memberOf(ranked[0] as FleetNode, 'full'), memberOf(ranked[1] as FleetNode, 'tail')]
  })
  checkSet(members)
  return members
}

/**
 * A node to take the place of a member: of the same zone, of the same kind, and not in the group yet.
 * @throws VolumeError `NoQuorum` when the zone has none
 */
export function chooseReplacement(
  nodes: readonly FleetNode[],
  config: GroupConfig,
  placement: VolumeId,
  lost: Member,
): Member {
  const taken = new Set(config.members.filter((m) => m !== lost).map((m) => m.node))
  const candidates = nodes
    .filter((n) => n.state === 'ready' && n.zone === lost.zone && !taken.has(n.node))
    // The lost member itself cannot replace itself; the same node with a new disk can.
    .filter((n) => n.incarnation !== lost.incarnation)
    .toSorted((a, b) => rank(a, placement, config.group) - rank(b, placement, config.group))
  const [best] = candidates
  if (best === undefined)
    throw new VolumeError('NoQuorum', `zone ${lost.zone} has no other node to take the place of ${lost.node}`)
  return memberOf(best, lost.kind)
}
