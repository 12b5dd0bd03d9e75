/**
 * The membership of a protection group: who holds its six segments, and what makes a quorum of them.
 *
 * A change is two steps, each a new membership epoch: to both sixes at once (joint), then to one of them. Either
 * outcome is reachable from the joint step, so a change is reversible until it ends (SIGMOD 2018, section 4.1).
 */
import { invariant, VolumeError } from './errors.ts'
import type { GroupIndex, NodeId } from './lsn.ts'
import { allOf, anyOf, atLeast, dual, member, type Quorum } from './quorum.ts'

export type SegmentKind = 'full' | 'tail'

export interface Member {
  readonly node: NodeId
  /** Random, made when the node's disk was formatted: a node that lost its disk is another member. */
  readonly incarnation: string
  readonly zone: string
  /** A full segment holds log and blocks, a tail segment the log alone (SIGMOD 2018, section 4.2). */
  readonly kind: SegmentKind
  /** `host:port` */
  readonly address: string
}

export interface GroupConfig {
  readonly group: GroupIndex
  /** The membership epoch, from 1. */
  readonly epoch: number
  /** All that are in any of the sets. */
  readonly members: readonly Member[]
  /** One set of six member indexes; two or more while a change is under way. The first is the one that was stable before. */
  readonly sets: readonly (readonly number[])[]
}

export const COPIES = 6
export const WRITE_COPIES = 4
export const FULL_COPIES = 3

function writeQuorumOfSet(config: GroupConfig, set: readonly number[]): Quorum {
  const full = set.filter((index) => config.members[index]?.kind === 'full')
  return anyOf([atLeast(WRITE_COPIES, set.map(member)), allOf(full.map(member))])
}

/** 4 of 6 or all full, of every set. */
export const writeQuorum = (config: GroupConfig): Quorum =>
  allOf(config.sets.map((set) => writeQuorumOfSet(config, set)))

/** 3 of 6 with one full among them, of any set. */
export const readQuorum = (config: GroupConfig): Quorum => dual(writeQuorum(config))

export const isJoint = (config: GroupConfig): boolean => config.sets.length > 1

/** The members of the last set: those that will remain when a change ends forward. */
export function nextMembers(config: GroupConfig): readonly number[] {
  const set = config.sets.at(-1)
  invariant(set !== undefined, 'a group without members')
  return set
}

/** @throws VolumeError `BadRequest` unless six distinct nodes, three of them full, and one full in each of three zones. */
export function checkSet(members: readonly Member[]): void {
  const problem = setProblem(members)
  if (problem !== undefined) throw new VolumeError('BadRequest', problem)
}

function setProblem(members: readonly Member[]): string | undefined {
  if (members.length !== COPIES) return `a protection group has ${COPIES} members, not ${members.length}`
  if (new Set(members.map((m) => m.node)).size !== COPIES)
    return 'a node holds at most one segment of a protection group'
  const full = members.filter((m) => m.kind === 'full')
  if (full.length !== FULL_COPIES) return `a protection group has ${FULL_COPIES} full segments, not ${full.length}`
  const zones = new Map<string, number>()
  for (const m of members) zones.set(m.zone, (zones.get(m.zone) ?? 0) + 1)
  if (zones.size !== 3 || [...zones.values()].some((n) => n !== 2))
    return 'two segments in each of three zones are needed'
  if (new Set(full.map((m) => m.zone)).size !== 3) return 'each zone needs one full segment'
  return undefined
}

/** A stable group of six. Membership epoch 1. */
export function newGroup(group: GroupIndex, members: readonly Member[]): GroupConfig {
  checkSet(members)
  return { group, epoch: 1, members, sets: [members.map((_, index) => index)] }
}

/** The first step of a change: both the present six and the six in which `replacements` stand for those they replace. */
export function joint(config: GroupConfig, replacements: ReadonlyMap<NodeId, Member>): GroupConfig {
  if (isJoint(config)) throw new VolumeError('Conflict', `group ${config.group} is being changed already`)
  const present = config.sets[0] as readonly number[]
  const members = [...config.members]
  const next = present.map((index) => {
    const replacement = replacements.get((config.members[index] as Member).node)
    if (replacement === undefined) return index
    members.push(replacement)
    return members.length - 1
  })
  if (next.every((index, i) => index === present[i])) throw new VolumeError('BadRequest', 'nothing to replace')
  checkSet(next.map((index) => members[index] as Member))
  return { group: config.group, epoch: config.epoch + 1, members, sets: [present, next] }
}

/** The same members under a new epoch: who was about to end a change by what it saw before has to look again. */
export const renew = (config: GroupConfig): GroupConfig => ({ ...config, epoch: config.epoch + 1 })

/** The second step: forward to the new six, or back to the old. */
export function settle(config: GroupConfig, direction: 'forward' | 'back'): GroupConfig {
  if (!isJoint(config)) throw new VolumeError('Conflict', `group ${config.group} is not being changed`)
  const set = direction === 'forward' ? nextMembers(config) : (config.sets[0] as readonly number[])
  const members = set.map((index) => config.members[index] as Member)
  return { group: config.group, epoch: config.epoch + 1, members, sets: [members.map((_, index) => index)] }
}
