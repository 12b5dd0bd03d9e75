/**
 * Changing who holds a protection group, in two steps, while reads and writes go on (SIGMOD 2018, section 4.1).
 *
 * Step one makes old and new six count together; the new member starts without trust, copies blocks and log, and heals.
 * Step two, when all that could have been acknowledged under the old six is on a write quorum of the new, makes the new
 * six the group. Until then the change can be turned back. Both steps are compare-and-set on the group's cell, so it
 * does not matter who goes on with a change that somebody else began.
 *
 * The same two steps mend a group that lost a zone and one more node: writes wait until the new members hold
 * everything, reads go on.
 */
import type { SegmentReport } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import {
  type GroupConfig,
  isJoint,
  joint,
  type Member,
  nextMembers,
  readQuorum,
  settle,
  writeQuorum,
} from '../protocol/group.ts'
import type { GroupIndex, NodeId, VolumeId } from '../protocol/lsn.ts'
import { satisfied } from '../protocol/quorum.ts'
import { fleetNodes } from './fleet-nodes.ts'
import { gather } from './gather.ts'
import { ancestorOf, lineage } from './lineage.ts'
import { chooseReplacement, type FleetNode } from './placement.ts'
import { changeGroup, listVolumes, readGroup, readVolume, type Versioned } from './registry-cells.ts'
import type { VolumeContext } from './volume-context.ts'
import { configureMember } from './volume-groups.ts'
import type { VolumeRecord } from './volume-record.ts'

/** One group of one placement: what a change is about. */
export interface GroupPlace {
  readonly placement: VolumeId
  readonly group: GroupIndex
}

/** What a member said. */
interface Standing {
  /** It refuses all lower volume epochs. */
  readonly epoch: number
  readonly report: SegmentReport
}

const POLL_MS = 50
/** Copying 10 GiB at 100 MB/s takes two minutes; a change that takes longer is looked at by somebody. */
export const CHANGE_MS_MAX = 30 * 60_000

export class Membership {
  readonly #context: VolumeContext

  constructor(context: VolumeContext) {
    this.#context = context
  }

