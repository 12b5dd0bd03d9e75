/** What an instance tells who runs it: a line of JSON whenever something has changed, and twice a second anyway. */
import type { FaultRequest } from '../engine/postgres/aurora-requests.ts'
import type { EngineFigures } from './engine-watch.ts'
import { type InstanceState, type InstanceStateName, isInstanceState, type StorageState } from './instance-state.ts'
import type { ServerReport } from './server-report.ts'
import type { Address, InstanceSettingsFile, Role } from './settings-file.ts'

/** How often its server was to be replaced, and how it went the last time. */
export interface Replacements {
  readonly count: number
  /** How long nobody served its files. */
  readonly pauseMs: number | null
  /** Why the old server goes on. */
  readonly problem: string | null
}

export interface InstanceReport {
  readonly pid: number
  readonly name: string
  readonly run: number
  readonly role: Role
  readonly state: InstanceStateName
  readonly storage: StorageState
  readonly enginePid: number | null
  /** Of the process that serves its files. */
  readonly serverPid: number | null
  /** Why it is recovering or has failed. */
  readonly reason: string | null
  readonly replacements: Replacements
  /** Of the volume, when it is open. A reader's `vdl` is the point at which its view was opened. */
  readonly epoch: number | null
  readonly vdl: number | null
  /** What the files take in the volume, once. */
  readonly bytesUsed: number | null
  /** Whom a reader follows. */
  readonly primary: Address | null
  /**
   * Since engine, its first process and the server of the files last answered, all of them: what hangs shows as a number
   * that grows. null until they did for the first time, and while the engine does not run.
   */
  readonly answeredMsAgo: number | null
  /** A writer's end of the durable WAL, what a reader has replayed: `0/15D68C50`. */
  readonly walLsn: string | null
  readonly timeline: number | null
  /** Of clients. */
  readonly connections: number | null
  /** Of a reader: whether WAL comes in; null for a writer. */
  readonly streaming: boolean | null
  /** How far a reader is behind; null for a writer, and when nobody knows. */
  readonly lagMs: number | null
  /** What a reader has written for itself; null for a writer. */
  readonly overlayBytes: number | null
  /** Why a reader wants to be started anew, on a fresh view of the volume. */
  readonly rebuild: string | null
  /** Faults that SQL asks for: `taken` says what became of each. */
  readonly requests: readonly FaultRequest[]
}

export const NO_REPLACEMENTS: Replacements = { count: 0, pauseMs: null, problem: null }

/** What is known of an instance, besides its state. */
export interface InstanceStatus {
  readonly settings: Pick<InstanceSettingsFile, 'name' | 'run' | 'role'>
  readonly server: ServerReport
  readonly serverPid: number | null
  readonly replacements: Replacements
  readonly engine: EngineFigures
  readonly primary: Address | null
  readonly answeredMsAgo: number | null
  readonly rebuild: string | null
  readonly requests: readonly FaultRequest[]
}

export function reportOf(state: InstanceState, status: InstanceStatus): InstanceReport {
  const { settings, server, serverPid, replacements, primary, answeredMsAgo, rebuild, requests } = status
  const { walFile: _, ...engine } = status.engine
  return {
    pid: process.pid,
    name: settings.name,
    run: settings.run,
    role: settings.role,
    state: state.name,
    storage: server.storage,
    enginePid: 'enginePid' in state ? state.enginePid : null,
    serverPid,
    reason: 'reason' in state ? state.reason : null,
    replacements,
    epoch: server.figures?.epoch ?? null,
    vdl: server.figures?.vdl ?? null,
    bytesUsed: server.figures?.bytesUsed ?? null,
    primary,
    answeredMsAgo,
    ...engine,
    overlayBytes: server.overlayBytes,
    rebuild: rebuild ?? server.rebuild,
    requests,
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

const numberOrNull = (value: unknown): number | null => (typeof value === 'number' ? value : null)
const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null)
const flagOrNull = (value: unknown): boolean | null => (typeof value === 'boolean' ? value : null)

function addressOrNull(value: unknown): Address | null {
  if (!isRecord(value) || typeof value.host !== 'string' || typeof value.port !== 'number') return null
  return { host: value.host, port: value.port }
}

/** undefined for a line that is none. */
export function parseReport(line: string): InstanceReport | undefined {
  try {
    return readReport(JSON.parse(line))
  } catch {
    return undefined
  }
}

/** undefined for what is none. What another version does not tell is null. */
export function readReport(raw: unknown): InstanceReport | undefined {
  if (!isRecord(raw)) return undefined
  const { state } = raw
  if (typeof state !== 'string' || !isInstanceState(state)) return undefined
  const replacements = isRecord(raw.replacements) ? raw.replacements : {}
  return {
    pid: numberOrNull(raw.pid) ?? 0,
    name: textOrNull(raw.name) ?? '',
    run: numberOrNull(raw.run) ?? 0,
    role: raw.role === 'reader' ? 'reader' : 'writer',
    state,
    storage: raw.storage === 'waiting' ? 'waiting' : 'ok',
    enginePid: numberOrNull(raw.enginePid),
    serverPid: numberOrNull(raw.serverPid),
    reason: textOrNull(raw.reason),
    replacements: {
      count: numberOrNull(replacements.count) ?? 0,
      pauseMs: numberOrNull(replacements.pauseMs),
      problem: textOrNull(replacements.problem),
    },
    epoch: numberOrNull(raw.epoch),
    vdl: numberOrNull(raw.vdl),
    bytesUsed: numberOrNull(raw.bytesUsed),
    primary: addressOrNull(raw.primary),
    answeredMsAgo: numberOrNull(raw.answeredMsAgo),
    walLsn: textOrNull(raw.walLsn),
    timeline: numberOrNull(raw.timeline),
    connections: numberOrNull(raw.connections),
    streaming: flagOrNull(raw.streaming),
    lagMs: numberOrNull(raw.lagMs),
    overlayBytes: numberOrNull(raw.overlayBytes),
    rebuild: textOrNull(raw.rebuild),
    requests: Array.isArray(raw.requests) ? raw.requests : [],
  }
}
