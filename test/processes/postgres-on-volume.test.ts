/**
 * The whole: PostgreSQL on the six-copy volume, started as people start it, while parts of it are killed. What a client
 * was told is committed is there afterwards, whatever was killed.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { RegionStatus } from '../../src/cli/region-status.ts'
import { parseVolumeName } from '../../src/protocol/lsn.ts'
import { SqliteRegistry } from '../../src/volume/sqlite-registry.ts'
import { openFleet } from '../../src/volume/tcp-fleet.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { checkInserts, createLedger, Inserts } from '../ledger-inserts.ts'
import { RegionHome } from '../region-home.ts'
import { pause, until } from '../waiting.ts'

const skip = whyNoMount() ?? false

/** Small enough to be flushed, merged and recycled while the test runs; a log file holds a write of a mebibyte. */
const NODE_SETTINGS = ['logFileBytes=4194304', 'logRetainBytes=8388608', 'flushBytes=1048576', 'layerBytes=4194304']

describe('PostgreSQL on the volume', { skip }, () => {
  let home: RegionHome
  const acknowledged: number[] = []

  before(async () => {
    home = await RegionHome.make(['--memory-mib', '128', ...NODE_SETTINGS.flatMap((setting) => ['--set', setting])])
  })
  after(async () => {
    await home?.[Symbol.asyncDispose]()
  })

  const checkLedger = () => checkInserts(home, acknowledged)

  async function checkVolume(): Promise<void> {
    const { status, output } = await home.borealis('volume', 'check', 'demo')
    assert.equal(status, 0, output)
    assert.match(output, /^\d+ files: 0 problems\n\d+ blocks in [3-9]\d* copies at LSN \d+: 0 differences\n$/)
  }

  const available = () =>
    until('the writer is available', async () => {
      const writer = await home.writer()
      return writer.state === 'available' && writer
    })

  it('is there with one command, and takes a table over TLS', async () => {
    const startedMs = performance.now()
    const output = await home.up()
    const client = await home.connect()
    const { rows } = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
    console.log(`from nothing to the first query: ${Math.round(performance.now() - startedMs)} ms`)
    assert.deepEqual(rows, [{ ssl: true }])
    assert.match(output, /cluster demo, PostgreSQL 17\.\d+, available/)
    await client.end()
    await createLedger(home)
  })

  it('tells what runs, as the contract has it', async () => {
    const { status: code, output } = await home.borealis('status', '--json')
    assert.equal(code, 0, output)
    const { api, clusters, instances, storageNodes, endpoints } = JSON.parse(output) as RegionStatus
    assert.match(api ?? '', /^127\.0\.0\.1:\d+$/)
    assert.deepEqual(
      clusters.map(({ name, engine, status, volume }) => [name, engine, status, typeof volume.vdl]),
      [['demo', 'postgres', 'available', 'number']],
    )
    assert.deepEqual(
      instances.map(({ name, cluster, role, lagMs }) => [name, cluster, role, lagMs]),
      [['demo-1', 'demo', 'writer', 0]],
    )
    assert.deepEqual(
      storageNodes.map(({ id, zone, state }) => `${id} ${zone} ${state}`),
      ['a1 a running', 'a2 a running', 'b1 b running', 'b2 b running', 'c1 c running', 'c2 c running'],
    )
    assert.deepEqual(
      endpoints.map(({ type }) => type),
      ['writer', 'reader', 'instance'],
    )
  })

  it('goes on while a zone is killed, which comes back by itself', async () => {
    const inserts = await Inserts.start(home, 4)
    await inserts.progress()
    const killed = await home.zonePid('b')
    process.kill(killed, 'SIGKILL')
    await inserts.progress(200)
    await until('the zone is back', async () => {
      const nodes = (await home.status()).storageNodes.filter(({ zone }) => zone === 'b')
      return nodes.every(({ state, pid }) => state === 'running' && pid !== killed)
    })
    await inserts.stop()
    console.log(`slowest insert while a zone was killed: ${Math.round(inserts.slowestMs)} ms`)
    assert.equal(inserts.failures, 0)
    acknowledged.push(...inserts.acknowledged)
    await checkLedger()
  })

  it('waits while two zones hang, and says so', async () => {
    const inserts = await Inserts.start(home, 2)
    await inserts.progress()
    const frozen = [await home.zonePid('a'), await home.zonePid('c')]
    for (const pid of frozen) process.kill(pid, 'SIGSTOP')
    try {
      await until('the storage is waiting', async () => (await home.status()).clusters[0]?.storage === 'waiting')
      const before = inserts.acknowledged.length
      await pause(300)
      assert.equal(inserts.acknowledged.length, before)
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT')
    }
    await inserts.progress()
    await inserts.stop()
    assert.equal(inserts.failures, 0)
    assert.equal((await home.writer()).state, 'available')
    acknowledged.push(...inserts.acknowledged)
  })

  it('loses nothing when its instance and engine are killed under load', async () => {
    for (let round = 0; round < 3; round++) {
      const inserts = await Inserts.start(home, 4)
      await inserts.progress(100)
      const { pid, enginePid } = await home.writer()
      assert(pid !== null && enginePid !== null)
      // Together, each alone: the engine goes with its instance, and is started again by it.
      if (round !== 2) process.kill(pid, 'SIGKILL')
      if (round !== 1) process.kill(enginePid, 'SIGKILL')
      await inserts.stop()
      acknowledged.push(...inserts.acknowledged)
      const startedMs = performance.now()
      await until('another engine runs', async () => {
        const writer = await home.writer()
        return writer.state === 'available' && writer.enginePid !== enginePid
      })
      console.log(`available ${Math.round(performance.now() - startedMs)} ms after its clients had noticed`)
      await checkLedger()
    }
    await checkVolume()
  })

  it('is fenced, engine and all, when another opens its volume', async () => {
    const { clusters, instances } = await home.status()
    const volume = parseVolumeName(clusters[0]?.volume.id ?? '')
    assert(volume !== undefined)
    const registry = SqliteRegistry.open(`${home.root}/region/registry.sqlite`)
    const fleet = openFleet(registry)
    const inserts = await Inserts.start(home, 1)
    try {
      await inserts.progress(1)
      await fleet.volumes.open(volume)
      await until('it is fenced', async () => (await home.writer()).state === 'fenced')
      await inserts.stop()
      acknowledged.push(...inserts.acknowledged)
      assert.throws(() => process.kill(instances[0]?.enginePid ?? 0, 0), { code: 'ESRCH' })
      assert.equal(home.mounts, 0)
      assert.match((await home.writer()).reason ?? '', /another has opened its volume/)
    } finally {
      fleet.close()
      registry.close()
    }
  })

  it('takes its volume back after a while', async () => {
    await available()
    await checkLedger()
  })

  it('stops with everything, and finds its data again', async () => {
    await home.down()
    assert.deepEqual([home.processes(), home.mounts], [[], 0])
    const startedMs = performance.now()
    await home.up()
    console.log(`up again after ${Math.round(performance.now() - startedMs)} ms`)
    await checkLedger()
  })

  it('comes back when all of its processes were killed at once', async () => {
    const { pid, instances, storageNodes } = await home.status()
    const all = [pid, ...instances.map((each) => each.pid), ...storageNodes.map((each) => each.pid)]
    for (const each of new Set(all)) process.kill(each ?? 0, 'SIGKILL')
    await home.up()
    await available()
    await checkLedger()
    await checkVolume()
    await home.down()
    assert.deepEqual([home.processes(), home.mounts], [[], 0])
  })
})
