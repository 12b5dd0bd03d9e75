/**
 * The engine of an instance, as its role wants it: a writer's makes the database at first use and takes writes; a
 * reader's replays what the writer tells it, and answers queries.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { engineAccount } from '../engine/account.ts'
import { EngineError } from '../engine/engine-error.ts'
import { installPostgres } from '../engine/postgres/binaries.ts'
import type { Configuration, InstanceFolders, Primary } from '../engine/postgres/configuration.ts'
import { checkDataDirectory, createDataDirectory } from '../engine/postgres/data-directory.ts'
import { PostgresEngine } from '../engine/postgres/engine.ts'
import type { Parameters } from '../engine/postgres/parameters.ts'
import { primarySettings, withPrimarySettings } from '../engine/postgres/primary-settings.ts'
import { ensureMaster, ensureReplicationRole, REPLICATION_ROLE } from '../engine/postgres/roles.ts'
import type { Query } from '../engine/postgres/session.ts'
import { preparedTemplate } from '../engine/postgres/template.ts'
import { selectVersion } from '../engine/postgres/versions.ts'
import { dataDirectoryOf, runFolder, walFolderOf } from './instance-folder.ts'
import type { Address, InstanceSettingsFile } from './settings-file.ts'

const MIB = 1 << 20
const CONTROL_FILE = join('global', 'pg_control')

const foldersOf = (folder: string): InstanceFolders => ({ run: runFolder(folder), logs: join(folder, 'logs') })

/** What may change while an instance runs. */
export type Reconfiguration = Pick<InstanceSettingsFile, 'certificate' | 'key' | 'parameters'>

export class InstanceEngine {
  readonly postgres: PostgresEngine
  readonly #settings: InstanceSettingsFile
  #changes: Reconfiguration
  #primary: Address | null
  /** What a reader needs as much of as its writer had, when it starts. */
  #primarySettings: ReadonlyMap<string, number> = new Map()
  #takesWalFromFolder = false
  /** Of what is configured; one after the other. */
  #changeCount = 0
  #reconfigured: Promise<void> = Promise.resolve()

  private constructor(postgres: PostgresEngine, settings: InstanceSettingsFile) {
    this.postgres = postgres
    this.#settings = settings
    this.#changes = settings
    this.#primary = settings.primary
  }

  /**
   * The files are served. Installs what is missing; a writer makes the database when there is none.
   * @param onEnded it runs no more, and why
   */
  static async prepare(settings: InstanceSettingsFile, onEnded: (reason: string) => void): Promise<InstanceEngine> {
    const { folder, home, version, role } = settings
    const account = engineAccount()
    const binaries = await installPostgres(home, selectVersion(version), account)
    const dataDirectory = dataDirectoryOf(folder)
    try {
      await checkDataDirectory(dataDirectory, binaries.version)
    } catch (error) {
      if (role === 'reader' || !(error instanceof EngineError) || error.code !== 'NotADataDirectory') throw error
      await createDataDirectory(await preparedTemplate(binaries), dataDirectory, account)
    }
    // Of another life.
    await rm(walFolderOf(folder), { recursive: true, force: true })
    const place = { binaries, dataDirectory, folders: foldersOf(folder), account }
    const postgres = new PostgresEngine(place, (state) => {
      if (state.name === 'failed') onEnded(state.reason)
      if (state.name === 'stopped') onEnded('it was stopped')
    })
    return new InstanceEngine(postgres, settings)
  }

  get primary(): Address | null {
    return this.#primary
  }

  #primaryOf(address: Address): Primary {
    const { replicationPassword: password, authorityCertificate } = this.#settings
    return { ...address, user: REPLICATION_ROLE, password, authorityCertificate }
  }

  #parameters(): Parameters {
    return withPrimarySettings(this.#changes.parameters, this.#primarySettings)
  }

  #configuration(): Configuration {
    const { name, address, port, memoryMib, role, folder } = this.#settings
    const { certificate, key } = this.#changes
    const configuration = {
      name,
      address,
      port,
      memoryBytes: memoryMib * MIB,
      certificate: { certificate, key },
      parameters: this.#parameters(),
      tlsOnly: true,
    }
    if (role === 'writer') return configuration
    return {
      ...configuration,
      primary: this.#primary && this.#primaryOf(this.#primary),
      ...(this.#takesWalFromFolder ? { walFolder: walFolderOf(folder) } : {}),
    }
  }

  /** Resolves when it answers queries, and has the users that it must have. */
  async start(): Promise<void> {
    const { folder, role } = this.#settings
    if (role === 'reader')
      this.#primarySettings = primarySettings(await readFile(join(dataDirectoryOf(folder), CONTROL_FILE)))
    const changeCount = this.#changeCount
    await this.postgres.start(this.#configuration())
    // What was changed while its files were being written.
    if (changeCount !== this.#changeCount) await this.#reconfigure()
    if (role === 'writer') await this.postgres.session((query) => this.#ensureUsers(query))
  }

  async #ensureUsers(query: Query): Promise<void> {
    const { master, database, replicationPassword } = this.#settings
    // Once: a password that its owner has changed since stays.
    const done = await query(
      `SELECT FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = 'postgres' AND r.rolname = $1`,
      [master.name],
    )
    if (done.length === 0) await ensureMaster(query, master, database)
    await ensureReplicationRole(query, replicationPassword)
  }

  #reconfigure(): Promise<void> {
    this.#changeCount++
    const done = this.#reconfigured.then(async () => {
      // One that does not run reads it when it starts.
      const { name } = this.postgres.state
      if (name === 'running' || name === 'starting') await this.postgres.reconfigure(this.#configuration())
    })
    this.#reconfigured = done.catch(() => {})
    return done
  }

  /** Another writer. */
  async follow(primary: Address | null): Promise<void> {
    this.#primary = primary
    await this.#reconfigure()
  }

  async configure(changes: Partial<Reconfiguration>): Promise<void> {
    this.#changes = { ...this.#changes, ...changes }
    await this.#reconfigure()
  }

  /** Whether it looks for WAL in a folder of the instance, besides its writer. */
  async takeWalFromFolder(takes: boolean): Promise<void> {
    if (takes === this.#takesWalFromFolder) return
    this.#takesWalFromFolder = takes
    await this.#reconfigure()
  }
}
