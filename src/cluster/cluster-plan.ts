/**
 * What is to be done about a cluster: a pure function of what is wanted (the database), what is seen (the hosts) and the
 * time. The loop (`cluster-loop.ts`) carries it out and asks again, so nothing here remembers anything, and a control
 * plane that starts anew goes on where the last one was.
 *
 * There is one durable decision behind every change of roles: which instance is the cluster's writer, and which run of
 * each instance is wanted. A failover is one transaction that changes those. What it implies follows from comparing:
 *
 *     a process of an earlier run           -> end it
 *     none, and one is wanted               -> start the wanted run
 *     the wanted run has ended by itself    -> decide: another writer, or another run
 *     a reader that follows somebody else   -> tell it whom to follow
 *
 * Safety does not rest on any of it: a volume is opened with a higher epoch each time, so whoever was the writer before
 * can acknowledge nothing (spec/volume.md). This is about availability.
 */
import type { Address } from '../instance/settings-file.ts'
import type { ClusterRecord, Ending, InstanceRecord, StartReason } from './cluster-records.ts'
import type { SeenInstance } from './host-agent.ts'
import { instanceClass } from './instance-classes.ts'
import { choosePromotion } from './promotion.ts'

/** What is known of a cluster at one moment. */
export interface ClusterView {
  readonly cluster: ClusterRecord
  readonly instances: readonly InstanceRecord[]
  readonly seen: ReadonlyMap<string, SeenInstance>
  /** How many runs of it have failed one after the other. */
  readonly failures: ReadonlyMap<string, number>
  /** Since when a write quorum of storage has answered the control plane; null: it does not, or was not asked. */
  readonly storageAnswersSinceMs: number | null
  /** Since when the control plane has looked without a break: what it did not hear while it stood still means nothing. */
  readonly lookingSinceMs: number
}

export type Decision =
  | { readonly kind: 'failover'; readonly to: string; readonly why: string }
  /** There is another writer, and it is available. */
  | { readonly kind: 'failed-over' }
  | {
      readonly kind: 'again'
      readonly instance: string
      readonly reason: StartReason
      readonly why: string
      readonly ending: Ending
    }
  /** For the first time. */
  | { readonly kind: 'available'; readonly instance: string }
  /** In another run than before. */
  | { readonly kind: 'restarted'; readonly instance: string }
  | { readonly kind: 'removed'; readonly instance: string }
  /** The cluster has no instance any more. */
  | { readonly kind: 'no-writer' }

export type Step =
  | { readonly do: 'decide'; readonly decision: Decision }
  | { readonly do: 'start'; readonly instance: string }
  | { readonly do: 'end'; readonly instance: string; readonly how: Ending }
  | { readonly do: 'follow'; readonly instance: string; readonly primary: Address | null }
  | { readonly do: 'remove'; readonly instance: string }
  | { readonly do: 'make-volume' }
  | { readonly do: 'remove-volume' }

/** An instance speaks twice a second. Who is silent for so long does not run: it stands still, or its host does. */
export const SILENT_MS_MAX = 3000
/** Before it speaks for the first time its program is loaded. */
export const START_SILENT_MS_MAX = 30_000
/** An engine that has not answered for so long hangs. On a machine with ten times more work than processors it takes seconds. */
export const HUNG_MS_MAX = 4000
/** With nobody to take over, it is started again only when it surely hangs: work that is slow is better than none. */
export const LONE_MS_MAX = 10_000
/** A reader that hangs holds up nobody but those who read there. */
export const READER_HUNG_MS_MAX = 20_000
/** Its storage does not answer it, and answers us: it is cut off. */
export const CUT_OFF_MS_MAX = 4000
/** Another has opened the volume, and we say that this one is the writer: it takes the volume back, not at once. */
export const FENCED_PAUSE_MS = 5000
const AGAIN_MS_MIN = 100
const AGAIN_MS_MAX = 10_000

export const againMs = (failures: number): number =>
  Math.min(AGAIN_MS_MIN * 2 ** Math.max(failures - 1, 0), AGAIN_MS_MAX)

