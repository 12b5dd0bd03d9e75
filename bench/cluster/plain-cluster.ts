/** What people do otherwise: PostgreSQL on a disk, with streaming standbys that are copies of it. The same binaries. */
import { rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { EndpointClient } from '../../test/chaos/endpoint-client.ts'
import { engineProcesses, signalAll } from '../../test/instance-processes.ts'
import { DiskServer } from '../pgbench/disk-server.ts'
import type { Reach } from '../pgbench/load.ts'
import { diskPlace } from '../pgbench/sides.ts'

/** Over the server's socket, as its superuser. */
export async function connectTo({ socketFolder, port, user }: Reach, answerMsMax?: number): Promise<EndpointClient> {
  const socket = new Socket()
  const timeout = answerMsMax === undefined ? {} : { query_timeout: answerMsMax, connectionTimeoutMillis: answerMsMax }
  const client = new pg.Client({
    host: socketFolder,
    port,
    user,
    database: 'postgres',
    stream: () => socket,
    ...timeout,
  })
  client.on('error', () => {})
  const connection = new EndpointClient(client, socket)
  try {
    await client.connect()
    return connection
  } catch (error) {
    connection.drop()
    throw error
  }
}

export class PlainCluster {
  readonly #folder: string
  readonly #buffersBytes: number
  primary: DiskServer
  standbys: DiskServer[] = []
  #made = 0

  private constructor(folder: string, buffersBytes: number, primary: DiskServer) {
    this.#folder = folder
    this.#buffersBytes = buffersBytes
    this.primary = primary
  }

  /** A primary alone, which runs. @param folder that the engine's user may pass through */
  static async create(folder: string, buffersBytes: number): Promise<PlainCluster> {
    const primary = new DiskServer(await diskPlace(join(folder, 'primary'), { buffersBytes }))
    await primary.create()
    await primary.start()
    return new PlainCluster(folder, buffersBytes, primary)
  }

  get reach(): Reach {
    return this.primary.reach
  }

  /** The primary is stopped, copied, and started again. */
  async addStandbys(count: number): Promise<void> {
    await this.primary.stop()
    const { address, port } = this.primary.place
    const made: DiskServer[] = []
    for (let i = 0; i < count; i++) {
      const folder = join(this.#folder, `standby${++this.#made}`)
      const standby = new DiskServer(await diskPlace(folder, { buffersBytes: this.#buffersBytes }))
      await standby.copyOf(this.primary, { address, port })
      made.push(standby)
    }
    await this.primary.start()
    await Promise.all(made.map((standby) => standby.start()))
    this.standbys.push(...made)
  }

  /** The primary and its sessions, as when its machine is lost. */
  killPrimary(): void {
    signalAll(engineProcesses(this.primary.pid), 'SIGKILL')
  }

  /** The first standby is the primary from now on, and has no standby. The old one's files are removed. */
  async promote(): Promise<void> {
    const [standby, ...others] = this.standbys
    if (standby === undefined) throw new Error('there is no standby')
    const client = await connectTo(standby.reach)
    await client.query('SELECT pg_promote(true, 60)')
    client.drop()
    const old = this.primary
    this.primary = standby
    this.standbys = []
    for (const each of [old, ...others]) await this.#remove(each)
  }

  async #remove(server: DiskServer): Promise<void> {
    await server.stop('SIGQUIT')
    rmSync(server.place.folder, { recursive: true, force: true })
  }

  async restartPrimary(): Promise<void> {
    // The kill has to be through: two servers on one folder refuse each other.
    await this.primary.stop('SIGKILL')
    await this.primary.start()
  }

  async stop(): Promise<void> {
    for (const each of [...this.standbys, this.primary]) await this.#remove(each)
  }
}
