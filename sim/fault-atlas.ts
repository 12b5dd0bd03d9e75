/**
 * Where storage faults may strike. A volume that lost all good copies of something cannot be blamed for it, so faults
 * stay within what the protocol promises to survive: of the members of each protection group that hold good copies, a
 * read quorum (three of six, a full one among them) is always left, in every set of its membership.
 *
 * Damage in layers concerns the blocks that it hits, and no more: every block has to be left on some full copy that is
 * good. So all full copies of a group may be damaged at once, in different blocks. A full copy that is behind has the
 * blocks as they were: it counts as long as a tail is left from which it can get the log that it lacks.
 *
 * A copy is not good from the moment it is damaged or loses what it acknowledged until it was seen to be whole again;
 * a new member is not good until it has caught up. A node that is merely down, cut off or slow still has its copy.
 */
import { type GroupConfig, isJoint, readQuorum } from '../src/protocol/group.ts'
import type { NodeId } from '../src/protocol/lsn.ts'
import { satisfied } from '../src/protocol/quorum.ts'
import { type BlockRange, BlockRanges } from '../src/storage/layers/block-ranges.ts'
import type { SegmentIdentity } from '../src/storage/layers/layer-file.ts'

/** One segment's place in the fleet. */
export interface Copy {
  readonly node: NodeId
  /** Tells the node's disk from the one it had before. */
  readonly incarnation: string
}

export interface AtlasGroup {
  /** Unique in a run: volume and group. */
  readonly name: string
  readonly config: GroupConfig
  readonly segment: SegmentIdentity
}

const copyKey = (group: string, copy: Copy): string => `${group} ${copy.node} ${copy.incarnation}`

/** A read quorum of each single set: while two are in force neither may be left without. */
function keepsQuorums(config: GroupConfig, isGood: (member: number) => boolean): boolean {
  if (!isJoint(config)) return satisfied(readQuorum(config), isGood)
  return config.sets.every((set) => satisfied(readQuorum({ ...config, sets: [set] }), isGood))
}

/** The blocks of a copy that cannot be read. */
export type BlocksLost = (group: AtlasGroup, copy: Copy) => BlockRanges

/** Whether a full copy has all that was acknowledged, or can get what it lacks from one of these tails. */
export type CanCatchUp = (group: AtlasGroup, copy: Copy, tails: readonly Copy[]) => boolean

/** What two sets of blocks have in common. */
function common(a: Iterable<BlockRange>, b: Iterable<BlockRange>): BlockRanges {
  const both = new BlockRanges()
  for (const x of a) {
    for (const y of b) {
      const [from, to] = [Math.max(x.from, y.from), Math.min(x.to, y.to)]
      if (from < to) both.add(from, to)
    }
  }
  return both
}

/** Whether no block is lost on all of some copies. */
function keepAll(copies: readonly { readonly lost: BlockRanges }[]): boolean {
  const [first, ...others] = copies.map(({ lost }) => lost)
  return first === undefined || others.reduce(common, first).isEmpty
}

export class FaultAtlas {
  readonly #groups: () => readonly AtlasGroup[]
  readonly #blocksLost: BlocksLost
  readonly #canCatchUp: CanCatchUp
  /** Copies that are not good, by `copyKey`. */
  readonly #bad = new Set<string>()
  /** How many members of a group may be bad at once, at most: below what a quorum would bear when a run is to be mild. */
  readonly #badMax: number

  /** @param groups all protection groups of all volumes, as the registry has them now */
  constructor(
    groups: () => readonly AtlasGroup[],
    badMax = 3,
    blocksLost: BlocksLost = () => new BlockRanges(),
    canCatchUp: CanCatchUp = () => true,
  ) {
    this.#groups = groups
    this.#badMax = badMax
    this.#blocksLost = blocksLost
    this.#canCatchUp = canCatchUp
  }

  isGood(group: string, copy: Copy): boolean {
    return !this.#bad.has(copyKey(group, copy))
  }

