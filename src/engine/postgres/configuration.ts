/**
 * The files PostgreSQL is configured by. They lie with the instance and not in the data directory: the address, the memory
 * and the certificate are the instance's, and a reader, a clone or a restored volume opens the same bytes with its own.
 */
import { chown, mkdir, open, rename } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { Account } from '../account.ts'
import type { Certified } from '../certificates.ts'
import { EngineError } from '../engine-error.ts'
import { checkParameters, type Parameters, settingLine } from './parameters.ts'
import { engineSettings, type Setting, type Shape } from './settings.ts'
import { SUPERUSER } from './template.ts'

/** From where a standby gets its WAL. */
export interface Primary {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** Of the authority whose certificate the primary has for `host`. */
  readonly authorityCertificate: string
}

export interface Configuration {
  /** Shown in logs and by `ps`. */
  readonly name: string
  /** The instance's own, such as 127.20.0.3; several with commas between them. */
  readonly address: string
  readonly port: number
  readonly memoryBytes: number
  readonly parameters: Parameters
  readonly certificate: Certified
  /** Refuses connections without TLS from anywhere but this machine's socket, as `rds.force_ssl` does. */
  readonly tlsOnly: boolean
  /** undefined: a primary, which writes. null: a standby that follows nobody yet. */
  readonly primary?: Primary | null
  /** A folder with files of WAL for a standby that cannot get them from its primary. */
  readonly walFolder?: string
}

/** Where an instance's files are. */
export interface InstanceFolders {
  /** Configuration, keys and the socket; in the home's run folder. */
  readonly run: string
  /** In the home's log folder. */
  readonly logs: string
}

export const configurationFile = ({ run }: InstanceFolders): string => join(run, 'borealis.conf')
const hbaFile = (run: string): string => join(run, 'pg_hba.conf')
const identFile = (run: string): string => join(run, 'pg_ident.conf')
const certificateFile = (run: string): string => join(run, 'server.crt')
const keyFile = (run: string): string => join(run, 'server.key')
const primaryAuthorityFile = (run: string): string => join(run, 'primary-authority.crt')

export const socketFile = ({ run }: InstanceFolders, port: number): string => join(run, `.s.PGSQL.${port}`)

/** `sun_path` of unix(7) has 108 bytes, the last of them zero. */
const SOCKET_PATH_BYTES_MAX = 107

/** As libpq reads a connection string. */
const keyword = (name: string, value: string): string =>
  `${name}='${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

function primaryConnection(name: string, run: string, primary: Primary): string {
  return [
    keyword('host', primary.host),
    keyword('port', `${primary.port}`),
    keyword('user', primary.user),
    keyword('password', primary.password),
    keyword('application_name', name),
    'sslmode=verify-full',
    keyword('sslrootcert', primaryAuthorityFile(run)),
    // A primary that is gone shall be noticed by the standby before people do.
    'connect_timeout=3 keepalives_idle=5 keepalives_interval=2 keepalives_count=3',
  ].join(' ')
}

/**
 * PostgreSQL puts the name for `%f` and where it is to be for `%p`; a shell runs it, ten times a second while a standby
 * has no primary. So a file of the log is given once, and again only when there is more of it; histories of timelines
 * are asked for again and again, and are small.
 */
function restoreCommand(folder: string): string {
  const file = `'${folder.replaceAll('%', '%%').replaceAll("'", "'\\''")}'/%f`
  return `test -f ${file} && case %f in *.history) cp ${file} "%p";; *) mv ${file} "%p";; esac`
}

function instanceSettings(configuration: Configuration, { run, logs }: InstanceFolders): Setting[] {
  const { name, address, port, primary, walFolder } = configuration
  const reason = 'of this instance'
  const of = (values: Readonly<Record<string, string>>): Setting[] =>
    Object.entries(values).map(([setting, value]) => ({ name: setting, value, reason }))
  return of({
    cluster_name: name,
    listen_addresses: address,
    port: `${port}`,
    unix_socket_directories: run,
    unix_socket_permissions: '0700',
    hba_file: hbaFile(run),
    ident_file: identFile(run),
    ssl: 'on',
    ssl_cert_file: certificateFile(run),
    ssl_key_file: keyFile(run),
    ssl_min_protocol_version: 'TLSv1.2',
    log_directory: logs,
    // Nobody follows a standby: it keeps the log that it replays from, and no more.
    ...(primary === undefined ? {} : { wal_keep_size: '0' }),
    ...(primary ? { primary_conninfo: primaryConnection(name, run, primary) } : {}),
    ...(walFolder === undefined ? {} : { restore_command: restoreCommand(walFolder) }),
  })
}

/** A later line wins over an earlier one. */
export function configurationText(configuration: Configuration, shape: Shape, folders: InstanceFolders): string {
  const withReason = ({ name, value, reason }: Setting): string => `# ${reason}\n${settingLine(name, value)}`
  const parameters = Object.entries(configuration.parameters).map(([name, value]) => settingLine(name, value))
  return [
    '# Written at each start: changes are lost. Use the parameters of the cluster or of the instance.',
    ...engineSettings(shape).map(withReason),
    '\n# Parameters.',
    ...parameters,
    '\n# The instance: nothing above has a say in these.',
    ...instanceSettings(configuration, folders).map(({ name, value }) => settingLine(name, value)),
    '',
  ].join('\n')
}

/** The first line that fits decides. */
export const hbaText = (tlsOnly: boolean): string =>
  [
    '# Written at each start.',
    `# The instance itself: who may enter the socket's folder is who owns the data.`,
    `local all ${SUPERUSER} peer map=instance`,
    'local all all scram-sha-256',
    `host all ${SUPERUSER} all reject`,
    'hostssl replication all all scram-sha-256',
    `${tlsOnly ? 'hostssl' : 'host'} all all all scram-sha-256`,
    '',
  ].join('\n')

function ourName(): string {
  try {
    return userInfo().username
  } catch (cause) {
    const uid = process.getuid?.()
    throw new EngineError('MachineNotReady', `user ${uid} has no entry in /etc/passwd, which PostgreSQL needs`, {
      cause,
    })
  }
}

export const identText = (user: string): string => `instance "${user}" ${SUPERUSER}\n`

async function writePrivate(path: string, text: string, account: Account | undefined): Promise<void> {
  const temporary = `${path}.tmp`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(text)
    if (account !== undefined) await file.chown(account.uid, account.gid)
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}

/** Throws `BadParameter` when the configuration cannot be, before anything is written. */
export async function writeConfiguration(
  configuration: Configuration,
  shape: Shape,
  folders: InstanceFolders,
  account: Account | undefined,
): Promise<void> {
  checkParameters(configuration.parameters)
  const { run, logs } = folders
  const socket = socketFile(folders, configuration.port)
  if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX) {
    throw new EngineError('BadParameter', `${socket} is too long for a socket: ${SOCKET_PATH_BYTES_MAX} bytes at most`)
  }
  for (const folder of [run, logs]) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    if (account !== undefined) await chown(folder, account.uid, account.gid)
  }
  const write = (path: string, text: string): Promise<void> => writePrivate(path, text, account)
  await write(certificateFile(run), configuration.certificate.certificate)
  await write(keyFile(run), configuration.certificate.key)
  if (configuration.primary) await write(primaryAuthorityFile(run), configuration.primary.authorityCertificate)
  await write(hbaFile(run), hbaText(configuration.tlsOnly))
  await write(identFile(run), identText(ourName()))
  await write(configurationFile(folders), configurationText(configuration, shape, folders))
}
