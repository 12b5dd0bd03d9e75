/**
 * PostgreSQL as it is, on a local directory: made, started, connected to, killed, stopped, followed.
 * Other versions than 17 run when asked for: BOREALIS_POSTGRES_VERSIONS=14,18.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { EngineError, type EngineErrorCode } from '../../src/engine/engine-error.ts'
import { installPostgres } from '../../src/engine/postgres/binaries.ts'
import { systemIdentifier } from '../../src/engine/postgres/control-file.ts'
import { createDataDirectory } from '../../src/engine/postgres/data-directory.ts'
import { PostgresEngine } from '../../src/engine/postgres/engine.ts'
import { processesIn } from '../../src/engine/postgres/processes.ts'
import { REPLICATION_ROLE } from '../../src/engine/postgres/roles.ts'
import { SCRATCH_PATHS } from '../../src/engine/postgres/scratch.ts'
import { preparedTemplate } from '../../src/engine/postgres/template.ts'
import { selectVersion } from '../../src/engine/postgres/versions.ts'
import { endWithUs } from '../child-processes.ts'
import { authority, installed, PostgresInstance } from '../postgres-instance.ts'
import { until } from '../waiting.ts'

const run = promisify(execFile)
const STOP_MS = 10_000

const instances: PostgresInstance[] = []
const keep = (instance: PostgresInstance): PostgresInstance => {
  instances.push(instance)
  return instance
}
after(async () => {
  for (const instance of instances) await instance.remove()
})

/** An error of ours that one line tells. */
const failsWith = (code: EngineErrorCode, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof EngineError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  assert.ok(!error.message.includes('\n'), error.message)
  return true
}

const pidOf = ({ engine: { state } }: PostgresInstance): number => {
  assert.equal(state.name, 'running')
  return state.pid
}

const rowsOf = async (instance: PostgresInstance): Promise<number> =>
  Number((await instance.query('SELECT count(*) FROM kept'))[0]?.count)

/** What the rest needs is fetched once; that is not what is measured or tested here. */
before(async () => {
  await preparedTemplate(await installed())
})

describe('a new cluster', () => {
  let instance: PostgresInstance
  before(async () => {
    instance = keep(await PostgresInstance.empty('new'))
  })

  it('is there in seconds', async () => {
    const startedMs = performance.now()
    const lap = (): string => `${Math.round(performance.now() - startedMs)} ms`
    await instance.create()
    const created = lap()
    await instance.engine.start(instance.configuration)
    const started = lap()
    await instance.ensureUsers()
    await instance.query('CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)')
    console.log(`created after ${created}, started after ${started}, first table after ${lap()}`)
    assert.ok(performance.now() - startedMs < 15_000)
  })

  it('is the version that was asked for, and answers at once', async () => {
    assert.equal(await instance.engine.version(), instance.place.binaries.version.name)
    assert.ok((await instance.engine.probe(2_000)) < 2_000)
    await instance.engine.checkpoint()
  })

  it('has the settings that the storage is made for', async () => {
    const rows = await instance.query(
      "SELECT name, setting FROM pg_settings WHERE name IN ('full_page_writes', 'wal_sync_method', 'data_checksums')",
    )
    assert.deepEqual(Object.fromEntries(rows.map(({ name, setting }) => [name, setting])), {
      data_checksums: 'on',
      full_page_writes: 'off',
      wal_sync_method: 'open_datasync',
    })
  })

  it('sorts by code point and knows letters beyond ASCII', async () => {
    const [row] = await instance.query("SELECT upper('é') AS upper, 'a' > 'B' AS by_code_point")
    assert.deepEqual(row, { upper: 'É', by_code_point: true })
  })

  it('has an identity of its own', async () => {
    const other = join(instance.folder, 'other')
    const { binaries, account } = instance.place
    await createDataDirectory(await preparedTemplate(binaries), other, account)
    const identity = async (folder: string): Promise<bigint> =>
      systemIdentifier(await readFile(join(folder, 'global', 'pg_control')))
    assert.notEqual(await identity(other), await identity(instance.place.dataDirectory))
  })

  it('is not made where something is', async () => {
    const template = await preparedTemplate(instance.place.binaries)
    await assert.rejects(
      createDataDirectory(template, instance.place.dataDirectory, instance.place.account),
      failsWith('AlreadyExists', /not empty/),
    )
  })

  it('whose making was interrupted is no database, and is made again', async () => {
    const { binaries, account, folders } = instance.place
    const half = join(instance.folder, 'half')
    await createDataDirectory(await preparedTemplate(binaries), half, account)
    await writeFile(join(half, 'borealis.unfinished'), '')
    const engine = new PostgresEngine({ binaries, dataDirectory: half, folders, account })
    await assert.rejects(engine.start(instance.configuration), failsWith('NotADataDirectory', /not created to its end/))
    await createDataDirectory(await preparedTemplate(binaries), half, account)
    assert.ok(!existsSync(join(half, 'borealis.unfinished')))
  })
})

