/**
 * A region whose cluster has readers, under a load that never stops: who writes after each thing that can happen, where
 * endpoints lead, what the region's own death changes (nothing), and that no acknowledged row is missing in the end.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CreateDBClusterEndpointCommand, DeleteDBClusterEndpointCommand, RDSClient } from '@aws-sdk/client-rds'
import pg from 'pg'
import { ask } from '../../src/cli/control-socket.ts'
import type { InstanceStatus, RegionStatus } from '../../src/cli/region-status.ts'
import { homeAt } from '../../src/cluster/host/home.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { checkInserts, createLedger } from '../ledger-inserts.ts'
import { RegionHome } from '../region-home.ts'
import { SteadyInserts } from '../steady-inserts.ts'
import { pause, until } from '../waiting.ts'

const skip = whyNoMount() ?? false

/** A machine with much else to do takes its time. */
const SETTLED_MS_MAX = 120_000
/** Number the rows of the load apart from those of anybody else. */
const FIRST_ROW = 1_000_000

describe('a cluster with readers', { skip }, () => {
  let home: RegionHome
  let load: SteadyInserts
  let password: string

  before(async () => {
    home = await RegionHome.make(['--memory-mib', '128', '--readers', '2'])
    await home.up()
    await createLedger(home)
    password = (await home.borealis('cluster', 'password', 'demo')).output.trim()
    load = new SteadyInserts(home, FIRST_ROW)
  })
  after(async () => {
    await load?.stop()
    await home?.[Symbol.asyncDispose]()
  })

  const region = () => homeAt(home.root)
  const failover = (to: string | null = null) => ask(region(), 'failover', { name: 'demo', to })

  /** All of it as it should be, and the load goes on. */
  async function settled(count = 3): Promise<RegionStatus> {
    const status = await until(
      `${count} instances are available`,
      async () => {
        const now = await home.status().catch(() => undefined)
        const isWell = now?.instances.length === count && now.instances.every(({ state }) => state === 'available')
        return isWell && now.clusters[0]?.status === 'available' && now
      },
      SETTLED_MS_MAX,
    ).catch(async (error: unknown) => {
      console.log(JSON.stringify(await home.status().catch(() => undefined), undefined, 1), home.logs())
      throw error
    })
    assert.equal(status.instances.filter(({ role }) => role === 'writer').length, 1)
    await load.progress()
    return status
  }

  const instance = async (name: string): Promise<InstanceStatus> => {
    const found = (await home.status()).instances.find((each) => each.name === name)
    assert(found !== undefined, `there is no ${name}`)
    return found
  }
  const readers = async () => (await home.status()).instances.filter(({ role }) => role === 'reader')

  function signal(pid: number | null, name: NodeJS.Signals): void {
    assert(pid !== null)
    process.kill(pid, name)
  }

  /** What happens to the writer makes another the writer; it comes back as a reader by itself. */
  async function isReplaced(what: string, harm: (writer: InstanceStatus) => unknown): Promise<void> {
    const old = await home.writer()
    load.longestGapMs = 0
    const startedMs = performance.now()
    await harm(old)
    await until(
      'another is the writer',
      async () => {
        const now = await home.writer()
        return now.name !== old.name && now.state === 'available'
      },
      SETTLED_MS_MAX,
    )
    const tookMs = performance.now() - startedMs
    await load.progress()
    console.log(
      `${what}: another writes after ${Math.round(tookMs)} ms; no row for ${Math.round(load.longestGapMs)} ms`,
    )
    await settled()
    const now = await instance(old.name)
    assert.equal(now.role, 'reader')
    assert.notEqual(now.pid, old.pid)
  }

  /** Over TLS, verified against that name. */
  async function connectTo(dnsName: string, address: string | null, port: number): Promise<pg.Client> {
    const client = new pg.Client({
      host: address ?? '',
      port,
      user: 'postgres',
      password,
      database: 'postgres',
      ssl: { ca: readFileSync(join(home.root, 'authority.crt'), 'utf8'), servername: dnsName },
      connectionTimeoutMillis: 10_000,
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** Who answers there. */
  async function instanceBehind(endpoint: {
    readonly dnsName: string
    readonly address: string | null
    readonly port: number
  }): Promise<string> {
    const client = await connectTo(endpoint.dnsName, endpoint.address, endpoint.port)
    const { rows } = await client.query('SELECT aurora_db_instance_identifier() AS name')
    await client.end()
    return rows[0].name
  }

  const endpointOf = async (type: string, name = 'demo') => {
    const found = (await home.status()).endpoints.find((each) => each.type === type && each.name === name)
    assert(found !== undefined, `there is no endpoint ${name} of type ${type}`)
    return found
  }

  /** Everybody to whom many connections at once are led. */
  async function membersOf(type: string, name?: string): Promise<string[]> {
    const endpoint = await endpointOf(type, name)
    const found = await Promise.all(Array.from({ length: 6 }, () => instanceBehind(endpoint)))
    return [...new Set(found)].sort()
  }

  it('is made with one command; readers show what was written, and refuse writes', async () => {
    const { instances } = await settled()
    assert.deepEqual(
      instances.map(({ name, role }) => `${name} ${role}`),
      ['demo-1 writer', 'demo-2 reader', 'demo-3 reader'],
    )
    const { dnsName, address, port } = await endpointOf('instance', 'demo-2')
    const client = await connectTo(dnsName, address, port)
    const writer = await home.connect()
    await writer.query('INSERT INTO ledger VALUES (-1)')
    await until('the row is there', async () => {
      const { rowCount } = await client.query('SELECT FROM ledger WHERE id = -1')
      return rowCount === 1
    })
    await assert.rejects(client.query('INSERT INTO ledger VALUES (-2)'), { code: '25006' })
    await Promise.all([client.end(), writer.end()])
  })

  it('is reached by the names of its endpoints, which certificates have', async () => {
    assert.deepEqual(await membersOf('writer'), ['demo-1'])
    assert.deepEqual(await membersOf('reader'), ['demo-2', 'demo-3'])
    for (const name of ['demo-1', 'demo-2', 'demo-3'])
      assert.equal(await instanceBehind(await endpointOf('instance', name)), name)
    const { address, port } = await endpointOf('reader')
    await assert.rejects(connectTo('demo.example.org', address, port), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  it('may have endpoints of its own, made by the API', async () => {
    const { api } = await home.status()
    const text = (await home.borealis('credentials', '--format', 'env')).output
    const given = (name: string) => new RegExp(`^export ${name}=(.*)$`, 'm').exec(text)?.[1] ?? ''
    const credentials = { accessKeyId: given('AWS_ACCESS_KEY_ID'), secretAccessKey: given('AWS_SECRET_ACCESS_KEY') }
    const client = new RDSClient({ endpoint: `http://${api}`, region: 'local-1', credentials })
    const DBClusterEndpointIdentifier = 'reports'
    await client.send(
      new CreateDBClusterEndpointCommand({
        DBClusterIdentifier: 'demo',
        DBClusterEndpointIdentifier,
        EndpointType: 'READER',
        StaticMembers: ['demo-3', 'demo-1'],
      }),
    )
    // Engines are told their new certificates, which have this name too.
    await until('it is reached', () => membersOf('custom', 'reports').then(String, () => undefined))
    assert.deepEqual(await membersOf('custom', 'reports'), ['demo-3'])
    await client.send(new DeleteDBClusterEndpointCommand({ DBClusterEndpointIdentifier }))
    client.destroy()
  })

  it('goes on with the same writer when its engine alone is killed', async () => {
    const { name, pid, enginePid } = await home.writer()
    signal(enginePid, 'SIGKILL')
    await until('another engine runs', async () => {
      const now = await home.writer()
      return now.state === 'available' && now.enginePid !== enginePid
    })
    const now = await home.writer()
    assert.deepEqual([now.name, now.pid], [name, pid])
    await settled()
  })

  it('has another writer when the instance is killed', () => isReplaced('killed', ({ pid }) => signal(pid, 'SIGKILL')))

  it('has another writer when its engine stands still', () =>
    isReplaced('engine stopped', ({ enginePid }) => signal(enginePid, 'SIGSTOP')))

  it('has another writer when the instance stands still', () =>
    isReplaced('instance stopped', ({ pid }) => signal(pid, 'SIGSTOP')))

  it('has the writer that is asked for', async () => {
    const [, second] = await readers()
    assert(second !== undefined)
    await isReplaced('asked for, by name', () => failover(second.name))
    assert.equal((await home.writer()).name, second.name)
    const { status, output } = await home.borealis('failover', 'demo')
    assert.equal(status, 0, output)
    assert.equal(output, `${(await home.writer()).name} is the writer of demo now\n`)
    assert.notEqual((await home.writer()).name, second.name)
    await settled()
  })

  it('says why it cannot have the writer that is asked for', async () => {
    const [reader] = await readers()
    const writer = await home.writer()
    assert(reader !== undefined)
    await assert.rejects(failover('nobody'), { message: 'DBInstance nobody not found.' })
    await assert.rejects(failover(writer.name), { message: `DB instance ${writer.name} is the writer already.` })
    signal(reader.pid, 'SIGKILL')
    await until('it is gone', async () => (await instance(reader.name)).state !== 'available')
    const { status, output } = await home.borealis('failover', 'demo', '--to', reader.name)
    assert.deepEqual([status, output], [1, `borealis: DB instance ${reader.name} is not available.\n`])
    await settled()
    assert.equal((await home.writer()).name, writer.name)
  })

  it('keeps its writer when that is rebooted', async () => {
    const before = await home.writer()
    assert.equal((await home.borealis('instance', 'reboot', before.name)).status, 0)
    const now = await home.writer()
    assert.deepEqual([now.name, now.run, now.state], [before.name, before.run + 1, 'available'])
    assert.notEqual(now.pid, before.pid)
    await settled()
  })

  it('promotes by tier, and another when the writer is deleted', async () => {
    const { status, output } = await home.borealis('instance', 'create', 'demo', 'first', '--tier', '0')
    assert.equal(status, 0, output)
    await settled(4)
    const writer = await home.writer()
    signal(writer.pid, 'SIGKILL')
    await until('the first is the writer', async () => (await home.writer()).name === 'first', SETTLED_MS_MAX)
    await settled(4)
    assert.equal((await home.borealis('instance', 'delete', 'first')).status, 0)
    const { endpoints } = await settled()
    assert.equal(
      endpoints.some(({ name }) => name === 'first'),
      false,
    )
  })

  const kill = async (): Promise<void> => {
    const { pid } = await home.status()
    process.kill(pid, 'SIGKILL')
    await until('the region is gone', () =>
      home.status().then(
        () => false,
        () => true,
      ),
    )
  }
  const shape = ({ instances }: RegionStatus) =>
    instances.map(({ name, role, run, pid, enginePid }) => [name, role, run, pid, enginePid])

  it('does not notice that the region was killed, nor that another goes on with it', async () => {
    const before = await settled()
    const gateway = await endpointOf('reader')
    load.longestGapMs = 0
    await kill()
    // Endpoints lead where they led: the balancer goes on as well.
    const reader = await instanceBehind(gateway)
    assert.equal(before.instances.find(({ name }) => name === reader)?.role, 'reader')
    await home.up()
    const now = await settled()
    assert.deepEqual(shape(now), shape(before))
    assert.deepEqual(
      now.storageNodes.map(({ pid }) => pid),
      before.storageNodes.map(({ pid }) => pid),
    )
  })

  it('has what was decided done by the next region, whenever the one that decided was killed', async () => {
    for (const afterMs of [0, 50, 1000]) {
      const before = await home.writer()
      const [target] = await readers()
      assert(target !== undefined)
      const asked = failover(target.name).then(
        () => true,
        () => false,
      )
      await pause(afterMs)
      await kill()
      await asked
      await home.up()
      await settled()
      const now = await home.writer()
      // Killed at once it may not have heard of it; all else is decided, once and for all.
      const wanted = afterMs === 0 ? [before.name, target.name] : [target.name]
      assert(wanted.includes(now.name), `${now.name} is the writer, killed after ${afterMs} ms`)
    }
  })

  it('goes on when a region was killed before it had noted what it had started', async () => {
    const [, second] = await readers()
    assert(second !== undefined)
    await kill()
    const list = JSON.parse(readFileSync(region().state, 'utf8')) as { readonly processes: { readonly name: string }[] }
    const processes = list.processes.filter(({ name }) => name !== second.name)
    writeFileSync(region().state, JSON.stringify({ ...list, processes }))
    await home.up()
    await settled()
    const now = await instance(second.name)
    assert.deepEqual([now.host, now.run], [second.host, second.run])
    assert.notEqual(now.pid, second.pid)
  })

  it('fails over while a zone is lost', async () => {
    const zone = await home.zonePid('b')
    await isReplaced('with a zone lost', ({ pid }) => {
      signal(zone, 'SIGKILL')
      signal(pid, 'SIGKILL')
    })
    await until('the zone is back', async () => (await home.zonePid('b')) !== zone)
  })

  it('is read from its writer when there is no reader, and has its data without any instance', async () => {
    for (const { name } of await readers()) await ask(region(), 'deleteInstance', { name })
    const { name } = await home.writer()
    await settled(1)
    assert.deepEqual(await membersOf('reader'), [name])
    const { status, output } = await home.borealis('failover', 'demo')
    assert.deepEqual([status, output], [1, 'borealis: DB cluster demo has no reader that could be promoted.\n'])
    await ask(region(), 'deleteInstance', { name })
    assert.deepEqual([(await home.status()).instances, home.mounts], [[], 0])
    assert.equal((await home.borealis('instance', 'create', 'demo')).status, 0)
    await settled(1)
    assert.equal((await home.writer()).name, 'demo-1')
  })

  it('has all that was acknowledged, and the same on all copies', async () => {
    await load.stop()
    console.log(`${load.acknowledged.length} rows`)
    await checkInserts(home, load.acknowledged)
    const { status, output } = await home.borealis('volume', 'check', 'demo')
    assert.equal(status, 0, output)
  })

  it('ends with down, also when its region was killed before', async () => {
    await kill()
    assert(home.mounts > 0)
    assert.equal(await home.down(), 'cleared what was left of a region that was killed\n')
    assert.deepEqual([home.processes(), home.mounts], [[], 0])
  })
})
