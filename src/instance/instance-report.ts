/** What an instance tells its parent: one line of JSON whenever something has changed. */
import { type InstanceState, type InstanceStateName, isInstanceState, type StorageState } from './instance-state.ts'
import type { VolumeFigures } from './server-report.ts'

/** How often its server was to be replaced, and how it went the last time. */
export interface Replacements {
  readonly count: number
  /** How long nobody served its files. */
  readonly pauseMs: number | null
  /** Why the old server goes on. */
  readonly problem: string | null
}

export interface InstanceReport {
  readonly state: InstanceStateName
  readonly storage: StorageState
  readonly enginePid: number | null
  /** Of the process that serves its files. */
  readonly serverPid: number | null
  /** Why it is recovering or has failed. */
  readonly reason: string | null
  readonly replacements: Replacements
  /** Of the volume, when it is open. */
  readonly epoch: number | null
  readonly vdl: number | null
  /** What the files take in the volume, once. */
  readonly bytesUsed: number | null
}

export const NO_REPLACEMENTS: Replacements = { count: 0, pauseMs: null, problem: null }

const NO_FIGURES = { epoch: null, vdl: null, bytesUsed: null }

/** What is known of the files. */
export interface FilesStatus {
  readonly storage: StorageState
  readonly serverPid: number | null
  readonly replacements: Replacements
  readonly figures: VolumeFigures | null
}

export const reportOf = (
  state: InstanceState,
  { storage, serverPid, replacements, figures }: FilesStatus,
): InstanceReport => ({
  state: state.name,
  storage,
  enginePid: 'enginePid' in state ? state.enginePid : null,
  serverPid,
  reason: 'reason' in state ? state.reason : null,
  replacements,
  ...(figures ?? NO_FIGURES),
})

const numberOrNull = (value: unknown): number | null => (typeof value === 'number' ? value : null)
const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null)

/** undefined for a line that is none. */
export function parseReport(line: string): InstanceReport | undefined {
  let raw: unknown
  try {
    raw = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof raw !== 'object' || raw === null) return undefined
  const fields = raw as Readonly<Record<string, unknown>>
  const { state } = fields
  if (typeof state !== 'string' || !isInstanceState(state)) return undefined
  const replacements = (fields.replacements ?? {}) as Readonly<Record<string, unknown>>
  return {
    state,
    storage: fields.storage === 'waiting' ? 'waiting' : 'ok',
    enginePid: numberOrNull(fields.enginePid),
    serverPid: numberOrNull(fields.serverPid),
    reason: textOrNull(fields.reason),
    replacements: {
      count: numberOrNull(replacements.count) ?? 0,
      pauseMs: numberOrNull(replacements.pauseMs),
      problem: textOrNull(replacements.problem),
    },
    epoch: numberOrNull(fields.epoch),
    vdl: numberOrNull(fields.vdl),
    bytesUsed: numberOrNull(fields.bytesUsed),
  }
}
