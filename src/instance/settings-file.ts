/**
 * What an instance is, in a file that whoever starts it has written: it holds keys and passwords, so it is nobody else's
 * to read. A process has these settings for its life; what may change meanwhile comes as commands (`instance-command.ts`).
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fields, integer, oneOf, record, text, volumeField } from '../volume/json-fields.ts'

/** Where an engine listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

export const ROLES = ['writer', 'reader'] as const
export type Role = (typeof ROLES)[number]

export interface InstanceSettingsFile {
  readonly name: string
  readonly cluster: string
  /** Which start of the instance this is, counted by whoever starts it. */
  readonly run: number
  /** For the life of the process. */
  readonly role: Role
  /** The instance's own, on the local disk: its mount, configuration, logs and scratch file. */
  readonly folder: string
  /** Where engines are installed. */
  readonly home: string
  /** The file of the registry. */
  readonly registry: string
  /** `vol-0a1b2c3d` */
  readonly volume: string
  readonly version: string
  readonly address: string
  readonly port: number
  /** What the engine may use. */
  readonly memoryMib: number
  /** What the server of its files may use. */
  readonly serverMemoryMib: number
  /** What a reader may write for itself on the local disk; half of what is free when it is not given. */
  readonly overlayMib?: number
  /** PEM, as the next two. */
  readonly certificate: string
  readonly key: string
  /** Of who signed the certificates of all instances of the cluster. */
  readonly authorityCertificate: string
  /** The first user, made by the first writer. */
  readonly master: { readonly name: string; readonly password: string }
  /** That is made with the first user, and is theirs; none when it is not given. */
  readonly database?: string
  /** By which readers follow the writer. */
  readonly replicationPassword: string
  /** Whom a reader follows; null: nobody yet. */
  readonly primary: Address | null
  /** Of the engine. */
  readonly parameters: Readonly<Record<string, string>>
  /** The socket it is to be reached by; null: by its standard input and output, and it ends with them. */
  readonly control: string | null
}

/** Of a server that has no more to do than the demo's. */
export const SERVER_MEMORY_MIB = 512

const PORT_MAX = 65_535

/** @throws VolumeError `Corrupt` unless it is one */
export function addressField(value: unknown, path: string): Address {
  const { host, port } = fields(value, path, ['host', 'port'])
  return { host: text(host, `${path}.host`), port: integer(port, `${path}.port`, 1, PORT_MAX) }
}

/** @throws VolumeError `Corrupt` unless they are names and texts */
export function parametersField(value: unknown, path: string): Readonly<Record<string, string>> {
  const parameters = record(value, path)
  for (const [name, each] of Object.entries(parameters)) {
    // An empty text is a value, too.
    if (typeof each !== 'string') text(each, `${path}.${name}`)
  }
  return parameters as Record<string, string>
}

const TEXTS = [
  ...(['name', 'cluster', 'folder', 'home', 'registry', 'version', 'address'] as const),
  ...(['certificate', 'key', 'authorityCertificate', 'replicationPassword'] as const),
]
const NUMBERS = ['run', 'memoryMib', 'serverMemoryMib'] as const
const OTHERS = ['role', 'volume', 'port', 'master', 'primary', 'parameters', 'control'] as const

/** @throws VolumeError `Corrupt`, with the field that is missing or wrong */
export function parseSettings(raw: unknown): InstanceSettingsFile {
  const path = 'settings'
  const given = fields(raw, path, [...TEXTS, ...NUMBERS, ...OTHERS], ['overlayMib', 'database'])
  if (given.database !== undefined) text(given.database, `${path}.database`)
  for (const name of TEXTS) text(given[name], `${path}.${name}`)
  for (const name of NUMBERS) integer(given[name], `${path}.${name}`, name === 'run' ? 0 : 1)
  if (given.overlayMib !== undefined) integer(given.overlayMib, `${path}.overlayMib`, 1)
  oneOf(given.role, `${path}.role`, ROLES)
  volumeField(given.volume, `${path}.volume`)
  integer(given.port, `${path}.port`, 1, PORT_MAX)
  const master = fields(given.master, `${path}.master`, ['name', 'password'])
  text(master.name, `${path}.master.name`)
  text(master.password, `${path}.master.password`)
  if (given.primary !== null) addressField(given.primary, `${path}.primary`)
  parametersField(given.parameters, `${path}.parameters`)
  if (given.control !== null) text(given.control, `${path}.control`)
  return raw as InstanceSettingsFile
}

/** @throws VolumeError `Corrupt`; or an error of the file system */
export const readSettings = (path: string): InstanceSettingsFile =>
  parseSettings(JSON.parse(readFileSync(path, 'utf8')))

/** All of it or nothing, whenever we are ended. */
export function writeSettings(path: string, settings: InstanceSettingsFile): void {
  const temporary = `${path}.new`
  writeFileSync(temporary, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600, flush: true })
  renameSync(temporary, path)
}
