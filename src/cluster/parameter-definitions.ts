/**
 * The parameters of a family (`aurora-postgresql17`): what the engine says of its own, with the defaults that instances
 * here have, and those that Aurora adds.
 */
import type { EngineParameter } from '../engine/postgres/parameter-catalog.ts'
import { parameterProblem } from '../engine/postgres/parameters.ts'
import { engineSettings } from '../engine/postgres/settings.ts'
import type { Major } from '../engine/postgres/versions.ts'

export interface ParameterDefinition {
  readonly name: string
  readonly description: string
  readonly dataType: 'boolean' | 'integer' | 'float' | 'string'
  /** `0,1`, `16-1073741823`, `a,b,c`; null: any. */
  readonly allowedValues: string | null
  /** `static`: takes effect at a reboot. */
  readonly applyType: 'static' | 'dynamic'
  /** Why it cannot be set; null: it can. */
  readonly fixed: string | null
  readonly defaultValue: string | null
  /** Who chose the default. */
  readonly source: 'engine-default' | 'system'
  /** In the cluster's groups only, or in an instance's as well. */
  readonly level: 'cluster' | 'any'
}

export type ParameterDefinitions = ReadonlyMap<string, ParameterDefinition>

export const familyOf = (major: number): string => `aurora-postgresql${major}`

/** Formulas of the settings that depend on the memory (`settings.ts` of the engine), in the engine's units. */
const FORMULAS: Readonly<Record<string, string>> = {
  shared_buffers: '{DBInstanceClassMemory*6/81920}',
  effective_cache_size: '{DBInstanceClassMemory*6/81920}',
  max_connections: 'GREATEST(LEAST({DBInstanceClassMemory/9531392},5000),60)',
  maintenance_work_mem: 'GREATEST({DBInstanceClassMemory/63488},65536)',
}

/** A reader that had less of these than its writer could not follow it (PostgreSQL, "Hot Standby"). */
export const SAME_ON_ALL = [
  'max_connections',
  'max_locks_per_transaction',
  'max_prepared_transactions',
  'max_wal_senders',
  'max_worker_processes',
]

/** Of the data, or of how readers follow: all instances of a cluster have the same. */
const CLUSTER_ONLY = [
  ...SAME_ON_ALL,
  ...['wal_level', 'track_commit_timestamp', 'max_replication_slots', 'full_page_writes', 'wal_log_hints'],
  ...['timezone', 'lc_monetary', 'lc_numeric', 'lc_time', 'max_logical_replication_workers', 'hot_standby_feedback'],
]

const ELSEWHERE: Readonly<Record<string, string>> = { wal_level: 'set rds.logical_replication instead' }

const AURORA: readonly ParameterDefinition[] = [
  {
    name: 'rds.force_ssl',
    description: 'Force SSL connections.',
    dataType: 'boolean',
    allowedValues: '0,1',
    applyType: 'dynamic',
    fixed: 'connections are always over TLS',
    defaultValue: '1',
    source: 'system',
    level: 'cluster',
  },
  {
    name: 'rds.logical_replication',
    description: 'Enables logical decoding.',
    dataType: 'boolean',
    allowedValues: '0,1',
    applyType: 'static',
    fixed: null,
    defaultValue: '0',
    source: 'system',
    level: 'cluster',
  },
  {
    name: 'rds.log_retention_period',
    description: 'Amount of time in minutes that log files are kept.',
    dataType: 'integer',
    allowedValues: '1440-10080',
    applyType: 'dynamic',
    fixed: 'log files are kept for three days',
    defaultValue: '4320',
    source: 'system',
    level: 'cluster',
  },
  {
    name: 'rds.accepted_password_auth_method',
    description: 'Password authentication methods that are let in.',
    dataType: 'string',
    allowedValues: 'scram',
    applyType: 'dynamic',
    fixed: 'only SCRAM passwords are let in',
    defaultValue: 'scram',
    source: 'system',
    level: 'cluster',
  },
]

/** How many of the parameter's own unit are in a value's. */
const UNITS: Readonly<Record<string, number>> = {
  ...{ B: 1, kB: 1024, '8kB': 8192, MB: 2 ** 20, '16MB': 2 ** 24, GB: 2 ** 30, TB: 2 ** 40 },
  ...{ us: 1e-3, ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 },
}

/** `60s` of a parameter in `s` is `60`, as parameter groups show it. */
function inUnit(value: string, unit: string | null): string {
  const [, number, of] = /^(\d+)\s*([A-Za-z]+)$/.exec(value) ?? []
  const from = UNITS[of ?? '']
  const to = UNITS[unit ?? '']
  return from === undefined || to === undefined ? value : `${(Number(number) * from) / to}`
}

const DATA_TYPES = { bool: 'boolean', integer: 'integer', real: 'float', string: 'string', enum: 'string' } as const

function shown({ type, unit }: EngineParameter, value: string | null): string | null {
  if (value === null || value === '') return null
  if (type === 'bool') return value === 'on' || value === '1' ? '1' : '0'
  return inUnit(value, unit)
}

function allowed({ type, least, most, choices }: EngineParameter): string | null {
  if (type === 'bool') return '0,1'
  if (choices !== null) return choices.join(',')
  return least === null || most === null ? null : `${least}-${most}`
}

function fixedReason({ name, context }: EngineParameter): string | null {
  if (context === 'internal') return 'it is fixed when the engine is built or the cluster is made'
  return ELSEWHERE[name] ?? parameterProblem(name, '') ?? null
}

/** Whatever needs a start of the engine anyway does not depend on how much memory the instance has. */
const ANY_MEMORY = 2 ** 32

/** By name, in the order of names. */
export function parameterDefinitions(major: Major, engine: readonly EngineParameter[]): ParameterDefinitions {
  const settings = new Map(engineSettings({ major, memoryBytes: ANY_MEMORY }).map(({ name, value }) => [name, value]))
  const own = engine.map((parameter): ParameterDefinition => {
    // PostgreSQL writes three of them with capitals, and takes them in any case.
    const name = parameter.name.toLowerCase()
    const set = settings.get(name)
    return {
      name,
      description: parameter.description,
      dataType: DATA_TYPES[parameter.type],
      allowedValues: allowed(parameter),
      applyType: parameter.context === 'postmaster' || parameter.context === 'internal' ? 'static' : 'dynamic',
      fixed: fixedReason(parameter),
      defaultValue: FORMULAS[name] ?? shown(parameter, set ?? parameter.defaultValue),
      source: set === undefined ? 'engine-default' : 'system',
      level: CLUSTER_ONLY.includes(name) ? 'cluster' : 'any',
    }
  })
  const all = [...own, ...AURORA].sort((a, b) => (a.name < b.name ? -1 : 1))
  return new Map(all.map((definition) => [definition.name, definition]))
}