  /** The volumes that have segments in a group: a volume and its branches. */
  async #volumesOf({ placement, group }: GroupPlace): Promise<Versioned<VolumeRecord>[]> {
    const volumes: Versioned<VolumeRecord>[] = []
    for (const id of await listVolumes(this.#context.registry)) {
      try {
        const volume = await readVolume(this.#context.registry, id)
        const { record } = volume
        // One that is being deleted needs its segments no more, and some nodes have dropped theirs.
        if (record.placement === placement && record.groups.has(group) && record.stage === 'live') volumes.push(volume)
      } catch (error) {
        // Deleted since the list was made.
        if (!(error instanceof VolumeError) || error.code !== 'NotFound') throw error
      }
    }
    return volumes
  }

  /**
   * Replaces members of a group by fresh nodes and waits until that is done.
   * @param lost which members, and by whom; undefined lets the fleet choose
   * @param isUsable which nodes the fleet may choose
   * @throws VolumeError `Conflict` while another change of the group is under way, `NoQuorum` when there is no node to
   *   take the place, `TimedOut` when the new members do not catch up: the change is still under way then
   */
  async replace(
    place: GroupPlace,
    lost: ReadonlyMap<NodeId, FleetNode | undefined>,
    timeoutMs = CHANGE_MS_MAX,
    isUsable: (node: FleetNode) => boolean = () => true,
  ): Promise<GroupConfig> {
    await this.begin(place, lost, isUsable)
    return this.complete(place, timeoutMs)
  }

  /** The first step. */
  async begin(
    place: GroupPlace,
    lost: ReadonlyMap<NodeId, FleetNode | undefined>,
    isUsable: (node: FleetNode) => boolean = () => true,
  ): Promise<GroupConfig> {
    const nodes = (await fleetNodes(this.#context.registry)).filter(isUsable)
    const { record } = await changeGroup(this.#context.registry, place.placement, place.group, (config) => {
      const replacements = new Map<NodeId, Member>()
      // Two that are lost at once must not get the same replacement.
      let taken = config
      for (const [node, by] of lost) {
        const member = config.members.find((each) => each.node === node)
        if (member === undefined) throw new VolumeError('NotFound', `node ${node} is no member of group ${place.group}`)
        const candidates = by === undefined ? nodes : [by]
        const replacement = chooseReplacement(candidates, taken, place.placement, member)
        taken = { ...taken, members: [...taken.members, replacement] }
        replacements.set(node, replacement)
      }
      return joint(config, replacements)
    })
    await this.#tellMembers(place, record)
    return record
  }

  /** Gives every member of a configuration what it needs of each volume; those that cannot be reached learn it later. */
  async #tellMembers(place: GroupPlace, config: GroupConfig, others: readonly Member[] = []): Promise<void> {
    await this.tell(place, config, [...config.members, ...others])
  }

  /** Gives nodes what they need of each volume under a configuration. */
  async tell(place: GroupPlace, config: GroupConfig, members: readonly Member[]): Promise<void> {
    for (const volume of await this.#volumesOf(place)) {
      const below = ancestorOf(await lineage(this.#context.registry, volume.record), place.group)
      const create = volume.record.groups.get(place.group) === 'creating'
      await gather(
        members,
        (member) => configureMember(this.#context, volume, config, member, below, create),
        () => false,
      )
    }
  }

  /**
   * The second step, as soon as it is safe. Goes on with a change that anybody began; does nothing when there is none.
   * @throws VolumeError `TimedOut`: the change is still under way, and can be completed or turned back later
   */
  async complete(place: GroupPlace, timeoutMs = CHANGE_MS_MAX): Promise<GroupConfig> {
    const deadlineMs = this.#context.clock.now() + timeoutMs
    const bounds = new Map<string, number>()
    for (;;) {
      const { record: config } = await readGroup(this.#context.registry, place.placement, place.group)
      if (!isJoint(config)) return config
      await this.#tellMembers(place, config)
      if (await this.#caughtUp(place, config, bounds)) {
        const settled = await this.#settle(place, config, 'forward')
        if (!isJoint(settled)) return settled
      }
      if (this.#context.clock.now() >= deadlineMs) {
        throw new VolumeError('TimedOut', `the new members of group ${place.group} have not caught up`)
      }
      await this.#context.pause(POLL_MS)
    }
  }

  /**
   * Ends a change by going back to the six from before.
   * @throws VolumeError `Conflict`: the volume is being opened; try again
   */
  async turnBack(place: GroupPlace): Promise<GroupConfig> {
    const { record: config } = await readGroup(this.#context.registry, place.placement, place.group)
    if (!isJoint(config)) return config
    // Only who has adopted the change counts below.
    await this.#tellMembers(place, config)
    for (const { record } of await this.#volumesOf(place)) {
      const reports = await this.#reports(record, config)
      if (!this.#keepsFence(record, { ...config, sets: config.sets.slice(0, 1) }, reports)) {
        throw new VolumeError('Conflict', `group ${place.group} is being opened`)
      }
    }
    return this.#settle(place, config, 'back')
  }

  async #settle(place: GroupPlace, config: GroupConfig, direction: 'forward' | 'back'): Promise<GroupConfig> {
    const { record } = await changeGroup(this.#context.registry, place.placement, place.group, (present) => {
      // Somebody else ended this change.
      if (present.epoch !== config.epoch) return present
      return settle(present, direction)
    })
    const gone = config.members.filter(({ incarnation }) =>
      record.members.every((member) => member.incarnation !== incarnation),
    )
    await this.#tellMembers(place, record, gone)
    return record
  }

  /**
   * Whether the new six may stand alone. S is the highest SCL in a read quorum of members that have adopted the joint
   * epoch: nothing that was acknowledged under the old six alone is above it. When a write quorum of the new six, and
   * each of the new members, has everything up to S, no acknowledged record depends on those that leave.
   * @param bounds the lowest S that was seen of each volume: any is good once the joint epoch was adopted, and under load
   *   the newest is always a little ahead of somebody
   */
  async #caughtUp(place: GroupPlace, config: GroupConfig, bounds: Map<string, number>): Promise<boolean> {
    for (const { record } of await this.#volumesOf(place)) {
      const reports = await this.#reports(record, config)
      const counts = (index: number): boolean => reports.has(index)
      const old = { ...config, sets: config.sets.slice(0, 1) }
      if (!satisfied(readQuorum(old), counts)) return false
      let bound = 0
      for (const index of config.sets[0] ?? []) bound = Math.max(bound, reports.get(index)?.report.scl ?? 0)
      const key = `${record.id} ${config.epoch}`
      bound = Math.min(bound, bounds.get(key) ?? bound)
      bounds.set(key, bound)
      const has = (index: number): boolean => (reports.get(index)?.report.scl ?? -1) >= bound
      const next = { ...config, sets: [nextMembers(config)] }
      const fresh = nextMembers(config).filter((index) => !config.sets[0]?.includes(index))
      if (!satisfied(writeQuorum(next), has) || !fresh.every(has)) return false
      // A tail counts log that it need not hold any more; two copies of the blocks have to be whole beside it. Where
      // only tails leave, that is as it was: a zone and one more node may be lost, and be replaced one by one.
      const isFull = (index: number): boolean => config.members[index]?.kind === 'full'
      const fullLeaves = config.sets[0]?.some((index) => isFull(index) && !nextMembers(config).includes(index))
      if (fullLeaves && nextMembers(config).filter((index) => isFull(index) && has(index)).length < 2) return false
      if (!this.#keepsFence(record, next, reports)) return false
    }
    return true
  }

  /**
   * Whether a read quorum of those that remain refuses all epochs below the one that was claimed last: an opening may
   * have fenced others, and what it found to be the end of the log must stay the end.
   */
  #keepsFence(record: VolumeRecord, remaining: GroupConfig, reports: ReadonlyMap<number, Standing>): boolean {
    return satisfied(readQuorum(remaining), (index) => (reports.get(index)?.epoch ?? -1) >= record.epoch)
  }

  /** What members that adopted this very configuration say of their segments; those in doubt of themselves left out. */
  async #reports(record: VolumeRecord, config: GroupConfig): Promise<ReadonlyMap<number, Standing>> {
    const { client } = this.#context
    const volume = record.id
    const { answers } = await gather(
      config.members.map((_, index) => index),
      async (index) => {
        const { address, incarnation } = config.members[index] as Member
        // The epoch that was claimed holds here from now on, whether or not who claimed it gets any further.
        if (record.epoch > 0) await client.call(address, 'fence', { volume, epoch: record.epoch })
        const { epoch, segments } = (await client.call(address, 'head', { volume })).value
        const report = segments.find(({ group }) => group === config.group)
        const isFit = report?.incarnation === incarnation && !report.suspect && report.membershipEpoch === config.epoch
        return isFit ? { epoch, report } : undefined
      },
      () => false,
    )
    return new Map([...answers].filter((entry): entry is [number, Standing] => entry[1] !== undefined))
  }

  // -------------------------------------------------------------- whole nodes

  /** The groups of all volumes whose membership is of some kind. */
  async groupsWhere(
    isWanted: (config: GroupConfig) => boolean,
  ): Promise<(GroupPlace & { readonly config: GroupConfig })[]> {
    const seen = new Set<string>()
    const found: (GroupPlace & { readonly config: GroupConfig })[] = []
    for (const { place, config } of await this.groupsOfVolumes()) {
      const key = `${place.placement}/${place.group}`
      if (!seen.has(key) && isWanted(config)) found.push({ ...place, config })
      seen.add(key)
    }
    return found
  }

  /** Every group of every volume, with its membership. */
  async groupsOfVolumes(): Promise<
    { readonly volume: VolumeId; readonly place: GroupPlace; readonly config: GroupConfig }[]
  > {
    const { registry } = this.#context
    const found: { volume: VolumeId; place: GroupPlace; config: GroupConfig }[] = []
    for (const volume of await listVolumes(registry)) {
      const record = await this.#recordIfThere(volume)
      for (const [group, stage] of record?.groups ?? []) {
        // One whose making was interrupted may have no members yet.
        if (record === undefined || stage !== 'active') continue
        const place = { placement: record.placement, group }
        found.push({ volume, place, config: (await readGroup(registry, place.placement, group)).record })
      }
    }
    return found
  }

  async #recordIfThere(volume: VolumeId): Promise<VolumeRecord | undefined> {
    try {
      const { record } = await readVolume(this.#context.registry, volume)
      return record.stage === 'live' ? record : undefined
    } catch (error) {
      // Deleted since the list was made.
      if (error instanceof VolumeError && error.code === 'NotFound') return undefined
      throw error
    }
  }

  /**
   * Replaces a node that is lost or slow in every group it is a member of, several groups at a time.
   * @returns how many groups were changed
   */
  async replaceNode(node: NodeId, parallel = 4, timeoutMs = CHANGE_MS_MAX): Promise<number> {
    const places = await this.groupsWhere((config) => config.members.some((member) => member.node === node))
    const queue = [...places]
    const work = async (): Promise<void> => {
      for (let place = queue.shift(); place !== undefined; place = queue.shift()) {
        if (isJoint(place.config)) await this.complete(place, timeoutMs)
        await this.replace(place, new Map([[node, undefined]]), timeoutMs)
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
    return places.length
  }
}
