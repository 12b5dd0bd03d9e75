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
import { invariant, VolumeError } from '../protocol/errors.ts'
import { type GroupConfig, readQuorum, writeQuorum } from '../protocol/group.ts'
import { type GroupIndex, type Lsn, lsn, maxLsn, type VolumeId, ZERO_LSN } from '../protocol/lsn.ts'
import { type RecordSummary, readSummaries } from '../protocol/message.ts'
import { satisfied } from '../protocol/quorum.ts'
import { logEnd } from '../protocol/recovery.ts'
import { annulledTo, isAnnulled } from '../protocol/truncation.ts'
import { gather } from './gather.ts'
import { inheritedGroups, lineage } from './lineage.ts'
import { changeVolume, readGroup, type Versioned } from './registry-cells.ts'
import { claimEpoch, recordTruncation } from './volume-changes.ts'
import type { VolumeContext } from './volume-context.ts'
import { type VolumeRecord, volumeState } from './volume-record.ts'
import type { OpenedVolume } from './writer.ts'

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
  const address = config.members[member]?.address ?? ''
  const report = reports.get(address)?.find(({ group }) => group === config.group)
  return report?.suspect === true ? undefined : report
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
    const configs = await this.#configs(record)
    const fenced = await this.#fence(configs, record.epoch)
    let durable = record.base
    for (const { vdl } of fenced.values()) durable = maxLsn(durable, vdl)
    const { end, points } = await this.#findEnd(record, configs, fenced, durable)
    const sealed = await this.#truncate(record, end)
    await this.#sealAndFill(sealed, configs, points)
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

  async #configs(record: VolumeRecord): Promise<GroupConfig[]> {
    const active = [...record.groups].filter(([, stage]) => stage === 'active')
    const { answers, errors } = await gather(
      active.map(([group]) => group),
      async (group) => (await readGroup(this.#context.registry, record.placement, group)).record,
      (all) => all.size === active.length,
    )
    if (errors[0] !== undefined) throw errors[0]
    return [...answers.values()]
  }

  #checkTime(what: string, cause: VolumeError | undefined): void {
    if (this.#context.clock.now() < this.#deadlineMs) return
    throw new VolumeError('NoQuorum', `${what}: too few nodes answered in time`, { cause })
  }

  /** Asks all nodes until `enough`, going on with those that answered before. */
  async #askUntil<V>(
    what: string,
    addresses: readonly string[],
    ask: (address: string) => Promise<V>,
    enough: (answers: ReadonlyMap<string, V>) => boolean,
  ): Promise<ReadonlyMap<string, V>> {
    const all = new Map<string, V>()
    for (;;) {
      const { answers, errors } = await gather(addresses, ask, (some) => enough(new Map([...all, ...some])))
      for (const [address, value] of answers) all.set(address, value)
      if (enough(all)) return all
      const refused = errors.find(({ code }) => code === 'StaleVolumeEpoch')
      if (refused !== undefined)
        throw new VolumeError('Fenced', 'the volume was opened by somebody else', { cause: refused })
      this.#checkTime(what, errors[0])
      await this.#context.pause(RETRY_MS)
    }
  }

  async #fence(configs: readonly GroupConfig[], epoch: number): Promise<ReadonlyMap<string, FenceAnswer>> {
    return this.#askUntil(
      'fencing',
      addressesOf(configs),
      async (address) => (await this.#context.client.call(address, 'fence', { volume: this.#volume, epoch })).value,
      (answers) => {
        const reports = new Map([...answers].map(([address, { segments }]) => [address, segments]))
        return configs.every((config) =>
          satisfied(readQuorum(config), (member) => reportOf(reports, config, member) !== undefined),
        )
      },
    )
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
        found.set(config.group, await this.#summaries(config, reports, durable))
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

  /** Records above the durable point, from the most complete of the members that answered. */
  async #summaries(
    config: GroupConfig,
    reports: Reports,
    durable: Lsn,
  ): Promise<{ after: Lsn; summaries: RecordSummary[] }> {
    let best: { address: string; scl: Lsn } | undefined
    config.members.forEach(({ address }, member) => {
      const report = reportOf(reports, config, member)
      if (report !== undefined && (best === undefined || report.scl > best.scl)) best = { address, scl: report.scl }
    })
    invariant(best !== undefined, 'a group was fenced by nobody')
    if (best.scl <= durable) return { after: best.scl, summaries: [] }
    const answer = await this.#context.client.call(best.address, 'summaries', {
      volume: this.#volume,
      group: config.group,
      above: durable,
    })
    return { after: answer.value.after, summaries: readSummaries(answer.attachment) }
  }

  async #truncate(record: VolumeRecord, end: Lsn): Promise<Versioned<VolumeRecord>> {
    const floor = maxLsn(end, annulledTo(record.truncations, ZERO_LSN))
    const truncation = { epoch: record.epoch, from: end, to: lsn(floor + LSN_ALLOCATION_LIMIT_BYTES) }
    return changeVolume(this.#context.registry, this.#volume, (present) => recordTruncation(present, truncation))
  }

  async #sealAndFill(
    sealed: Versioned<VolumeRecord>,
    configs: readonly GroupConfig[],
    points: ReadonlyMap<GroupIndex, Lsn>,
  ): Promise<void> {
    const state = volumeState(sealed.record, sealed.version)
    await this.#askUntil(
      'sealing',
      addressesOf(configs),
      async (address) => (await this.#context.client.call(address, 'seal', { state })).value.segments,
      (answers) =>
        configs.every((config) => {
          const point = points.get(config.group) ?? ZERO_LSN
          return satisfied(writeQuorum(config), (member) => (reportOf(answers, config, member)?.scl ?? -1) >= point)
        }),
    )
  }
}
