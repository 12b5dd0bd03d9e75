/** Parameters that users set: any of PostgreSQL's own, except those that would break what the storage or the instance promises. */
import { EngineError } from '../engine-error.ts'

export type Parameters = Readonly<Record<string, string>>

const STORAGE = {
  fsync: 'commits would be acknowledged before the volume has them',
  data_sync_retry: 'after a failed sync what is durable is unknown: only a recovery finds out',
  zero_damaged_pages: 'a read that fails once would erase the page for good',
  ignore_checksum_failure: 'a wrong page would be taken for a right one',
  wal_segment_size: 'it is fixed when a cluster is created',
  recovery_init_sync_method: 'it is chosen for the volume',
  restart_after_crash: 'a fenced writer must not come back by itself',
  synchronous_standby_names: 'the volume has six copies; commits would wait for readers as well',
  archive_mode: 'the volume is its own archive',
  archive_command: 'the volume is its own archive, and commands are not run on this machine',
  archive_library: 'the volume is its own archive',
  archive_cleanup_command: 'commands are not run on this machine',
  restore_command: 'the past is read from the volume, and commands are not run on this machine',
  recovery_end_command: 'commands are not run on this machine',
  ssl_passphrase_command: 'commands are not run on this machine',
  allow_alter_system: 'settings belong to the instance, not to the volume',
  allow_in_place_tablespaces: 'it is for tests of PostgreSQL itself',
} as const

const BY_INSTANCE = 'the instance sets it'
const INSTANCE = [
  ...['data_directory', 'config_file', 'hba_file', 'ident_file', 'external_pid_file', 'cluster_name'],
  ...['listen_addresses', 'port', 'unix_socket_directories', 'unix_socket_group', 'unix_socket_permissions', 'bonjour'],
  ...['ssl', 'ssl_cert_file', 'ssl_key_file', 'ssl_ca_file', 'ssl_crl_file', 'ssl_crl_dir', 'krb_server_keyfile'],
  ...['log_directory', 'log_filename', 'logging_collector', 'log_file_mode', 'stats_temp_directory'],
  ...['log_line_prefix', 'log_timezone', 'lc_messages'],
  ...['primary_conninfo', 'primary_slot_name', 'hot_standby', 'promote_trigger_file', 'dynamic_library_path'],
  ...['include', 'include_dir', 'include_if_exists'],
]

const NAME = /^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/

/** Values that a parameter must not have, where it may have others. */
const FORBIDDEN: Readonly<Record<string, { readonly value: RegExp; readonly reason: string }>> = {
  wal_level: { value: /^minimal$/i, reason: 'readers could not follow' },
  password_encryption: { value: /^md5$/i, reason: 'only SCRAM passwords are let in' },
  log_destination: { value: /syslog|eventlog/i, reason: 'logs are kept with the instance' },
}

/** Why a parameter cannot be set, or undefined. Names are taken as PostgreSQL takes them: in any case of letters. */
export function parameterProblem(name: string, value: string): string | undefined {
  const known = name.toLowerCase()
  if (!NAME.test(known)) return 'that is no name of a parameter'
  if (/[\0\n\r]/.test(value)) return 'a value has one line'
  if (Object.hasOwn(STORAGE, known)) return STORAGE[known as keyof typeof STORAGE]
  if (INSTANCE.includes(known) || known.startsWith('recovery_target')) return BY_INSTANCE
  const forbidden = FORBIDDEN[known]
  return forbidden?.value.test(value.trim()) ? `${value} is not possible: ${forbidden.reason}` : undefined
}

/** Throws `BadParameter` with all that is wrong. Whether a value is right is PostgreSQL's to say, when it starts. */
export function checkParameters(parameters: Parameters): void {
  const problems = Object.entries(parameters).flatMap(([name, value]) => {
    const problem = parameterProblem(name, value)
    return problem === undefined ? [] : [`${name}: ${problem}`]
  })
  if (problems.length > 0) throw new EngineError('BadParameter', `parameters are refused: ${problems.join('; ')}`)
}

/** One line of a configuration file. Everything is quoted: PostgreSQL takes numbers so too. */
export const settingLine = (name: string, value: string): string =>
  `${name.toLowerCase()} = '${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
