/**
 * Faults that are injected into real nodes under a real engine: nothing that was acknowledged is lost or wrong, whatever
 * is asked for, and it is over by itself. And what SQL asks of an instance.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { volumeName } from '../../src/protocol/lsn.ts'
import type { NodeFault } from '../../src/storage/node-faults.ts'
import { askZone } from '../../src/storage/real-zone-client.ts'
import { checkVolume } from '../../src/volume/volume-check.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { InstanceProcess, newSecrets } from '../instance-process.ts'
import { ProcessFleet } from '../process-fleet.ts'
import { until } from '../waiting.ts'

const skip = whyNoMount() ?? false

const ROWS_PER_INSERT = 20

describe('faults on purpose', { skip }, () => {
  let fleet: ProcessFleet
  let writer: InstanceProcess
  let reader: InstanceProcess
  let volume: Awaited<ReturnType<ReturnType<ProcessFleet['client']>['volumes']['create']>>
  /** Inserts that were acknowledged. */
  let acknowledged = 0
  let isLoading = true
  let load: Promise<void> = Promise.resolve()
  /** What is killed by a fault comes back, as somebody looks after it. */
  let care: NodeJS.Timeout | undefined

  before(async () => {
    fleet = await ProcessFleet.start('zones', {})
    volume = await fleet.client().volumes.create()
    const place = { fleet, volume: volumeName(volume), version: '17' }
    const secrets = newSecrets()
    writer = new InstanceProcess(place, 'one', secrets)
    reader = new InstanceProcess(place, 'two', secrets)
    await writer.start({ role: 'writer' })
    await writer.available()
    await writer.query('CREATE TABLE kept (n int, text text)')
    load = insertAll()
    load.catch(() => {})
    care = setInterval(() => {
      for (const host of fleet.hosts) if (!host.isUp) void host.start().catch(() => {})
    }, 50)
  })

  after(async () => {
    isLoading = false
    clearInterval(care)
    await reader?.remove()
    await writer?.remove()
    await fleet?.stop()
  })

  async function insertAll(): Promise<void> {
    const client = await writer.connect()
    while (isLoading) {
      await client.query(
        `INSERT INTO kept SELECT $1::int, repeat('x', 500) FROM generate_series(1, ${ROWS_PER_INSERT})`,
        [acknowledged],
      )
      acknowledged++
    }
    await client.end()
  }

  const inserted = async (count: number): Promise<void> => {
    const wanted = acknowledged + count
    await until(`${count} inserts are acknowledged`, () => acknowledged >= wanted, 60_000)
  }
  type Timed<F> = F extends NodeFault ? Omit<F, 'untilMs'> : never
  const inject = (node: string, fault: Timed<NodeFault>, forMs: number) =>
    askZone(fleet.host(node).control, {
      do: 'fault',
      node,
      fault: { ...fault, untilMs: Date.now() + forMs } as NodeFault,
    })
  const faultsOf = async (node: string) =>
    (await askZone(fleet.host(node).control)).faults.filter((fault) => fault.node === node)
  /** By itself, also when the process was started again meanwhile. */
  const over = (node: string) =>
    until(
      `${node} has no fault any more`,
      async () => (await faultsOf(node).catch(() => ['down'])).length === 0,
      60_000,
    )

  it('slow down a disk, and the others go on', async () => {
    const { faults } = await inject('a1', { kind: 'slow-disk', percent: 100, msMin: 20, msMax: 40 }, 1500)
    assert.deepEqual(
      faults.map(({ node, kind }) => [node, kind]),
      [['a1', 'slow-disk']],
    )
    await inserted(20)
    await over('a1')
  })

  it('cut a node off, which hears of what it missed later', async () => {
    const { faults } = await inject('c1', { kind: 'cut' }, 1500)
    assert.deepEqual(
      faults.map(({ node, kind }) => [node, kind]),
      [['c1', 'cut']],
    )
    await inserted(20)
    await over('c1')
  })

  it('make a disk fail: its node ends rather than believe it, and has the fault again until its time is over', async () => {
    const { pid } = fleet.host('b1')
    await inject('b1', { kind: 'failing-disk', percent: 30 }, 2500)
    await until('the process of b1 has ended', () => !fleet.host('b1').isUp || fleet.host('b1').pid !== pid, 30_000)
    await inserted(10)
    await over('b1')
    await until('b1 runs', () => fleet.host('b1').isUp, 60_000)
    assert.match(fleet.host('b1').complaints, /the disk failed, as was asked for/)
  })

  it('crash a node', async () => {
    const { pid } = fleet.host('c2')
    await askZone(fleet.host('c2').control, { do: 'crash', node: 'c2' })
    await until('another process of c2 runs', () => fleet.host('c2').isUp && fleet.host('c2').pid !== pid, 30_000)
    await inserted(5)
  })

  it('are healed before their time', async () => {
    await until('all are there', () => fleet.hosts.every(({ isUp }) => isUp), 30_000)
    await inject('a2', { kind: 'cut' }, 3_600_000)
    const { control } = fleet.host('a2')
    assert.deepEqual((await askZone(control, { do: 'heal', node: null })).faults, [])
  })

  it('are asked for by SQL: whoever runs the instance hears of it, and its answer is the answer', async () => {
    await until('the functions are there', () => writer.query('SELECT aurora_version()').catch(() => undefined))
    const asked = writer.query('SELECT aurora_inject_disk_failure(50, 2, true, 10)')
    asked.catch(() => {})
    const { requests } = await writer.until('asking', ({ requests }) => requests.length > 0)
    const [request] = requests
    assert.deepEqual(request?.fault, { kind: 'disk-failure', percent: 50, index: 2, seconds: 10 })
    writer.ask({ do: 'taken', id: request?.id ?? '', problem: 'not on a Friday' })
    await assert.rejects(asked, /not on a Friday/)
    assert.deepEqual((await writer.until('answered', ({ requests }) => requests.length === 0)).requests, [])
  })

  it('keep a reader from following, for a time', async () => {
    await reader.start({ role: 'reader', primary: writer.address })
    await reader.until('streaming', ({ streaming }) => streaming === true)
    const shown = async () => Number((await reader.query('SELECT max(n) AS n FROM kept'))[0]?.n)
    reader.ask({ do: 'stall', percent: 100, seconds: 3 })
    await until('replay is paused', async () => (await reader.query('SELECT pg_is_wal_replay_paused() AS is'))[0]?.is)
    const first = await until('it stands still', async () => {
      const n = await shown()
      return n === (await shown()) ? n : undefined
    })
    await inserted(10)
    assert.equal((await reader.query('SELECT pg_is_wal_replay_paused() AS is'))[0]?.is, true)
    assert.equal(await shown(), first)
    await until('it follows again', async () => (await shown()) >= first + 10, 60_000)
  })

  it('crash a reader by its own SQL', async () => {
    const { enginePid } = await reader.available()
    await assert.rejects(reader.query(`SELECT aurora_inject_crash('instance')`))
    await reader.until('back', (report) => report.state === 'available' && report.enginePid !== enginePid)
  })

  it('left nothing wrong: what was acknowledged is there, and all copies are the same', async () => {
    isLoading = false
    await load
    const [row] = await writer.query('SELECT count(*)::int AS rows, count(DISTINCT n)::int AS inserts FROM kept')
    assert.deepEqual(row, { rows: acknowledged * ROWS_PER_INSERT, inserts: acknowledged })
    const { context } = fleet.client()
    const report = await until(
      'every copy is well',
      async () => {
        const found = await checkVolume(context, volume)
        return found.missing.length === 0 ? found : undefined
      },
      60_000,
    )
    assert.deepEqual(report.differences, [])
    assert.equal(report.copies, 3)
    assert.ok(report.blocks > 1000, `${report.blocks} blocks`)
  })

  it('crash the engine by SQL, which comes back, and the server of its files, which ends the instance', async () => {
    const { enginePid } = await writer.available()
    await assert.rejects(writer.query(`SELECT aurora_inject_crash('instance')`))
    await writer.until('back', (report) => report.state === 'available' && report.enginePid !== enginePid)
    assert.equal((await writer.query('SELECT count(DISTINCT n)::int AS inserts FROM kept'))[0]?.inserts, acknowledged)
    const ended = writer.ended()
    await assert.rejects(writer.query(`SELECT aurora_inject_crash('dispatcher')`))
    assert.equal(await ended, 1)
  })
})
