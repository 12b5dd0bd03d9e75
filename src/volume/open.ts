/**
 * Opening a volume for writing, which is recovery (SIGMOD 2018, section 2.4; docs/spec/volume.md, "Open").
 *
 *   claim      a higher epoch in the registry: at most one writer has each
 *   fence      a read quorum of every group promises to refuse lower epochs and says how far it is
 *   find       the end of the log, by the records above the highest durable point that any node heard of
 *   truncate   what is above is annulled: in the registry first
 *   seal       nodes adopt epoch and truncations and cut their logs
 *   fill       a write quorum of every group has all up to the end (peers fill gaps by gossip)
 *
 * Interrupted anywhere it is begun again with a higher epoch. Fencing a read quorum is enough to stop the old writer:
 * every write quorum meets it.
 */
import type { Calls, SegmentReport } from '../protocol/calls.ts'
import { LSN_ALLOCATION_LIMIT_BYTES } from '../protocol/durability.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type GroupConfig, isJoint, type Member, readQuorum, renew, writeQuorum } from '../protocol/group.ts'
import { type GroupIndex, type Lsn, lsn, maxLsn, minLsn, type VolumeId, ZERO_LSN } from '../protocol/lsn.ts'
import { type RecordSummary, readSummaries } from '../protocol/message.ts'
import { satisfied } from '../protocol/quorum.ts'
import { logEnd } from '../protocol/recovery.ts'
import { annulledTo, cutBack, isAnnulled, type Truncation } from '../protocol/truncation.ts'
import { gather } from './gather.ts'
import { inheritedGroups, lineage } from './lineage.ts'
import { changeGroup, changeVolume, readGroup, type Versioned } from './registry-cells.ts'
import { claimEpoch, recordTruncation } from './volume-changes.ts'
import type { VolumeContext } from './volume-context.ts'
import { configureAddress } from './volume-groups.ts'
import { type VolumeRecord, volumeState } from './volume-record.ts'
import type { OpenedVolume } from './writer-env.ts'

type FenceAnswer = Calls['fence']['value']
type Reports = ReadonlyMap<string, readonly SegmentReport[]>

/** Between two tries to reach nodes that did not answer, or that have gaps to fill. */
const RETRY_MS = 20
/** Opening gives up after this time: nodes that are needed cannot be reached. */
export const OPEN_MS_MAX = 30_000

/** The nodes of all groups, each once. */
const addressesOf = (configs: readonly GroupConfig[]): string[] => [
  ...new Set(configs.flatMap((config) => config.members.map((member) => member.address))),
]

function reportOf(reports: Reports, config: GroupConfig, member: number): SegmentReport | undefined {
  const { address, incarnation } = config.members[member] as Member
  const report = reports.get(address)?.find(({ group }) => group === config.group)
  return report?.incarnation !== incarnation || report.suspect ? undefined : report
}

export class VolumeOpening {
  readonly #context: VolumeContext
  readonly #volume: VolumeId
  readonly #deadlineMs: number

  constructor(context: VolumeContext, volume: VolumeId, timeoutMs: number = OPEN_MS_MAX) {
    this.#context = context
    this.#volume = volume
    this.#deadlineMs = context.clock.now() + timeoutMs
  }