const isCurrent = ({ run }: InstanceRecord, seen: SeenInstance | undefined): seen is SeenInstance => seen?.run === run

type Part = 'writer' | 'lone writer' | 'reader'

const SILENT_MS = { writer: SILENT_MS_MAX, 'lone writer': LONE_MS_MAX, reader: SILENT_MS_MAX } as const
const HUNG_MS = { writer: HUNG_MS_MAX, 'lone writer': LONE_MS_MAX, reader: READER_HUNG_MS_MAX } as const

/** Why the wanted run of an instance is of no use, though it is there; undefined when it is not so. */
function trouble(seen: SeenInstance, part: Part, view: ClusterView, nowMs: number) {
  const { report } = seen
  const silentMs = nowMs - Math.max(seen.heardMs, view.lookingSinceMs)
  if (report === null) return silentMs > START_SILENT_MS_MAX ? 'it has said nothing since it was started' : undefined
  if (silentMs > SILENT_MS[part]) return `it has said nothing for ${Math.round(silentMs)} ms`
  if (report.state !== 'available') return undefined
  if (report.storage === 'waiting') {
    // Storage that is back answers us before the writer has noticed.
    const sinceMs = Math.max(seen.waitingSinceMs ?? nowMs, view.storageAnswersSinceMs ?? nowMs, view.lookingSinceMs)
    return part !== 'reader' && nowMs - sinceMs > CUT_OFF_MS_MAX ? 'it is cut off from its storage' : undefined
  }
  // What it could not answer before, while its files had no server, counts for nothing.
  const quietMs = Math.min(report.answeredMsAgo ?? 0, nowMs - (seen.availableSinceMs ?? nowMs))
  if (quietMs > HUNG_MS[part]) return `its engine has not answered for ${Math.round(quietMs)} ms`
  if (part === 'reader' && report.rebuild !== null) return report.rebuild
  return undefined
}

function isAvailable(instance: InstanceRecord, view: Pick<ClusterView, 'seen'>, nowMs: number): boolean {
  const seen = view.seen.get(instance.name)
  return (
    isCurrent(instance, seen) &&
    seen.phase === 'running' &&
    seen.report?.state === 'available' &&
    nowMs - seen.heardMs <= SILENT_MS_MAX &&
    instance.stage === 'live'
  )
}

/** Which reader is to be the writer; undefined when none can. */
export function promotable(view: Pick<ClusterView, 'cluster' | 'instances' | 'seen'>, nowMs: number) {
  const { cluster, instances, seen } = view
  return choosePromotion(
    instances
      .filter((each) => each.name !== cluster.writer && isAvailable(each, view, nowMs))
      .map((each) => ({
        name: each.name,
        tier: each.settings.promotionTier,
        memoryBytes: instanceClass(each.settings.instanceClass)?.memoryBytes ?? 0,
        walLsn: seen.get(each.name)?.report?.walLsn ?? null,
      })),
  )
}

const decide = (decision: Decision): Step[] => [{ do: 'decide', decision }]

/** Another run of an instance whose wanted run has ended, when it is time. */
function again(instance: InstanceRecord, seen: SeenInstance, view: ClusterView, nowMs: number): Step[] {
  const pauseMs = seen.report?.state === 'fenced' ? FENCED_PAUSE_MS : againMs(view.failures.get(instance.name) ?? 1)
  if (nowMs - seen.heardMs < pauseMs) return []
  const why = seen.reason ?? 'it ended'
  return decide({ kind: 'again', instance: instance.name, reason: 'failed', why, ending: 'kill' })
}

