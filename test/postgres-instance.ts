/** A PostgreSQL engine on a temporary directory, for tests and measurements. */
import { mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { engineAccount } from '../src/engine/account.ts'
import { createAuthority, issueServer } from '../src/engine/certificates.ts'
import { installPostgres, type PostgresBinaries } from '../src/engine/postgres/binaries.ts'
import type { Configuration } from '../src/engine/postgres/configuration.ts'
import { createDataDirectory } from '../src/engine/postgres/data-directory.ts'
import { type EnginePlace, PostgresEngine } from '../src/engine/postgres/engine.ts'
import type { EngineState } from '../src/engine/postgres/engine-state.ts'
import { generatePassword } from '../src/engine/postgres/passwords.ts'
import { ensureMaster, ensureReplicationRole } from '../src/engine/postgres/roles.ts'
import { preparedTemplate, SUPERUSER } from '../src/engine/postgres/template.ts'
import { selectVersion } from '../src/engine/postgres/versions.ts'
import { whenWeEnd } from './child-processes.ts'

/** Where `npm start` keeps engines as well: they are fetched once. */
export const engineHome = process.env.BOREALIS_HOME ?? join(homedir(), '.borealis')

export const installed = (version?: string): Promise<PostgresBinaries> =>
  installPostgres(engineHome, selectVersion(version), engineAccount())

const validity = { nowMs: Date.now(), days: 1 }
export const authority = createAuthority('Borealis tests', validity)

/** Loopback addresses of this test process; each instance has its own, all have the same port. */
let addresses = 0
const nextAddress = (): string => `127.${64 + (process.pid % 64)}.${(process.pid >> 6) % 256}.${++addresses}`
const PORT = 15_432

export const MASTER = 'postgres'

/** @param folder of the engine's socket */
export async function connectAsSuperuser(folder: string, port: number): Promise<pg.Client> {
  const client = new pg.Client({ host: folder, port, user: SUPERUSER, database: 'postgres' })
  client.on('error', () => {})
  await client.connect()
  return client
}

export class PostgresInstance {
  readonly place: EnginePlace
  readonly folder: string
  readonly configuration: Configuration
  readonly masterPassword = generatePassword()
  readonly replicationPassword = generatePassword()
  readonly states: EngineState[] = []
  readonly engine: PostgresEngine

  private constructor(folder: string, binaries: PostgresBinaries, name: string, data: string) {
    const address = nextAddress()
    this.folder = folder
    this.place = {
      binaries,
      dataDirectory: join(folder, data),
      folders: { run: join(folder, 'run'), logs: join(folder, 'logs') },
      account: engineAccount(),
    }
    this.configuration = {
      name,
      address,
      port: PORT,
      memoryBytes: 128 * 2 ** 20,
      parameters: {},
      certificate: issueServer(authority, [address], validity),
      tlsOnly: true,
    }
    this.engine = new PostgresEngine(this.place, (state) => this.states.push(state))
    whenWeEnd(() => void this.engine.kill().catch(() => {}))
  }

  /** Without data. @param data where it will be in the instance's folder */
  static async empty(name: string, binaries?: PostgresBinaries, data = 'data'): Promise<PostgresInstance> {
    const folder = await mkdtemp(join(tmpdir(), `borealis-${name}-`))
    return new PostgresInstance(folder, binaries ?? (await installed()), name, data)
  }

  /** With data, running, and with its users. */
  static async running(name: string, binaries?: PostgresBinaries): Promise<PostgresInstance> {
    const instance = await PostgresInstance.empty(name, binaries)
    await instance.create()
    await instance.engine.start(instance.configuration)
    await instance.ensureUsers()
    return instance
  }

  async create(): Promise<void> {
    const { binaries, dataDirectory, account } = this.place
    await createDataDirectory(await preparedTemplate(binaries), dataDirectory, account)
  }

  async ensureUsers(): Promise<void> {
    await this.engine.session(async (query) => {
      await ensureMaster(query, { name: MASTER, password: this.masterPassword })
      await ensureReplicationRole(query, this.replicationPassword)
    })
  }

  /** As a client over TCP; without other options as the master user, over TLS, with the certificate verified. */
  async connect(options: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({
      host: this.configuration.address,
      port: PORT,
      user: MASTER,
      password: this.masterPassword,
      database: 'postgres',
      ssl: { ca: authority.certificate, host: this.configuration.address },
      ...options,
    })
    // Ends of connections that a test brings about.
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** As the superuser, over the socket. */
  superuser(): Promise<pg.Client> {
    return connectAsSuperuser(this.place.folders.run, PORT)
  }

  async query(statement: string): Promise<readonly Record<string, unknown>[]> {
    const client = await this.connect()
    try {
      return (await client.query(statement)).rows
    } finally {
      await client.end()
    }
  }

  async remove(): Promise<void> {
    await this.engine.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}
