/** What an instance tells its parent: one line of JSON whenever something has changed. */
import { type InstanceState, type InstanceStateName, isInstanceState, type StorageState } from './instance-state.ts'

export interface InstanceReport {
  readonly state: InstanceStateName
  readonly storage: StorageState
  readonly enginePid: number | null
  /** Why it is recovering or has failed. */
  readonly reason: string | null
  /** Of the volume, when it is open. */
  readonly epoch: number | null
  readonly vdl: number | null
  /** What the files take in the volume, once. */
  readonly bytesUsed: number | null
}

export type VolumeFigures = Pick<InstanceReport, 'epoch' | 'vdl' | 'bytesUsed'>

export const NO_FIGURES: VolumeFigures = { epoch: null, vdl: null, bytesUsed: null }

export const reportOf = (state: InstanceState, storage: StorageState, figures: VolumeFigures): InstanceReport => ({
  state: state.name,
  storage,
  enginePid: state.name === 'available' ? state.enginePid : null,
  reason: 'reason' in state ? state.reason : null,
  ...figures,
})

const numberOrNull = (value: unknown): number | null => (typeof value === 'number' ? value : null)

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
  const { state, reason } = fields
  if (typeof state !== 'string' || !isInstanceState(state)) return undefined
  return {
    state,
    storage: fields.storage === 'waiting' ? 'waiting' : 'ok',
    enginePid: numberOrNull(fields.enginePid),
    reason: typeof reason === 'string' ? reason : null,
    epoch: numberOrNull(fields.epoch),
    vdl: numberOrNull(fields.vdl),
    bytesUsed: numberOrNull(fields.bytesUsed),
  }
}