/** The one that is to write: there, and of use; or another. */
function planWriter(view: ClusterView, nowMs: number): Step[] | undefined {
  const { cluster, instances } = view
  const live = instances.filter(({ stage }) => stage === 'live')
  const writer = instances.find(({ name }) => name === cluster.writer)
  const failover = (why: string): Step[] | undefined => {
    const to = promotable(view, nowMs)?.name
    return to === undefined ? undefined : decide({ kind: 'failover', to, why })
  }
  if (writer === undefined || writer.stage === 'deleting') {
    const why = writer === undefined ? 'there is no writer' : 'the writer is being deleted'
    // None is available: then any will do, as it recovers from the volume.
    const [any] = live
    if (any !== undefined) return failover(why) ?? decide({ kind: 'failover', to: any.name, why })
    return writer === undefined && cluster.writer !== null ? decide({ kind: 'no-writer' }) : undefined
  }
  const seen = view.seen.get(writer.name)
  if (!isCurrent(writer, seen)) return undefined
  if (seen.phase === 'gone') {
    const isTaken = seen.report?.state === 'fenced'
    return (isTaken ? undefined : failover(seen.reason ?? 'it ended')) ?? again(writer, seen, view, nowMs)
  }
  const part = promotable(view, nowMs) === undefined ? 'lone writer' : 'writer'
  const why = trouble(seen, part, view, nowMs)
  if (why !== undefined)
    return failover(why) ?? decide({ kind: 'again', instance: writer.name, reason: 'failed', why, ending: 'kill' })
  if (cluster.failover !== null && seen.report?.state === 'available') return decide({ kind: 'failed-over' })
  return undefined
}

const samePlace = (a: Address | null, b: Address | null): boolean => a?.host === b?.host && a?.port === b?.port

/** Whom readers are to follow. */
export function primaryOf({ cluster, instances }: Pick<ClusterView, 'cluster' | 'instances'>): Address | null {
  const writer = instances.find(({ name }) => name === cluster.writer)
  return writer === undefined ? null : { host: writer.address, port: cluster.settings.port }
}

function planInstance(instance: InstanceRecord, view: ClusterView, nowMs: number): Step[] {
  const { cluster } = view
  const { name, stage, run } = instance
  const seen = view.seen.get(name)
  const role = name === cluster.writer ? 'writer' : 'reader'
  const isWanted = cluster.stage === 'live' && cluster.wanted === 'running' && stage === 'live'
  if (seen?.phase === 'running') {
    if (!isWanted) return [{ do: 'end', instance: name, how: 'stop' }]
    // It is about to say which run it is.
    if (seen.run === null && nowMs - Math.max(seen.heardMs, view.lookingSinceMs) <= SILENT_MS_MAX) return []
    if (seen.run !== run) return [{ do: 'end', instance: name, how: instance.ending }]
    if (seen.report?.state === 'available' && instance.availableRun !== run)
      return decide({ kind: instance.wasAvailable ? 'restarted' : 'available', instance: name })
    if (role === 'writer') return []
    const why = trouble(seen, role, view, nowMs)
    if (why !== undefined) return decide({ kind: 'again', instance: name, reason: 'rebuilt', why, ending: 'kill' })
    const primary = primaryOf(view)
    const isLost = seen.report?.state === 'available' && !samePlace(seen.report.primary, primary)
    return isLost ? [{ do: 'follow', instance: name, primary }] : []
  }
  if (stage === 'deleting') return [{ do: 'remove', instance: name }]
  if (!isWanted) return []
  // A reader has nothing to read before there was a writer.
  if (role === 'reader' && !cluster.hasData) return []
  if (isCurrent(instance, seen)) return role === 'writer' ? [] : again(instance, seen, view, nowMs)
  return [{ do: 'start', instance: name }]
}

/** @param nowMs of the same clock as what is seen */
export function planCluster(view: ClusterView, nowMs: number): Step[] {
  const { cluster, instances } = view
  if (cluster.stage === 'creating') return [{ do: 'make-volume' }]
  if (cluster.stage === 'deleting' && instances.length === 0) return [{ do: 'remove-volume' }]
  const isUp = cluster.stage === 'live' && cluster.wanted === 'running'
  // A decision changes what is wanted: everything else is planned after it.
  const aboutWriter = isUp ? planWriter(view, nowMs) : undefined
  if (aboutWriter?.some((step) => step.do === 'decide')) return aboutWriter
  return [...(aboutWriter ?? []), ...instances.flatMap((instance) => planInstance(instance, view, nowMs))]
}
