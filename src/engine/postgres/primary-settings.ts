/**
 * What the primary ran with, as the control file of a copy of its data tells. A standby must have as much of these, or it
 * refuses to replay (PostgreSQL, "Hot Standby", administrator's overview); its own parameters may say less, when those of
 * the primary wait for its restart.
 */
import type { Parameters } from './parameters.ts'

/** `ControlFileData` of pg_control.h, from its MaxConnections on: at the same place from 14 to 18. */
const SETTINGS_AT = 180
const SETTINGS = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
]

/** How each is when nobody sets it (`settings.ts`, and the engine itself). */
const UNSET: Readonly<Record<string, number>> = {
  max_worker_processes: 8,
  max_wal_senders: 20,
  max_prepared_transactions: 0,
  max_locks_per_transaction: 64,
}

/** In the order of the control file. */
export const primarySettings = (controlFile: Buffer): ReadonlyMap<string, number> =>
  new Map(SETTINGS.map((name, index) => [name, controlFile.readInt32LE(SETTINGS_AT + 4 * index)]))

/** A standby's parameters, raised to what its primary ran with. */
export function withPrimarySettings(parameters: Parameters, primary: ReadonlyMap<string, number>): Parameters {
  const raised = [...primary].flatMap(([name, value]) => {
    const own = Number(parameters[name] ?? UNSET[name] ?? 0)
    return value > own ? [[name, `${value}`] as const] : []
  })
  return { ...parameters, ...Object.fromEntries(raised) }
}
