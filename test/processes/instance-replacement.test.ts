/**
 * The processes of an instance, replaced and killed: a new server under the running engine is a pause for clients and no
 * error; whatever is killed, what was told to be committed is there afterwards, and nothing is left over.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { ask } from '../../src/cli/control-socket.ts'
import type { InstanceStatus } from '../../src/cli/region-status.ts'
import { homeAt } from '../../src/cluster/host/home.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { checkInserts, createLedger, Inserts } from '../ledger-inserts.ts'
import { RegionHome } from '../region-home.ts'
import { pause, printedSeed, until } from '../waiting.ts'

const skip = whyNoMount() ?? false
const seed = printedSeed('instance-replacement')

const MIB = 1 << 20
/** Sorted on disk, in many runs, with so little memory. */
const SORTED_ROWS = 300_000
const SORTED = `SELECT md5(g::text) AS m FROM generate_series(1, ${SORTED_ROWS}) g ORDER BY m`
/** It has to be a pause for people, also on a machine that has other work. */
const PAUSE_MS_MAX = 10_000

const isAlive = (pid: number | null): boolean => {
  try {
    return pid !== null && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

const kill = (pid: number | null | undefined, signal: NodeJS.Signals = 'SIGKILL'): void => {
  if (typeof pid === 'number' && isAlive(pid)) process.kill(pid, signal)
}

/** Servers of the instance's files, also those that wait for their turn. */
const serversOf = ({ pid }: InstanceStatus): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((each) => {
      try {
        const isChild = readFileSync(`/proc/${each}/status`, 'utf8').includes(`PPid:\t${pid}\n`)
        return isChild && readFileSync(`/proc/${each}/cmdline`, 'utf8').includes('server-main.ts')
      } catch {
        return false
      }
    })

describe('the server of an instance', { skip }, () => {
  let home: RegionHome
  const acknowledged: number[] = []

  before(async () => {
    home = await RegionHome.make(['--memory-mib', '128'])
    await home.up()
    await createLedger(home)
  })
  after(async () => {
    await home?.[Symbol.asyncDispose]()
  })

  const available = (pidBefore?: number | null) =>
    until(
      'the writer is available',
      async () => {
        const writer = await home.writer()
        return writer.state === 'available' && writer.pid !== pidBefore && writer
      },
      60_000,
    )

  /** What the region says of it may be a moment old. */
  const answers = () =>
    until(
      'the writer answers',
      async () => {
        await available()
        const client = await home.connect().catch(() => undefined)
        await client?.end()
        return client !== undefined
      },
      60_000,
    )

  const patch = () => ask(homeAt(home.root), 'patch', { name: 'demo' })

  const mounted = (...path: string[]) => join(home.root, 'instances', 'demo-1', 'mount', ...path)

  const bytesUsed = async () => (await home.status()).clusters[0]?.volume.bytesUsed ?? 0

  /** What is said of it may be a moment old: when it is said twice. */
  async function bytesAtRest(): Promise<number> {
    for (let before = await bytesUsed(); ; ) {
      await pause(1500)
      const now = await bytesUsed()
      if (now === before) return now
      before = now
    }
  }

  async function stopped(inserts: Inserts): Promise<void> {
    await inserts.stop()
    acknowledged.push(...inserts.acknowledged)
    await checkInserts(home, acknowledged)
  }

  /** A file in the instance's file system that has lost its name. */
  async function nameless(...path: string[]): Promise<FileHandle> {
    const file = await open(mounted(...path), 'w+')
    await file.write(Buffer.alloc(MIB, 'before'))
    await rm(mounted(...path))
    return file
  }

  it('is replaced again and again under load, and no statement fails', async () => {
    const first = await home.writer()
    const inserts = await Inserts.start(home, 4)
    const pauses: number[] = []
    for (let round = 0; round < 5; round++) {
      await inserts.progress(100)
      pauses.push(await patch())
    }
    await inserts.progress(100)
    const { failures, slowestMs } = inserts
    await stopped(inserts)
    const last = await home.writer()
    console.log(`nobody served for ${pauses.map(Math.ceil).join(', ')} ms; slowest insert: ${Math.round(slowestMs)} ms`)
    assert.equal(failures, 0)
    assert.equal(slowestMs < PAUSE_MS_MAX, true)
    assert.deepEqual([last.pid, last.enginePid, last.state], [first.pid, first.enginePid, 'available'])
    assert.notEqual(last.serverPid, first.serverPid)
    assert.deepEqual(serversOf(last), [last.serverPid])
  })

  it('goes on with sorts on disk, cursors, temporary tables and transactions', async () => {
    const [cursor, sort] = [await home.connect(), await home.connect()]
    const [temporary, writer] = [await home.connect(), await home.connect()]
    for (const client of [cursor, sort]) await client.query(`SET work_mem = '64kB'`)
    await cursor.query('BEGIN')
    await cursor.query(`DECLARE sorted CURSOR FOR ${SORTED}`)
    const fetch = async (count: string): Promise<string[]> =>
      (await cursor.query(`FETCH ${count} FROM sorted`)).rows.map(({ m }) => m as string)
    const first = await fetch('1000')
    await temporary.query(`SET temp_buffers = '800kB'`)
    await temporary.query(
      'CREATE TEMP TABLE mine AS SELECT g, repeat(g::text, 20) AS t FROM generate_series(1, 50000) g',
    )
    await writer.query('CREATE TABLE doomed AS SELECT g FROM generate_series(1, 100000) g')
    await writer.query('BEGIN')
    await writer.query('CREATE TABLE kept AS SELECT g FROM generate_series(1, 100000) g')

    const sorting = sort.query(`SELECT count(*)::int AS n FROM (${SORTED} OFFSET 1) s`)
    // Until it writes to disk.
    await until('a sort on disk', async () => {
      const files = readdirSync(mounted('data', 'base', 'pgsql_tmp'))
      return files.length >= 2
    })
    await patch()
    await temporary.query('DROP TABLE doomed')
    await patch()

    const rows = first.concat(await fetch('ALL'))
    assert.equal(rows.length, SORTED_ROWS)
    assert.deepEqual(rows, [...rows].sort())
    assert.deepEqual((await sorting).rows, [{ n: SORTED_ROWS - 1 }])
    const sums = `SELECT count(*)::int AS n, sum(length(t))::int AS s FROM mine`
    const length = Array.from({ length: 50_000 }, (_, i) => 20 * `${i + 1}`.length).reduce((a, b) => a + b)
    assert.deepEqual((await temporary.query(sums)).rows, [{ n: 50_000, s: length }])
    await writer.query('COMMIT')
    assert.deepEqual((await writer.query('SELECT count(*)::int AS n FROM kept')).rows, [{ n: 100_000 }])
    await writer.query('CHECKPOINT')
    for (const client of [cursor, sort, temporary, writer]) await client.end()
    assert.deepEqual(readdirSync(mounted('data', 'base', 'pgsql_tmp')), [])
  })

  it('keeps files that lost their names for as long as they are open, and not longer', async () => {
    await mkdir(mounted('tried'), { recursive: true })
    const used = await bytesAtRest()
    const files = [await nameless('tried', 'file'), await nameless('data', 'base', 'pgsql_tmp', 'file')]
    // One that loses it under the second server, and was opened under the first.
    const later = await open(mounted('tried', 'later'), 'w+')
    await later.write(Buffer.alloc(MIB, 'before'))
    await patch()
    await rm(mounted('tried', 'later'))
    files.push(later)
    await patch()
    for (const file of files) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(MIB), 0, MIB, 0)
      assert.equal(bytesRead, MIB)
      assert.equal(buffer.equals(Buffer.alloc(MIB, 'before')), true)
      await file.write(Buffer.alloc(20 * MIB, 'after'), 0, 20 * MIB, MIB)
      assert.deepEqual([(await file.stat()).nlink, (await file.stat()).size], [0, 21 * MIB])
    }
    await until('they take room', async () => (await bytesUsed()) > used + 40 * MIB)
    await patch()
    for (const file of files) await file.close()
    await until('they are gone', async () => (await bytesUsed()) < used + 10 * MIB)
    await rm(mounted('tried'), { recursive: true })
  })

  it('waits without a quorum, and so do clients; with it they go on', async () => {
    const client = await home.connect()
    const frozen = [await home.zonePid('a'), await home.zonePid('c')]
    await pause(1500)
    for (const pid of frozen) kill(pid, 'SIGSTOP')
    let done: number | undefined
    try {
      const patching = patch().then((ms) => {
        done = ms
      })
      await until('it says so', async () => {
        const { clusters, instances } = await home.status()
        return instances[0]?.state === 'replacing' && clusters[0]?.storage === 'waiting'
      })
      const inserting = client.query('INSERT INTO ledger VALUES (-1)')
      await pause(500)
      assert.equal(done, undefined)
      for (const pid of frozen) kill(pid, 'SIGCONT')
      await Promise.all([patching, inserting])
    } finally {
      for (const pid of frozen) kill(pid, 'SIGCONT')
    }
    acknowledged.push(-1)
    await client.end()
    assert.equal((await home.writer()).state, 'available')
    await checkInserts(home, acknowledged)
  })

  it('stays when the storage does not answer before', async () => {
    const { serverPid } = await home.writer()
    const client = await home.connect()
    const frozen = [await home.zonePid('a'), await home.zonePid('c')]
    for (const pid of frozen) kill(pid, 'SIGSTOP')
    const inserting = client.query('INSERT INTO ledger VALUES (-2)')
    try {
      await until('it waits', async () => (await home.status()).clusters[0]?.storage === 'waiting')
      await assert.rejects(patch(), { message: /goes on as it was: the storage quorum does not answer/ })
    } finally {
      for (const pid of frozen) kill(pid, 'SIGCONT')
    }
    await inserting
    acknowledged.push(-2)
    await client.end()
    assert.equal((await home.writer()).serverPid, serverPid)
  })

  it('takes the engine with it when it is killed, and both are back', async () => {
    const inserts = await Inserts.start(home, 4)
    await inserts.progress(100)
    const { pid, serverPid, enginePid } = await home.writer()
    kill(serverPid)
    const startedMs = performance.now()
    await until('clients notice', () => inserts.failures === 4)
    const noticedMs = performance.now()
    const next = await available(pid)
    console.log(
      `clients noticed after ${Math.round(noticedMs - startedMs)} ms, available after ${Math.round(performance.now() - startedMs)} ms`,
    )
    await stopped(inserts)
    assert.deepEqual([isAlive(pid), isAlive(enginePid), home.mounts], [false, false, 1])
    assert.deepEqual(serversOf(next), [next.serverPid])
  })

  it('ends with the engine when its supervisor is killed, also when it stands still', async () => {
    for (const isStopped of [false, true]) {
      const inserts = await Inserts.start(home, 2)
      await inserts.progress(20)
      const { pid, serverPid, enginePid } = await home.writer()
      if (isStopped) kill(serverPid, 'SIGSTOP')
      kill(pid)
      const next = await available(pid)
      assert.deepEqual([pid, serverPid, enginePid].map(isAlive), [false, false, false])
      assert.equal(home.mounts, 1)
      assert.deepEqual(serversOf(next), [next.serverPid])
      await stopped(inserts)
    }
  })

  it('may be killed with any of the others at any moment of a replacement', async () => {
    const random = new Random(seed)
    for (let round = 0; round < 6; round++) {
      const inserts = await Inserts.start(home, 3)
      await inserts.progress(20)
      const writer = await home.writer()
      const patching = patch().catch(() => undefined)
      await pause(random.between(0, 900))
      // All of its processes in some order, and some of them only: it may be over, or not have begun.
      const next = serversOf(writer).filter((pid) => pid !== writer.serverPid)
      const { serverPid, pid: supervisorPid, enginePid } = writer
      const named = [...Object.entries({ serverPid, supervisorPid, enginePid }), ...next.map((pid) => ['next', pid])]
      const victims = named
        .map(([name, pid]) => ({ name: `${name}`, pid: Number(pid), at: random.between(0, 1000) }))
        .filter(({ pid }) => isAlive(pid))
        .sort((a, b) => a.at - b.at)
        .slice(0, random.between(1, 3))
      for (const { pid } of victims) kill(pid)
      await patching
      const killed = victims.map(({ name }) => name).join(', ')
      // One that had left, or waited for its turn, nobody misses.
      if (/supervisorPid|enginePid/.test(killed))
        await until(`clients notice that somebody killed ${killed}`, () => inserts.failures === 3, 60_000)
      else await inserts.progress(20)
      await answers()
      await stopped(inserts)
      assert.equal(home.mounts, 1)
    }
    const writer = await home.writer()
    assert.deepEqual(serversOf(writer), [writer.serverPid])
  })

  it('is not waited for when the instance is to stop meanwhile', async () => {
    const client = await home.connect()
    await pause(1500)
    const frozen = [await home.zonePid('a'), await home.zonePid('c')]
    const { pid } = await home.writer()
    for (const each of frozen) kill(each, 'SIGSTOP')
    const patching = patch().catch(() => undefined)
    await until('it is being replaced', async () => (await home.writer()).state === 'replacing')
    const stopping = home.down()
    try {
      await until('the instance has ended', () => !isAlive(pid), 60_000)
    } finally {
      for (const each of frozen) kill(each, 'SIGCONT')
    }
    await Promise.all([stopping, patching])
    await client.end().catch(() => {})
    assert.deepEqual([home.processes(), home.mounts], [[], 0])
    await home.up()
    await checkInserts(home, acknowledged)
    await home.down()
    assert.deepEqual([home.processes(), home.mounts], [[], 0])
  })
})
