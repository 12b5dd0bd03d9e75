/** Another reader for a cluster with some data, against a copy of the data by pg_basebackup that follows its primary. */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { SUPERUSER } from '../../src/engine/postgres/template.ts'
import { EndpointNames } from '../../test/chaos/endpoint-client.ts'
import { installed } from '../../test/postgres-instance.ts'
import { RegionHome } from '../../test/region-home.ts'
import { until } from '../../test/waiting.ts'
import { connectTo } from '../cluster/plain-cluster.ts'
import { DiskServer } from '../pgbench/disk-server.ts'
import type { Reach } from '../pgbench/load.ts'
import { diskPlace } from '../pgbench/sides.ts'
import type { ReplicasSettings } from './settings.ts'

const CLUSTER = 'big'
const ANSWER_MS_MAX = 60_000
/** That of the machine's own pg_basebackup: a server has to be of the same major version. */
const MAJOR = '15'
const BASEBACKUP = `/usr/lib/postgresql/${MAJOR}/bin/pg_basebackup`
const ROWS_PER_GIB = 1024 * 1024
const ROWS_PER_STATEMENT = 16_384

export interface Attached {
  readonly name: string
  /** From the wish to the first answer. */
  readonly ms: number
  /** Of the local disk. */
  readonly bytes: number
}

/** Rows of a kibibyte. */
async function fill(reach: Reach, gib: number): Promise<void> {
  const client = await connectTo(reach)
  await client.query('CREATE TABLE filler (id int, bytes text)')
  await client.query('ALTER TABLE filler ALTER bytes SET STORAGE PLAIN')
  for (let rows = 0; rows < gib * ROWS_PER_GIB; rows += ROWS_PER_STATEMENT)
    await client.query(
      `INSERT INTO filler SELECT i, rpad(md5(i::text), 980, md5((-i)::text))
         FROM generate_series(${rows + 1}, ${rows + ROWS_PER_STATEMENT}) i`,
    )
  await client.query('CHECKPOINT')
  client.drop()
}

/** What a folder takes, without other file systems that are mounted in it. */
function diskBytes(folder: string): number {
  const { stdout } = spawnSync('du', ['-sxB1', folder], { encoding: 'utf8' })
  return Number.parseInt(stdout, 10)
}

async function firstAnswer(reach: Reach): Promise<void> {
  const client = await connectTo(reach)
  await client.query('SELECT count(*) FROM pg_class')
  client.drop()
}

async function toBorealis({ gib, memoryMib, log }: ReplicasSettings): Promise<Attached> {
  await using home = await RegionHome.make(['--no-demo', '--memory-mib', `${memoryMib}`])
  home.environment.BOREALIS_HOSTS_FILE = EndpointNames.makeHostsFile(home)
  await home.up()
  const made = await home.borealis('cluster', 'create', CLUSTER, '--engine-version', MAJOR)
  if (made.status !== 0) throw new Error(made.output)
  const { name, port } = await home.writer(CLUSTER)
  const folderOf = (instance: string): string => join(home.root, 'instances', instance)
  await fill({ socketFolder: join(folderOf(name), 'run'), port, user: SUPERUSER }, gib)
  log(`borealis: ${gib} GiB loaded`)
  const known = new Set((await home.status()).endpoints.map(({ dnsName }) => dnsName))
  const startedMs = performance.now()
  const added = await home.borealis('instance', 'create', CLUSTER, 'added')
  if (added.status !== 0) throw new Error(added.output)
  const names = await EndpointNames.of(home, CLUSTER)
  const endpoint = names.endpoints.find((each) => !known.has(each.name))
  if (endpoint === undefined) throw new Error('the new reader has no endpoint')
  const client = await names.connect(endpoint, ANSWER_MS_MAX)
  await client.query('SELECT count(*) FROM pg_class')
  const ms = performance.now() - startedMs
  client.drop()
  // Its scratch file has no name in any folder.
  const scratchBytes = await until('the reader says what it has written', async () => {
    return (await home.status()).instances.find((each) => each.name === 'added')?.overlayBytes ?? undefined
  })
  return { name: 'borealis instance create', ms, bytes: diskBytes(folderOf('added')) + scratchBytes }
}

async function toDisk({ gib, folder, buffersBytes, log }: ReplicasSettings): Promise<Attached> {
  const binaries = await installed(MAJOR)
  const place = async (name: string) => ({ ...(await diskPlace(join(folder, name), { buffersBytes })), binaries })
  const primary = new DiskServer(await place('primary'))
  const standby = new DiskServer(await place('standby'))
  try {
    await primary.create()
    await primary.start()
    await fill(primary.reach, gib)
    log(`ext4: ${gib} GiB loaded`)
    const isUsual = existsSync(BASEBACKUP)
    const startedMs = performance.now()
    if (isUsual) await standby.backupOf(primary, BASEBACKUP)
    else {
      await primary.stop()
      await standby.copyOf(primary, primary.place)
      await primary.start()
    }
    await standby.start()
    await firstAnswer(standby.reach)
    const ms = performance.now() - startedMs
    const name = isUsual ? 'pg_basebackup, started' : 'copy of the stopped server, started'
    return { name, ms, bytes: diskBytes(standby.place.folder) }
  } finally {
    for (const server of [standby, primary]) {
      await server.stop('SIGQUIT')
      rmSync(server.place.folder, { recursive: true, force: true })
    }
  }
}

export async function attachments(settings: ReplicasSettings): Promise<readonly Attached[]> {
  return [await toDisk(settings), await toBorealis(settings)]
}