describe('clients', () => {
  let instance: PostgresInstance
  before(async () => {
    instance = keep(await PostgresInstance.running('clients'))
  })

  it('get in with a SCRAM password over TLS with a certificate for the address', async () => {
    const client = await instance.connect()
    const { rows } = await client.query('SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
    await client.end()
    assert.deepEqual(rows, [{ ssl: true, version: 'TLSv1.3' }])
    const [role] = await instance.engine.session((query) =>
      query("SELECT rolpassword LIKE 'SCRAM-SHA-256$%' AS scram, rolsuper FROM pg_authid WHERE rolname = 'postgres'"),
    )
    assert.deepEqual(role, { scram: true, rolsuper: false })
  })

  for (const [what, options, problem] of [
    ['without TLS', { ssl: false }, /no encryption/],
    ['with a wrong password', { password: 'wrong' }, /password authentication failed/],
    ['without a password', { password: '' }, /password/],
    ['as the superuser', { user: 'rdsadmin' }, /pg_hba\.conf rejects/],
    ['with another authority', { ssl: { ca: [] } }, /certificate/],
  ] as const) {
    it(`are refused ${what}`, () => assert.rejects(instance.connect(options as object), problem))
  }
})

describe('an engine that dies', () => {
  let instance: PostgresInstance
  before(async () => {
    instance = keep(await PostgresInstance.running('dies'))
    await instance.query('CREATE TABLE kept (id int)')
  })
  const failed = () => until('the engine has failed', () => instance.engine.state.name === 'failed')
  const reason = (): string => (instance.engine.state.name === 'failed' ? instance.engine.state.reason : '')

  it('is noticed, recovers when it is started again, and has everything that was committed', async () => {
    await instance.query('INSERT INTO kept VALUES (1)')
    process.kill(pidOf(instance), 'SIGKILL')
    await failed()
    assert.equal(reason(), 'it was ended by SIGKILL')
    assert.deepEqual(processesIn(instance.place.dataDirectory), [])
    const startedMs = performance.now()
    await instance.engine.start(instance.configuration)
    console.log(`started after a kill in ${Math.round(performance.now() - startedMs)} ms`)
    assert.equal(await rowsOf(instance), 1)
  })

  it('of a session that crashed says so, and does not come back by itself', async () => {
    const client = await instance.connect()
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid')
    process.kill(rows[0].pid, 'SIGSEGV')
    await failed()
    assert.match(reason(), /^server process \(PID \d+\) was terminated by signal 11/)
    await instance.engine.start(instance.configuration)
    assert.equal(await rowsOf(instance), 1)
  })

  it('leaves a process id that somebody else has by now', async () => {
    const other = keep(await PostgresInstance.running('other'))
    await instance.engine.kill()
    const pidFile = join(instance.place.dataDirectory, 'postmaster.pid')
    await copyFile(join(other.place.dataDirectory, 'postmaster.pid'), pidFile)
    const socket = join(instance.place.folders.run, '.s.PGSQL.15432')
    await writeFile(`${socket}.lock`, `${pidOf(other)}\n`)
    await instance.engine.start(instance.configuration)
    assert.equal(await rowsOf(instance), 1)
    assert.equal(other.engine.state.name, 'running')
  })

  it('starts with all of its scratch gone', async () => {
    await instance.engine.kill()
    for (const { path, kind } of SCRATCH_PATHS) {
      const full = join(instance.place.dataDirectory, path)
      await rm(kind === 'file' ? full : join(full, 'none'), { recursive: true, force: true })
      if (kind === 'folder' && existsSync(full)) await run('find', [full, '-mindepth', '1', '-delete'])
    }
    await instance.engine.start(instance.configuration)
    assert.equal(await rowsOf(instance), 1)
    await instance.query(
      "SET work_mem = '64kB'; SELECT count(*) FROM (SELECT g FROM generate_series(1, 200000) g ORDER BY -g) s",
    )
  })
})

describe('an engine is stopped', () => {
  let instance: PostgresInstance
  before(async () => {
    instance = keep(await PostgresInstance.running('stops'))
    await instance.query('CREATE TABLE kept AS SELECT 1 AS id')
  })

  for (const mode of ['smart', 'fast', 'immediate', 'kill'] as const) {
    it(`${mode}, and starts again`, async () => {
      const startedMs = performance.now()
      assert.equal(await instance.engine.stop(mode, STOP_MS), mode)
      const stoppedMs = performance.now()
      assert.deepEqual(instance.engine.state, { name: 'stopped' })
      assert.deepEqual(processesIn(instance.place.dataDirectory), [])
      await instance.engine.start(instance.configuration)
      const ms = [stoppedMs - startedMs, performance.now() - stoppedMs].map(Math.round)
      console.log(`${mode}: stopped in ${ms[0]} ms, started again in ${ms[1]} ms`)
      assert.equal(await rowsOf(instance), 1)
    })
  }

  it('harder when clients stay past the deadline', async () => {
    await instance.connect()
    assert.equal(await instance.engine.stop('smart', 300), 'fast')
    await instance.engine.start(instance.configuration)
  })

  it('even when it is frozen', async () => {
    process.kill(pidOf(instance), 'SIGSTOP')
    await assert.rejects(instance.engine.probe(200), failsWith('TimedOut', /200 ms/))
    assert.equal(await instance.engine.stop('fast', 200), 'kill')
    await instance.engine.start(instance.configuration)
  })

  it('before it has started', async () => {
    await instance.engine.stop('fast', STOP_MS)
    const start = instance.engine.start(instance.configuration)
    await instance.engine.kill()
    await assert.rejects(start, failsWith('StartFailed', /stopped before/))
    assert.deepEqual(processesIn(instance.place.dataDirectory), [])
    assert.equal(instance.engine.state.name, 'stopped')
    await instance.engine.start(instance.configuration)
  })

  it('by the kernel when its parent is killed', async () => {
    const parent = endWithUs(
      spawn(process.execPath, ['test/engine-parent.ts'], { stdio: ['ignore', 'pipe', 'inherit'] }),
    )
    const line = await new Promise<string>((resolve) => parent.stdout?.once('data', (data) => resolve(`${data}`)))
    const { pid, folder } = JSON.parse(line) as { pid: number; folder: string }
    const data = join(folder, 'data')
    assert.ok(processesIn(data).includes(pid))
    parent.kill('SIGKILL')
    await until('the engine is gone', () => processesIn(data).length === 0, 5_000)
    await rm(folder, { recursive: true })
  })
})

describe('an engine does not start, and one line says why,', () => {
  let instance: PostgresInstance
  before(async () => {
    instance = keep(await PostgresInstance.running('wrong'))
  })

  it('on a directory in which another works', async () => {
    const second = new PostgresEngine({ ...instance.place })
    await assert.rejects(second.start(instance.configuration), failsWith('InUse', /in use by process \d+/))
    assert.deepEqual(second.state, { name: 'stopped' })
    await instance.engine.probe(1_000)
  })

  it('on a directory that is none', async () => {
    const nowhere = new PostgresEngine({ ...instance.place, dataDirectory: join(instance.folder, 'nowhere') })
    await assert.rejects(nowhere.start(instance.configuration), failsWith('NotADataDirectory', /no PostgreSQL data/))
    const empty = new PostgresEngine({ ...instance.place, dataDirectory: instance.folder })
    await assert.rejects(empty.start(instance.configuration), failsWith('NotADataDirectory', /no PostgreSQL data/))
  })

  it('with a parameter that storage forbids, or a value that PostgreSQL does', async () => {
    await instance.engine.stop('fast', STOP_MS)
    const start = (parameters: Record<string, string>) =>
      instance.engine.start({ ...instance.configuration, parameters })
    await assert.rejects(start({ fsync: 'off' }), failsWith('BadParameter', /fsync: commits/))
    await assert.rejects(start({ work_mem: 'much' }), failsWith('StartFailed', /borealis\.conf/))
  })

  it('on data of another version, or damaged data', async () => {
    const { dataDirectory } = instance.place
    const version = join(dataDirectory, 'PG_VERSION')
    await writeFile(version, '16\n')
    await assert.rejects(
      instance.engine.start(instance.configuration),
      failsWith('WrongVersion', /PostgreSQL 16, not 17/),
    )
    await writeFile(version, '17\n')
    await rm(join(dataDirectory, 'global', 'pg_control'))
    await assert.rejects(instance.engine.start(instance.configuration), failsWith('StartFailed', /pg_control/))
  })
})

describe('a standby', () => {
  it('follows a primary over TLS, is never far behind, and becomes one', async () => {
    const primary = keep(await PostgresInstance.running('primary'))
    const standby = keep(await PostgresInstance.empty('standby'))
    await primary.query('CREATE TABLE kept AS SELECT 1 AS id')
    await primary.engine.stop('fast', STOP_MS)
    await run('cp', ['-a', primary.place.dataDirectory, standby.place.dataDirectory])
    await primary.engine.start(primary.configuration)
    await standby.engine.start({
      ...standby.configuration,
      primary: {
        host: primary.configuration.address,
        port: primary.configuration.port,
        user: REPLICATION_ROLE,
        password: primary.replicationPassword,
        authorityCertificate: authority.certificate,
      },
    })
    await primary.query('INSERT INTO kept VALUES (2)')
    const count = () => standby.engine.session((query) => query('SELECT count(*)::int AS n FROM kept'))
    await until('the row has arrived', async () => (await count())[0]?.n === 2)
    const lag = await until('nothing is left to replay', async () => {
      const now = await standby.engine.lag()
      return now.streaming && now.lagMs === 0 && now
    })
    assert.equal(lag.receivedLsn, lag.replayedLsn)
    await assert.rejects(primary.engine.lag(), failsWith('WrongState', /primary/))
    await primary.engine.kill()
    await standby.engine.promote()
    await standby.engine.session((query) => query('INSERT INTO kept VALUES (3)'))
    await standby.engine.stop('immediate', STOP_MS)
    // As a primary: the configuration is the one without a primary to follow.
    await standby.engine.start(standby.configuration)
    assert.equal((await count())[0]?.n, 3)
  })
})

describe('PostgreSQL is installed', () => {
  it('not without a registry, which one line says', async () => {
    const home = await mkdtemp(join(tmpdir(), 'borealis-home-'))
    const before = { ...process.env }
    // Nobody listens on port 9, and npm's cache has nothing.
    Object.assign(process.env, { npm_config_registry: 'http://127.0.0.1:9/', npm_config_cache: join(home, 'cache') })
    try {
      await assert.rejects(
        installPostgres(home, selectVersion('17'), undefined),
        failsWith('NotInstalled', /PostgreSQL 17\.\d+ is not installed: npm could not get it \(ECONNREFUSED\)/),
      )
    } finally {
      for (const name of ['npm_config_registry', 'npm_config_cache']) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
      await rm(home, { recursive: true, force: true })
    }
  })

  it('and its template made, once, when two want it at once', async () => {
    const home = await mkdtemp(join(tmpdir(), 'borealis-home-'))
    const binaries = { ...(await installed()), folder: join(home, 'engines', 'postgres') }
    try {
      const [one, two] = await Promise.all([preparedTemplate(binaries), preparedTemplate(binaries)])
      assert.equal(one, two)
      assert.ok(existsSync(join(one, 'PG_VERSION')))
      assert.deepEqual(await readdir(join(home, 'engines')), [basename(one)])
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  })

  const others = (process.env.BOREALIS_POSTGRES_VERSIONS ?? '').split(',').filter((version) => version !== '')
  for (const version of others) {
    it(`${version} runs as well`, async () => {
      const instance = keep(await PostgresInstance.running(`v${version}`, await installed(version)))
      assert.equal(await instance.engine.version(), selectVersion(version).name)
      await instance.query('CREATE TABLE kept AS SELECT 1 AS id')
      process.kill(pidOf(instance), 'SIGKILL')
      await until('the engine has failed', () => instance.engine.state.name === 'failed')
      await instance.engine.start(instance.configuration)
      assert.equal(await rowsOf(instance), 1)
    })
  }
})