  /** Copies of a group that are not good. */
  badCopies(group: AtlasGroup): Copy[] {
    return group.config.members.filter((member) => !this.isGood(group.name, member))
  }

  /** Whether all segments of a node may be damaged or lost now: its log is shared by all of them. */
  mayDamage(node: NodeId): boolean {
    return this.mayDamageAll([node])
  }

  /** Whether several nodes may be hit at once, as when a zone burns down. */
  mayDamageAll(nodes: readonly NodeId[]): boolean {
    return this.#groups().every((group) => this.#bearable(group, (copy) => nodes.includes(copy.node)))
  }

  /** Whether one segment may be damaged, through a file that belongs to it alone. */
  mayDamageSegment(groupName: string, node: NodeId): boolean {
    const group = this.#groups().find(({ name }) => name === groupName)
    return group !== undefined && this.#bearable(group, (copy) => copy.node === node)
  }

  /** Whether every block of every group is on some full copy that is good. */
  get keepsBlocks(): boolean {
    return this.#groups().every((group) =>
      this.keepsBlocksOf(group, (member) => this.isGood(group.name, group.config.members[member] as Copy)),
    )
  }

  /** Whether every block of a group is on one of the full copies that are left, in every set of its membership. */
  keepsBlocksOf(group: AtlasGroup, isLeft: (member: number) => boolean): boolean {
    const { members, sets } = group.config
    return sets.every((set) => {
      const left = set.filter(isLeft).map((index) => members[index] as (typeof members)[number])
      const tails = left.filter(({ kind }) => kind === 'tail')
      const full = left
        .filter(({ kind }) => kind === 'full')
        .map((copy) => ({ lost: this.#blocksLost(group, copy), counts: this.#canCatchUp(group, copy, tails) }))
      const certain = full.filter(({ counts }) => counts)
      // Where none is, as when all are down, what they have in layers has to do.
      return keepAll(certain.length > 0 ? certain : full)
    })
  }

  #bearable(group: AtlasGroup, hit: (copy: Copy) => boolean): boolean {
    const { name, config } = group
    const struck = config.members.filter(hit)
    if (struck.length === 0) return true
    const good = config.members.map((member) => !hit(member) && this.isGood(name, member))
    const bad = good.filter((isGood) => !isGood).length
    // A copy that is bad already cannot get worse, but a second blow may keep it from healing for ever.
    const isLeft = (member: number): boolean => good[member] === true
    return bad <= this.#badMax && keepsQuorums(config, isLeft) && this.keepsBlocksOf(group, isLeft)
  }

  /** A node's disk was damaged, or it forgot what it acknowledged. */
  damaged(node: NodeId): void {
    for (const { name, config } of this.#groups()) {
      for (const member of config.members) if (member.node === node) this.#bad.add(copyKey(name, member))
    }
  }

  damagedSegment(groupName: string, copy: Copy): void {
    this.#bad.add(copyKey(groupName, copy))
  }

  /** A new member, empty as yet. */
  joined(groupName: string, copy: Copy): void {
    this.damagedSegment(groupName, copy)
  }

  /** The copy was seen to be undamaged, active and as far as its group's acknowledged writes. */
  healed(groupName: string, copy: Copy): void {
    this.#bad.delete(copyKey(groupName, copy))
  }

  /** Whether a change of membership may drop the old set: what stays must hold on its own. */
  maySettle(group: AtlasGroup, set: readonly number[]): boolean {
    const alone = { ...group.config, sets: [set] }
    return satisfied(readQuorum(alone), (member) => this.isGood(group.name, group.config.members[member] as Copy))
  }

  /** @throws Error when faults went further than they may: a mistake of the simulator, not of the volume. */
  check(): void {
    for (const { name, config } of this.#groups()) {
      if (keepsQuorums(config, (member) => this.isGood(name, config.members[member] as Copy))) continue
      const bad = config.members.filter((member) => !this.isGood(name, member)).map((member) => member.node)
      throw new Error(`the simulator damaged too many copies of ${name}: ${bad.join(', ')}`)
    }
  }
}
