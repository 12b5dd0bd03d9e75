/**
 * A writer and two readers on one volume, as processes of their own: what readers show, what they refuse, and what
 * becomes of them when something is killed.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type pg from 'pg'
import { parseVolumeName, volumeName } from '../../src/protocol/lsn.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { InstanceProcess, newSecrets } from '../instance-process.ts'
import { ProcessFleet } from '../process-fleet.ts'
import { pause, until } from '../waiting.ts'

const skip = whyNoMount() ?? false

/** Longer than between two questions on a busy machine, shorter than an answer is waited for. */
const SILENT_MS = 2500

async function rowsOf(instance: InstanceProcess): Promise<number> {
  const [row] = await instance.query('SELECT count(*)::int AS rows FROM t')
  return Number(row?.rows)
}

/** Rows are numbered from 1, without gaps. */
const insert = (instance: InstanceProcess, id: number): Promise<unknown> =>
  instance.query('INSERT INTO t VALUES ($1)', [id])

/** One row after the other, each when the one before was acknowledged, until it is disposed of or fails. */
class Load implements AsyncDisposable {
  readonly before: number
  readonly ended: Promise<void>
  acknowledged: number
  sent: number
  readonly #client: pg.Client
  #isWanted = true

  private constructor(client: pg.Client, before: number) {
    this.#client = client
    this.before = before
    this.acknowledged = before
    this.sent = before
    this.ended = this.#run().catch(() => {})
  }

  static async start(instance: InstanceProcess): Promise<Load> {
    const before = await rowsOf(instance)
    return new Load(await instance.connect(), before)
  }

  async #run(): Promise<void> {
    while (this.#isWanted) {
      this.sent = this.acknowledged + 1
      await this.#client.query('INSERT INTO t VALUES ($1)', [this.sent])
      this.acknowledged = this.sent
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isWanted = false
    await this.ended
    await this.#client.end().catch(() => {})
  }
}