  /** @throws VolumeError `NotFound`, `Fenced` when another opening overtook this one, `NoQuorum` */
  async run(): Promise<OpenedVolume> {
    const claimed = await changeVolume(this.#context.registry, this.#volume, claimEpoch)
    const { record } = claimed
    const { configs: firm, fenced } = await this.#fence(record)
    let durable = record.base
    for (const { vdl } of fenced.values()) durable = maxLsn(durable, vdl)
    const { end, points } = await this.#findEnd(record, firm, fenced, durable)
    const sealed = await this.#truncate(record, end)
    const configs = await this.#sealAndFill(sealed, firm, points)
    const ancestors = await lineage(this.#context.registry, sealed.record)
    const groups = new Map(
      configs.map((config) => [config.group, { config, point: points.get(config.group) ?? ZERO_LSN }]),
    )
    const inherited = new Set([...inheritedGroups(ancestors)].filter((group) => !groups.has(group)))
    return {
      state: volumeState(sealed.record, sealed.version),
      vdl: end,
      start: annulledTo(sealed.record.truncations, end),
      groups,
      inherited,
      wallClockMs: await this.#lastWallClock(configs),
    }
  }

  /** The last wall clock time in the log, as far as a node of the first group knows it. */
  async #lastWallClock(configs: readonly GroupConfig[]): Promise<number> {
    const members = configs.find(({ group }) => group === 0)?.members.filter(({ kind }) => kind === 'full') ?? []
    const { answers } = await gather(
      members,
      async ({ address }) =>
        (
          await this.#context.client.call(address, 'lsnAt', {
            volume: this.#volume,
            wallClockMs: Number.MAX_SAFE_INTEGER,
          })
        ).value.wallClockMs,
      (some) => some.size > 0,
    )
    return Math.max(0, ...[...answers.values()].map((ms) => ms ?? 0))
  }

  /**
   * The memberships of all groups. A change that is under way gets a new membership epoch: whoever wants to end it has
   * to look again, and then sees that this epoch was claimed (`Membership`, and docs/spec/volume.md, "Open").
   * @param before those that were made firm already stay, unless they were changed since
   */
  async #firmConfigs(record: VolumeRecord, before: readonly GroupConfig[] = []): Promise<GroupConfig[]> {
    const active = [...record.groups].filter(([, stage]) => stage === 'active')
    const { answers, errors } = await gather(
      active.map(([group]) => group),
      async (group) => {
        const { record: config } = await readGroup(this.#context.registry, record.placement, group)
        if (!isJoint(config) || before.some((each) => each.group === group && each.epoch === config.epoch))
          return config
        return (await changeGroup(this.#context.registry, record.placement, group, renew)).record
      },
      (all) => all.size === active.length,
    )
    if (errors[0] !== undefined) throw errors[0]
    return [...answers.values()].sort((a, b) => a.group - b.group)
  }

  #checkTime(what: string, cause: VolumeError | undefined): void {
    if (this.#context.clock.now() < this.#deadlineMs) return
    throw new VolumeError('NoQuorum', `${what}: too few nodes answered in time`, { cause })
  }

  /**
   * Asks all members until `enough`, going on with those that answered before, and with the present members where they
   * were changed meanwhile.
   * @returns the answers by address, and the memberships for which they are enough
   */
  async #askUntil<V>(
    what: string,
    record: VolumeRecord,
    first: readonly GroupConfig[],
    ask: (address: string, configs: readonly GroupConfig[]) => Promise<V>,
    enough: (answers: ReadonlyMap<string, V>, configs: readonly GroupConfig[]) => boolean,
  ): Promise<{ readonly all: ReadonlyMap<string, V>; readonly configs: readonly GroupConfig[] }> {
    const all = new Map<string, V>()
    for (let configs = first; ; configs = await this.#firmConfigs(record, configs)) {
      const { answers, errors } = await gather(
        addressesOf(configs),
        (address) => ask(address, configs),
        (some) => enough(new Map([...all, ...some]), configs),
      )
      for (const [address, value] of answers) all.set(address, value)
      if (enough(all, configs)) return { all, configs }
      const refused = errors.find(({ code }) => code === 'StaleVolumeEpoch')
      if (refused !== undefined)
        throw new VolumeError('Fenced', 'the volume was opened by somebody else', { cause: refused })
      this.#checkTime(what, errors[0])
      await this.#context.pause(RETRY_MS)
    }
  }

  async #fence(
    record: VolumeRecord,
  ): Promise<{ configs: readonly GroupConfig[]; fenced: ReadonlyMap<string, FenceAnswer> }> {
    const { epoch } = record
    const { all, configs } = await this.#askUntil<FenceAnswer>(
      'fencing',
      record,
      await this.#firmConfigs(record),
      async (address) => (await this.#context.client.call(address, 'fence', { volume: this.#volume, epoch })).value,
      (answers, of) => {
        const reports = new Map([...answers].map(([address, { segments }]) => [address, segments]))
        return of.every((config) =>
          satisfied(readQuorum(config), (member) => reportOf(reports, config, member) !== undefined),
        )
      },
    )
    return { configs, fenced: all }
  }

  /** The end of the log, and the last record of each group at or below it. */
  async #findEnd(
    record: VolumeRecord,
    configs: readonly GroupConfig[],
    fenced: ReadonlyMap<string, FenceAnswer>,
    durable: Lsn,
  ): Promise<{ end: Lsn; points: Map<GroupIndex, Lsn> }> {
    const reports = new Map([...fenced].map(([address, { segments }]) => [address, segments]))
    const found = new Map<GroupIndex, { after: Lsn; summaries: RecordSummary[] }>()
    const { errors } = await gather(
      configs,
      async (config) => {
        found.set(config.group, await this.#summaries(config, reports, durable, record.truncations))
      },
      () => false,
    )
    if (errors[0] !== undefined) throw errors[0]
    const all = [...found.values()].flatMap(({ summaries }) => summaries)
    const { vdl: end } = logEnd(durable, all, record.truncations)
    const points = new Map<GroupIndex, Lsn>()
    for (const [group, { after, summaries }] of found) {
      let point = after
      for (const summary of summaries) {
        if (summary.lsn <= end && !isAnnulled(record.truncations, summary.lsn)) point = maxLsn(point, summary.lsn)
      }
      points.set(group, point)
    }
    return { end, points }
  }

  /**
   * Records above the durable point, from the most complete of the members that answered. One that missed openings may
   * end in what they annulled: it counts as far as its log is part of the volume.
   */
  async #summaries(
    config: GroupConfig,
    reports: Reports,
    durable: Lsn,
    truncations: readonly Truncation[],
  ): Promise<{ after: Lsn; summaries: RecordSummary[] }> {
    const found = config.members.flatMap(({ address }, member) => {
      const report = reportOf(reports, config, member)
      return report === undefined ? [] : [{ address, scl: report.scl, at: cutBack(truncations, report.scl) }]
    })
    const most = found.reduce((highest, { at }) => maxLsn(highest, at), ZERO_LSN)
    let failure: unknown
    for (const { address, scl } of found.filter(({ at }) => at === most)) {
      if (scl === most && most <= durable) return { after: most, summaries: [] }
      try {
        const { value, attachment } = await this.#context.client.call(address, 'summaries', {
          volume: this.#volume,
          group: config.group,
          above: minLsn(durable, most),
        })
        if (value.scl >= scl) return { after: value.after, summaries: readSummaries(attachment) }
        failure = new VolumeError('SuspectSegment', `${address} has lost what it said it had`)
      } catch (error) {
        failure = error
      }
    }
    // Whoever opens the volume again asks who is whole then.
    throw failure
  }

  async #truncate(record: VolumeRecord, end: Lsn): Promise<Versioned<VolumeRecord>> {
    const floor = maxLsn(end, annulledTo(record.truncations, ZERO_LSN))
    const truncation = { epoch: record.epoch, from: end, to: lsn(floor + LSN_ALLOCATION_LIMIT_BYTES) }
    return changeVolume(this.#context.registry, this.#volume, (present) => recordTruncation(present, truncation))
  }

  /**
   * Until a write quorum of every group has everything, under memberships that nobody can have ended in between.
   * @returns those memberships
   */
  async #sealAndFill(
    sealed: Versioned<VolumeRecord>,
    found: readonly GroupConfig[],
    points: ReadonlyMap<GroupIndex, Lsn>,
  ): Promise<readonly GroupConfig[]> {
    const state = volumeState(sealed.record, sealed.version)
    const seal = async (address: string): Promise<readonly SegmentReport[]> =>
      (await this.#context.client.call(address, 'seal', { state })).value.segments
    for (let present = found; ; ) {
      const { configs } = await this.#askUntil(
        'sealing',
        sealed.record,
        present,
        async (address, of) => {
          const segments = await seal(address)
          // Peers of different membership epochs do not talk: who missed a change is told of it.
          for (const config of of) {
            const isMember = config.members.some((member) => member.address === address)
            const report = segments.find(({ group }) => group === config.group)
            if (isMember && report?.membershipEpoch !== config.epoch) {
              await configureAddress(this.#context, this.#volume, config.group, address)
            }
          }
          return segments
        },
        (answers, of) =>
          of.every((config) => {
            const point = points.get(config.group) ?? ZERO_LSN
            return satisfied(writeQuorum(config), (member) => (reportOf(answers, config, member)?.scl ?? -1) >= point)
          }),
      )
      present = await this.#firmConfigs(sealed.record)
      if (present.every((config, i) => isSameSets(config, configs[i]))) return present
    }
  }
}

/** Whether the same members make the quorums of the same group. */
const isSameSets = (a: GroupConfig, b: GroupConfig | undefined): boolean =>
  JSON.stringify([a.group, a.members, a.sets]) === JSON.stringify([b?.group, b?.members, b?.sets])
