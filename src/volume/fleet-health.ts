/**
 * Self-healing: notices nodes that are lost and gives their segments to others. Run by one process at a time, best;
 * two do no harm, as every step is a compare-and-set.
 */
import type { NodeStatus } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type GroupConfig, isJoint, type Member, nextMembers } from '../protocol/group.ts'
import type { NodeId, VolumeId } from '../protocol/lsn.ts'
import { fleetNodes } from './fleet-nodes.ts'
import { gather } from './gather.ts'
import type { GroupPlace, Membership } from './membership.ts'
import { OrphanPins } from './orphan-pins.ts'
import { chooseReplacement, type FleetNode } from './placement.ts'
import type { VolumeContext } from './volume-context.ts'

export interface HealthOptions {
  /** A node that does not answer for so long is lost: longer than a restart, shorter than another failure is likely. */
  readonly lostAfterMs: number
  /** Groups that are mended at a time. */
  readonly parallel: number
  /** A change that takes longer is left under way and gone on with next time. */
  readonly changeMsMax: number
}

export const DEFAULT_HEALTH_OPTIONS: HealthOptions = { lostAfterMs: 10_000, parallel: 4, changeMsMax: 60_000 }

export interface HealthReport {
  /** What each node that answered said. */
  readonly nodes: readonly NodeStatus[]
  /** Registered nodes that have not answered for `lostAfterMs`. */
  readonly lost: readonly NodeId[]
  readonly healed: number
  /** Why groups could not be mended now. */
  readonly failures: readonly { readonly place: GroupPlace; readonly error: VolumeError }[]
}

export class FleetHealth {
  readonly #context: VolumeContext
  readonly #membership: Membership
  readonly #options: HealthOptions
  /** When each incarnation was last heard of, or first missed. */
  readonly #seenMs = new Map<string, number>()
  readonly #orphans: OrphanPins

  constructor(context: VolumeContext, membership: Membership, options: Partial<HealthOptions> = {}) {
    this.#context = context
    this.#membership = membership
    this.#orphans = new OrphanPins(context)
    this.#options = { ...DEFAULT_HEALTH_OPTIONS, ...options }
  }

  /** Asks every node, ends changes that were left under way, replaces the members that are lost, tidies up. */
  async heal(): Promise<HealthReport> {
    const registered = await fleetNodes(this.#context.registry)
    const { answers } = await gather(
      registered,
      async ({ address }) => (await this.#context.client.call(address, 'status', {})).value,
      () => false,
    )
    const now = this.#context.clock.now()
    const present = new Set<string>()
    for (const { incarnation } of registered) if (!this.#seenMs.has(incarnation)) this.#seenMs.set(incarnation, now)
    for (const { incarnation } of answers.values()) {
      present.add(incarnation)
      this.#seenMs.set(incarnation, now)
    }
    const lostSince = (incarnation: string): boolean => {
      const seen = this.#seenMs.get(incarnation)
      return seen !== undefined && now - seen >= this.#options.lostAfterMs
    }
    const current = new Map(registered.map((node) => [node.node, node.incarnation]))
    // A node that has another incarnation by now lost its disk, however short it was away.
    const isLost = (member: Member): boolean =>
      !present.has(member.incarnation) &&
      (lostSince(member.incarnation) || current.get(member.node) !== member.incarnation)
    await this.#tellWhoMissed([...answers.values()])
    await this.#orphans.remove()
    const { healed, failures } = await this.#mend(isLost, registered, present)
    return {
      nodes: [...answers.values()],
      lost: registered.filter((node) => lostSince(node.incarnation)).map(({ node }) => node),
      healed,
      failures,
    }
  }

  /** Members that have no segment, or have not heard of a change, because they could not be reached then. */
  async #tellWhoMissed(nodes: readonly NodeStatus[]): Promise<void> {
    const known = new Map<string, number>()
    for (const { incarnation, volumes } of nodes) {
      for (const { volume, segments } of volumes) {
        for (const { group, membershipEpoch } of segments)
          known.set(`${incarnation} ${volume} ${group}`, membershipEpoch)
      }
    }
    const present = new Set(nodes.map(({ incarnation }) => incarnation))
    for (const { volume, place, config } of await this.#membership.groupsOfVolumes()) {
      const missed = config.members.filter(
        ({ incarnation }) =>
          present.has(incarnation) && known.get(`${incarnation} ${volume} ${place.group}`) !== config.epoch,
      )
      if (missed.length > 0) await this.#membership.tell(place, config, missed)
    }
  }

  async #mend(
    isLost: (member: Member) => boolean,
    registered: readonly FleetNode[],
    present: ReadonlySet<string>,
  ): Promise<Pick<HealthReport, 'healed' | 'failures'>> {
    const queue = await this.#membership.groupsWhere((config) => isJoint(config) || config.members.some(isLost))
    const failures: { place: GroupPlace; error: VolumeError }[] = []
    let healed = 0
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const place = next
        try {
          if (isJoint(place.config) && this.#isFutile(place, isLost, registered, present))
            await this.#membership.turnBack(place)
          const config = await this.#membership.complete(place, this.#options.changeMsMax)
          const there = registered.filter(({ incarnation }) => present.has(incarnation))
          const lost = config.members.filter(isLost)
          await this.#replace(
            place,
            lost.filter((member) => hasReplacement(there, config, place.placement, member)),
            present,
          )
          if (lost.length > 0 && !lost.some((member) => hasReplacement(there, config, place.placement, member)))
            throw new VolumeError('NoQuorum', `nobody can take the places of ${lost.map(({ node }) => node)}`)
          healed++
        } catch (error) {
          if (!(error instanceof VolumeError)) throw error
          failures.push({ place, error })
        }
      }
    }
    await Promise.all(Array.from({ length: this.#options.parallel }, work))
    return { healed, failures }
  }

  /** A change to a set that has lost a member in its turn may never end forward: back, and then all at once. */
  #isFutile(
    { placement, config }: GroupPlace & { readonly config: GroupConfig },
    isLost: (member: Member) => boolean,
    registered: readonly FleetNode[],
    present: ReadonlySet<string>,
  ): boolean {
    const there = registered.filter(({ incarnation }) => present.has(incarnation))
    return nextMembers(config).some((index) => {
      const member = config.members[index] as Member
      if (!isLost(member)) return false
      // One that nobody can take the place of would be lost in every other set, too.
      return !config.sets[0]?.includes(index) || hasReplacement(there, config, placement, member)
    })
  }

  /** Members give their places to nodes that are there: all at once, or one by one when two want the same. */
  async #replace(place: GroupPlace, lost: readonly Member[], present: ReadonlySet<string>): Promise<void> {
    const { changeMsMax } = this.#options
    const replace = (some: readonly Member[]): Promise<unknown> =>
      this.#membership.replace(place, new Map(some.map(({ node }) => [node, undefined])), changeMsMax, (node) =>
        present.has(node.incarnation),
      )
    if (lost.length === 0) return
    try {
      await replace(lost)
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'NoQuorum' || lost.length === 1) throw error
      for (const member of lost) await this.#replace(place, [member], present)
    }
  }
}

function hasReplacement(nodes: readonly FleetNode[], config: GroupConfig, placement: VolumeId, lost: Member): boolean {
  try {
    chooseReplacement(nodes, config, placement, lost)
    return true
  } catch (error) {
    if (error instanceof VolumeError && error.code === 'NoQuorum') return false
    throw error
  }
}