describe('a cluster with readers', { skip }, () => {
  let fleet: ProcessFleet
  let writer: InstanceProcess
  let first: InstanceProcess
  let second: InstanceProcess

  before(async () => {
    fleet = await ProcessFleet.start('zones', {})
    const volume = volumeName(await fleet.client().volumes.create())
    const secrets = newSecrets()
    const place = { fleet, volume, version: '17' }
    writer = new InstanceProcess(place, 'one', secrets)
    first = new InstanceProcess(place, 'two', secrets)
    second = new InstanceProcess(place, 'three', secrets)
  })

  after(async () => {
    for (const instance of [writer, first, second]) await instance?.remove()
    await fleet?.stop()
  })

  const instances = (): InstanceProcess[] => [writer, first, second]

  /** Waits until a reader shows as many rows as the writer was told to have committed, at least. */
  const shows = async (reader: InstanceProcess, rows: number): Promise<void> => {
    await until(`${reader.settings.name} shows ${rows} rows`, async () => (await rowsOf(reader)) >= rows)
  }

  it('begins with a writer, which is heard all the time', async () => {
    await writer.start({ role: 'writer' })
    const { walLsn, connections, timeline, rebuild } = await writer.until(
      'answering',
      ({ answeredMsAgo, walLsn }) => answeredMsAgo !== null && walLsn !== null,
    )
    assert.match(walLsn ?? '', /^0\/[0-9A-F]+$/)
    assert.deepEqual([connections, timeline, rebuild], [0, 1, null])
    await writer.query('CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())')
    const { reports } = writer
    await until('it was heard again', () => writer.reports > reports + 2)
  })

  it('has readers that show what it has, and refuse writes', async () => {
    await Promise.all([first, second].map((reader) => reader.start({ role: 'reader', primary: writer.address })))
    for (const reader of [first, second]) {
      await reader.until('streaming', ({ streaming }) => streaming === true)
      assert.equal(await rowsOf(reader), 0)
      await assert.rejects(reader.query('INSERT INTO t VALUES (0)'), { code: '25006' })
    }
    const { epoch } = await fleet.client().volumes.get(parseVolumeName(writer.settings.volume)!)
    assert.equal(epoch, writer.report?.epoch, 'a reader has opened the volume')
  })

  it('has readers that are behind by moments while there is a load', async () => {
    await using load = await Load.start(writer)
    const lags: number[] = []
    for (let i = 0; i < 20; i++) {
      await pause(100)
      lags.push(first.report?.lagMs ?? Number.NaN)
      const shown = await rowsOf(first)
      assert(shown <= load.sent, `a reader shows ${shown} rows of ${load.sent}`)
    }
    assert(
      lags.every((lag) => lag < 2000),
      `lags of ${lags} ms`,
    )
    await shows(first, load.acknowledged)
    await shows(second, load.acknowledged)
  })

  it('loses nothing when the writer is killed, and its readers go on as they are', async () => {
    const engines = [first, second].map(({ report }) => report?.enginePid)
    await using load = await Load.start(writer)
    await until('there are rows', () => load.acknowledged > load.before + 50)
    await writer.kill()
    await load.ended
    // What a reader shows was durable: it may not be missing after the writer's recovery.
    const shown = Math.max(await rowsOf(first), await rowsOf(second))
    await writer.start({ role: 'writer' })
    await writer.available()
    const recovered = await rowsOf(writer)
    assert(recovered >= load.acknowledged, `${recovered} rows of ${load.acknowledged} that were acknowledged`)
    assert(recovered >= shown, `${recovered} rows, and a reader had shown ${shown}`)
    await insert(writer, recovered + 1)
    for (const reader of [first, second]) {
      await shows(reader, recovered + 1)
      await reader.until('streaming', ({ streaming }) => streaming === true)
    }
    assert.deepEqual(
      [first, second].map(({ report }) => report?.enginePid),
      engines,
    )
  })

  it('has readers that are back after they were killed, whatever of them it was', async () => {
    for (const what of ['instance', 'dispatcher', 'node'] as const) {
      const { enginePid } = await first.available()
      const ended = what === 'instance' ? undefined : first.ended()
      first.ask({ do: 'crash', what })
      await ended
      if (!first.isUp) await first.start({ role: 'reader', primary: writer.address })
      await first.until('available again', (now) => now.state === 'available' && now.enginePid !== enginePid)
      await first.until('streaming', ({ streaming }) => streaming === true)
      await shows(first, await rowsOf(writer))
    }
  })

  it('has readers that find in the volume what the writer does not give them', async () => {
    first.ask({ do: 'follow', primary: null })
    await first.until('cut off', ({ streaming, primary }) => streaming === false && primary === null)
    const rows = await rowsOf(writer)
    // Another file of the log.
    const superuser = await writer.superuser()
    await superuser.query('SELECT pg_switch_wal()')
    await superuser.end()
    await insert(writer, rows + 1)
    await shows(first, rows + 1)
    assert.equal(first.report?.streaming, false)
    first.ask({ do: 'follow', primary: writer.address })
    await first.until('streaming', ({ streaming }) => streaming === true)
    await insert(writer, rows + 2)
    await shows(first, rows + 2)
  })

  it('tells what hangs by the time since it answered, and that it answers again', async () => {
    const { enginePid, serverPid } = await second.available()
    for (const pid of [enginePid, serverPid]) {
      assert(pid !== null)
      process.kill(pid, 'SIGSTOP')
      try {
        await second.until('silent', ({ answeredMsAgo }) => (answeredMsAgo ?? 0) > SILENT_MS)
      } finally {
        process.kill(pid, 'SIGCONT')
      }
      await second.until('answering', ({ answeredMsAgo }) => (answeredMsAgo ?? SILENT_MS) < SILENT_MS)
    }
    assert.equal(second.report?.enginePid, enginePid)
  })

  it('has readers whose server is replaced under their engine', async () => {
    const { enginePid, serverPid } = await second.available()
    second.ask({ do: 'replace' })
    const { replacements } = await second.until('replaced', (now) => now.replacements.count === 1)
    assert.equal(replacements.problem, null)
    assert.notEqual(second.report?.serverPid, serverPid)
    assert.equal(second.report?.enginePid, enginePid)
    const rows = await rowsOf(writer)
    await insert(writer, rows + 1)
    await shows(second, rows + 1)
  })

  it('has readers that ask to begin anew when they may write no more, and then have room', async () => {
    await first.stop()
    await first.start({ role: 'reader', primary: writer.address, overlayMib: 24 })
    await first.until('streaming', ({ streaming }) => streaming === true)
    assert.equal(first.report?.rebuild, null)
    // Once in the log and once in its pages.
    await writer.query(`CREATE TABLE large AS SELECT repeat('x', 1000) AS filler FROM generate_series(1, 12000)`)
    const { rebuild, overlayBytes } = await first.until('full', (now) => now.rebuild !== null)
    assert.match(rebuild ?? '', /nearly used up/)
    assert((overlayBytes ?? 0) <= 24 << 20)
    await first.stop()
    await first.start({ overlayMib: 256 })
    await first.until('streaming', ({ streaming }) => streaming === true)
    assert.equal(first.report?.rebuild, null)
    assert((first.report?.overlayBytes ?? Number.NaN) < 24 << 20)
  })

  it('has readers without a writer, as soon as the storage answers', async () => {
    await first.stop()
    const rows = await rowsOf(writer)
    await writer.kill()
    for (const host of fleet.hosts) host.freeze()
    try {
      await first.start({ role: 'reader', primary: null })
      const { state } = await first.until('waiting for the storage', ({ storage }) => storage === 'waiting')
      assert.equal(state, 'opening')
    } finally {
      for (const host of fleet.hosts) host.thaw()
    }
    await first.available()
    await shows(first, rows)
    await assert.rejects(first.query('INSERT INTO t VALUES (0)'), { code: '25006' })
    assert.equal(await first.stop(), 0)
  })

  it('goes on with another writer, which the other readers follow without a restart', async () => {
    const enginePid = second.report?.enginePid
    const rows = await rowsOf(second)
    await first.start({ role: 'writer' })
    await first.available()
    assert((await rowsOf(first)) >= rows)
    await insert(first, rows + 1)
    second.ask({ do: 'follow', primary: first.address })
    await shows(second, rows + 1)
    await second.until(
      'streaming',
      ({ streaming, primary }) => streaming === true && primary?.host === first.address.host,
    )
    assert.equal(second.report?.enginePid, enginePid)
    // The old writer comes back as a reader.
    await writer.start({ role: 'reader', primary: first.address })
    await writer.available()
    await shows(writer, rows + 1)
  })

  it('stops in order', async () => {
    for (const instance of instances()) {
      assert.equal(await instance.stop(), 0)
      assert.equal(instance.report?.state, 'stopped')
    }
  })
})
