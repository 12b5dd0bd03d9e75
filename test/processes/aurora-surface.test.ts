/**
 * What clients of Aurora find in a database: functions, roles and a setting, in PostgreSQL as it is.
 * Other versions than 17 run when asked for: BOREALIS_POSTGRES_VERSIONS=14,18.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type pg from 'pg'
import { type FaultRequest, RequestMailbox } from '../../src/engine/postgres/aurora-requests.ts'
import { AuroraSurface } from '../../src/engine/postgres/aurora-surface.ts'
import { installed, MASTER, PostgresInstance } from '../postgres-instance.ts'
import { until } from '../waiting.ts'

const run = promisify(execFile)
const NAME = 'demo-1'

const versions = ['17', ...(process.env.BOREALIS_POSTGRES_VERSIONS ?? '').split(',').filter((each) => each !== '')]

interface Member {
  readonly name: string
  readonly role: 'writer' | 'reader'
  readonly state: string
  readonly run: number
  readonly lagMs: number | null
  readonly walLsn: string | null
  readonly updatedAt: string
  readonly cpu: number | null
  readonly endpoint: string
  readonly zone: string
}

const member = (name: string, role: Member['role']): Member => ({
  name,
  role,
  state: 'available',
  run: 1,
  lagMs: role === 'writer' ? null : 4.5,
  walLsn: '1/2C',
  updatedAt: '2026-01-31T12:00:00.000Z',
  cpu: 12.5,
  endpoint: `${name}.example`,
  zone: 'a',
})

for (const version of versions) {
  describe(`PostgreSQL ${version}, as Aurora's clients see it`, () => {
    let instance: PostgresInstance
    let surface: AuroraSurface
    let client: pg.Client
    const problems: string[] = []

    before(async () => {
      instance = await PostgresInstance.running(NAME, await installed(version))
      const { run: folder } = instance.place.folders
      surface = new AuroraSurface({ folder, port: instance.configuration.port }, (what, error) =>
        problems.push(`${what}: ${error}`),
      )
      const startedMs = performance.now()
      await surface.look()
      const first = performance.now() - startedMs
      await surface.look()
      console.log(`first look ${first.toFixed(0)} ms, second ${(performance.now() - startedMs - first).toFixed(1)} ms`)
      client = await instance.connect()
    })
    after(async () => {
      await client?.end()
      await instance?.remove()
      assert.deepEqual(problems, [])
    })

    const rows = async (statement: string) => (await client.query(statement)).rows
    const value = async (statement: string) => Object.values((await rows(statement))[0] ?? {})[0]
    const topology = (content: string) =>
      writeFile(join(instance.place.folders.run, 'topology.json'), content, { mode: 0o644 })
    const writers = async () =>
      (await rows(`SELECT server_id FROM aurora_replica_status() WHERE session_id = 'MASTER_SESSION_ID'`)).map(
        ({ server_id }) => server_id,
      )

    it('says which Aurora it would be: that of the release of PostgreSQL, without a patch', async () => {
      assert.equal(await value('SELECT aurora_version()'), `${instance.place.binaries.version.name}.0`)
      assert.equal(await value('SELECT pg_catalog.aurora_db_instance_identifier()'), NAME)
    })

    it('is one member, the writer, when nobody has told it of others', async () => {
      for (const content of [undefined, '', '[{"name":"x"', '{"name":1}', '[{"name":"x","lagMs":"slow"}]', '[1]']) {
        if (content !== undefined) await topology(content)
        const found = await rows('SELECT server_id, session_id FROM aurora_replica_status()')
        assert.deepEqual(found, [{ server_id: NAME, session_id: 'MASTER_SESSION_ID' }], content ?? 'no file')
      }
    })

    it('has all members with the columns of Aurora, one of them the writer', async () => {
      await topology(JSON.stringify([member(NAME, 'writer'), member('demo-2', 'reader'), member('demo-3', 'reader')]))
      const { rows: found, fields } = await client.query('SELECT * FROM aurora_replica_status() ORDER BY server_id')
      assert.deepEqual(
        fields.map(({ name }) => name),
        [
          ...['server_id', 'session_id', 'durable_lsn', 'highest_lsn_rcvd', 'current_read_lsn'],
          ...['cur_replay_latency_in_usec', 'active_txns', 'is_current', 'last_transport_error'],
          ...['last_error_timestamp', 'last_update_timestamp', 'feedback_xmin', 'feedback_epoch'],
          ...['replica_lag_in_msec', 'log_stream_speed_in_kib_per_second', 'log_buffer_sequence_number'],
          ...['oldest_read_view_trx_id', 'oldest_read_view_lsn', 'pending_read_ios', 'read_ios', 'iops', 'cpu'],
        ],
      )
      assert.deepEqual(
        found.map(({ server_id, replica_lag_in_msec }) => [server_id, replica_lag_in_msec]),
        [
          [NAME, null],
          ['demo-2', 4.5],
          ['demo-3', 4.5],
        ],
      )
      assert.deepEqual(await writers(), [NAME])
      const [, reader] = found
      assert.match(reader.session_id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      assert.equal(reader.durable_lsn, `${2 ** 32 + 0x2c}`)
      assert.equal(reader.cpu, 12.5)
      assert.equal(reader.last_update_timestamp.toISOString(), '2026-01-31T12:00:00.000Z')
    })

    it('knows that it is the writer before the list does', async () => {
      await topology(JSON.stringify([member(NAME, 'reader'), member('demo-2', 'writer')]))
      assert.deepEqual(await writers(), [NAME])
    })

    it('is seen to live by the time of the last update', async () => {
      const time = () => value(`SELECT last_update_timestamp FROM aurora_replica_status() WHERE server_id = '${NAME}'`)
      const first = (await time()) as Date
      await pause(5)
      assert.ok(((await time()) as Date) > first)
    })

    it('is in no global database', async () => {
      const { fields, rowCount } = await client.query('SELECT * FROM aurora_global_db_status()')
      assert.equal(rowCount, 0)
      assert.deepEqual(fields.map(({ name }) => name).slice(0, 2), ['aws_region', 'highest_lsn_written'])
      assert.deepEqual(await rows('SELECT visibility_lag_in_msec FROM aurora_global_db_instance_status()'), [])
    })

    it('lists its functions', async () => {
      const found = await rows(`SELECT "Name", "Description" FROM aurora_list_builtins()`)
      assert.deepEqual(
        found.map(({ Name }) => Name),
        [
          ...['aurora_db_instance_identifier', 'aurora_global_db_instance_status', 'aurora_global_db_status'],
          ...['aurora_inject_crash', 'aurora_inject_disk_congestion', 'aurora_inject_disk_failure'],
          ...['aurora_inject_replica_failure', 'aurora_list_builtins', 'aurora_replica_status'],
          ...['aurora_show_volume_status', 'aurora_version'],
        ],
      )
      for (const { Name, Description } of found) assert.ok(Description?.length > 10, Name)
    })

    it('is recognised by rds.extensions, among the settings as they were', async () => {
      assert.equal(
        await value(
          `SELECT setting LIKE '%aurora_stat_utils%' FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'rds.extensions'`,
        ),
        true,
      )
      assert.equal(
        await value('SELECT count(*)::int FROM pg_settings'),
        1 + Number(await value('SELECT count(*) FROM pg_show_all_settings()')),
      )
      assert.deepEqual(await rows('SELECT * FROM pg_show_all_settings() EXCEPT TABLE pg_settings'), [])
      await client.query(`UPDATE pg_settings SET setting = '7MB' WHERE name = 'work_mem'`)
      assert.equal(await value('SHOW work_mem'), '7MB')
      const plan = await rows(`EXPLAIN (COSTS OFF) SELECT setting FROM pg_settings WHERE name = 'work_mem'`)
      assert.match(plan.map((line) => line['QUERY PLAN']).join('\n'), /Result\s+One-Time Filter: false$/)
      const extensions = `${await value('SHOW rds.extensions')}`
        .split(', ')
        .filter((name) => name !== 'aurora_stat_utils')
      const available = (await rows('SELECT name FROM pg_available_extensions')).map(({ name }) => name)
      assert.deepEqual(
        extensions.filter((name) => !available.includes(name)),
        [],
      )
    })

    it('has the roles that scripts grant, and nobody is a member unasked', async () => {
      await client.query('CREATE ROLE somebody LOGIN')
      for (const role of ['rds_iam', 'rds_password', 'rds_replication']) await client.query(`GRANT ${role} TO somebody`)
      assert.equal(await value(`SELECT pg_has_role('somebody', 'rds_iam', 'USAGE')`), true)
      assert.equal(await value(`SELECT pg_has_role('${MASTER}', 'rds_iam', 'USAGE')`), false)
    })

    it('does not read what a session names', async () => {
      await client.query(`SET borealis.topology = '/etc/passwd'; SET search_path = public, pg_catalog`)
      await client.query(`CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO PUBLIC`)
      await client.query(
        `CREATE FUNCTION trap.pg_read_file(text, int, int, boolean) RETURNS text LANGUAGE sql AS $$SELECT 1/0 || ''$$`,
      )
      await client.query('SET search_path = trap, pg_catalog')
      assert.deepEqual(await writers(), [NAME])
      await client.query('RESET search_path')
      await assert.rejects(client.query(`SELECT borealis_request('{}')`), { code: '42501' })
    })

    it('gives it to databases that are made from anything, at the next look', async () => {
      await client.query('CREATE DATABASE plain')
      await client.query('CREATE DATABASE empty TEMPLATE template0')
      const version = async (database: string) => {
        const other = await instance.connect({ database })
        try {
          return (await other.query(`SELECT to_regproc('pg_catalog.aurora_version') AS there`)).rows[0].there
        } finally {
          await other.end()
        }
      }
      assert.equal(await version('plain'), 'aurora_version')
      assert.equal(await version('empty'), null)
      // What a database's owner sets for all its sessions is not ours to obey.
      await client.query('ALTER DATABASE empty SET default_transaction_read_only = on')
      await client.query('ALTER DATABASE empty SET search_path = trap')
      await client.query(`ALTER DATABASE empty SET role = '${MASTER}'`)
      await surface.look()
      assert.deepEqual(problems, [])
      assert.equal(await version('empty'), 'aurora_version')
    })

    it('replaces what another Borealis has left', async () => {
      const admin = await instance.superuser()
      await admin.query(
        `CREATE OR REPLACE FUNCTION pg_catalog.borealis_surface() RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'old'$$`,
      )
      await admin.query(
        `CREATE OR REPLACE FUNCTION pg_catalog.aurora_version() RETURNS text LANGUAGE sql AS $$SELECT 'old'$$`,
      )
      await admin.end()
      const { run: folder } = instance.place.folders
      await new AuroraSurface({ folder, port: instance.configuration.port }, assert.fail).look()
      assert.match(`${await value('SELECT aurora_version()')}`, /^\d+\.\d+\.0$/)
    })

    describe('faults on request', () => {
      const requests: FaultRequest[] = []
      let mailbox: RequestMailbox
      before(async () => {
        mailbox = await RequestMailbox.open(
          instance.place.folders.run,
          instance.place.account,
          (request) => {
            requests.push(request)
            void mailbox.answer(request.id, request.fault.kind === 'disk-failure' ? 'there is no such node' : null)
          },
          (what, error) => problems.push(`${what}: ${error}`),
        )
      })
      after(() => mailbox?.close())

      it('reach the supervisor once, as they were asked for', async () => {
        await client.query(`SELECT aurora_inject_crash('Dispatcher')`)
        await client.query('SELECT aurora_inject_disk_congestion(100, 5, true, 60, 30.0, 100.0)')
        await client.query(`SELECT aurora_inject_replica_failure(50, 20, 'demo-2')`)
        await client.query('SELECT aurora_inject_replica_failure(50, 20, $1)', [''])
        assert.deepEqual(
          requests.map(({ fault }) => fault),
          [
            { kind: 'crash', what: 'dispatcher' },
            { kind: 'disk-congestion', percent: 100, index: 5, seconds: 60, msMin: 30, msMax: 100 },
            { kind: 'replica-failure', percent: 50, seconds: 20, replica: 'demo-2' },
            { kind: 'replica-failure', percent: 50, seconds: 20, replica: null },
          ],
        )
      })

      it('that cannot be are errors', () =>
        assert.rejects(client.query('SELECT aurora_inject_disk_failure(100, 0, false, 10)'), /there is no such node/))

      for (const [call, problem] of [
        [`aurora_inject_crash('everything')`, /instance, dispatcher or node/],
        ['aurora_inject_crash(NULL)', /instance, dispatcher or node/],
        ['aurora_inject_disk_failure(101, 0, true, 10)', /percentage_of_failure is a number between 0 and 100/],
        ['aurora_inject_disk_failure(10, 6, true, 10)', /index is between 0 and 5/],
        ['aurora_inject_disk_failure(10, 0, NULL, 10)', /is_disk is true or false/],
        ['aurora_inject_disk_failure(10, 0, true, 0)', /time_interval/],
        ['aurora_inject_disk_congestion(10, 0, true, 10, 50, 40)', /minimum and maximum/],
        ['aurora_inject_disk_congestion(10, 0, true, 10, 0, 101)', /between 0 and 100/],
        [`aurora_inject_replica_failure(10, 10, 'a b')`, /replica_name/],
      ] as const) {
        it(`are refused when they make no sense: ${call}`, async () => {
          await assert.rejects(client.query(`SELECT ${call}`), (error: pg.DatabaseError) => {
            assert.match(error.message, problem)
            assert.equal(error.code, '22023')
            return true
          })
        })
      }

      it('are for members of rds_superuser alone', async () => {
        await client.query(`GRANT somebody TO ${MASTER}`)
        await client.query('SET ROLE somebody')
        for (const call of ['crash()', 'disk_failure(1, 0, true, 1)', `replica_failure(1, 1)`]) {
          await assert.rejects(client.query(`SELECT aurora_inject_${call}`), { code: '42501' })
        }
        await client.query('RESET ROLE')
      })

      it('leave nothing behind', async () => {
        const folder = join(instance.place.folders.run, 'requests')
        await until('requests are taken', async () => (await readdir(folder)).every((name) => name.endsWith('.answer')))
      })
    })

    it('has no privilege that pg_dump would tell of', async () => {
      const found = await rows(`
        SELECT p.proname FROM pg_proc p LEFT JOIN pg_init_privs i
          ON i.objoid = p.oid AND i.classoid = 'pg_proc'::regclass AND i.objsubid = 0
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proacl IS DISTINCT FROM i.initprivs`)
      assert.deepEqual(found, [])
    })

    const dump = existsSync('/usr/bin/pg_dump') ? 'pg_dump' : undefined
    it('is in no dump', { skip: dump === undefined && 'there is no pg_dump here' }, async (t) => {
      const { major } = instance.place.binaries.version
      const newest = Number(/ (\d+)/.exec((await run('pg_dump', ['--version'])).stdout)?.[1])
      if (newest < major) return t.skip(`pg_dump here is of ${newest}`)
      await client.query('CREATE TABLE kept AS SELECT 1 AS id')
      const superuser = {
        ...process.env,
        PGHOST: instance.place.folders.run,
        PGPORT: `${instance.configuration.port}`,
        PGUSER: 'rdsadmin',
        PGDATABASE: 'postgres',
      }
      const dumped = async (...options: string[]) => (await run('pg_dump', options, { env: superuser })).stdout
      const text = await dumped('--create')
      assert.match(text, /CREATE TABLE public\.kept/)
      assert.doesNotMatch(text, /aurora|borealis|rds_|pg_settings/i)

      await client.query('CREATE DATABASE restored TEMPLATE template0')
      const file = join(instance.folder, 'dump.sql')
      await writeFile(file, await dumped())
      const options = ['--quiet', '--set', 'ON_ERROR_STOP=1', '--dbname', 'restored', '--file', file]
      await run('psql', options, { env: superuser })
      await surface.look()
      const other = await instance.connect({ database: 'restored' })
      const { rows: answer } = await other.query('SELECT id, aurora_db_instance_identifier() AS name FROM kept')
      await other.end()
      assert.deepEqual(answer, [{ id: 1, name: NAME }])
    })
  })
}
