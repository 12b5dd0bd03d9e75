/**
 * A recovery that ends by promotion loses nothing: everything that was committed is there, in each version, also when the
 * recovery itself is killed; and only a recovery begins a new timeline.
 */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { PostgresInstance as Instance } from '../postgres-instance.ts'
import { installed, PostgresInstance } from '../postgres-instance.ts'
import { pause, until } from '../waiting.ts'

const STOP_MS = 30_000
const LOAD_MS = 700
/** Interrupted after so many milliseconds: before, in, and after the replay. */
const INTERRUPTIONS_MS = [60, 120, 250]

async function timelineOf({ engine }: Instance): Promise<number> {
  const [row] = await engine.session((query) =>
    query(`SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline`),
  )
  return Number(row?.timeline)
}

/** Commits one number after the other until the engine is killed. @returns the last that was acknowledged */
async function loadAndKill(instance: Instance, from: number): Promise<number> {
  const client = await instance.connect()
  let acknowledged = from
  const load = (async () => {
    for (;;) {
      await client.query('INSERT INTO numbers VALUES ($1)', [acknowledged + 1])
      acknowledged++
    }
  })()
  load.catch(() => {})
  await pause(LOAD_MS)
  await instance.engine.kill()
  await load.catch(() => {})
  return acknowledged
}

/** @returns whether the first session that gets in may only read */
function firstAnswer(instance: Instance): Promise<boolean> {
  return until('somebody gets in', async () => {
    try {
      const [row] = await instance.query('SELECT pg_is_in_recovery() AS standby')
      return { isReadOnly: row?.standby === true }
    } catch {
      return undefined
    }
  }).then(({ isReadOnly }) => isReadOnly)
}

async function highest(instance: Instance): Promise<number> {
  const [row] = await instance.query('SELECT max(id)::int AS id, count(*)::int AS rows FROM numbers')
  assert.equal(row?.rows, row?.id, 'there are gaps')
  return Number(row?.id)
}

for (const version of ['14', '17']) {
  describe(`PostgreSQL ${version} that was killed`, () => {
    let instance: Instance
    after(async () => instance?.remove())

    it('has all that it acknowledged, and takes writes on a new timeline', async () => {
      instance = await PostgresInstance.running('promotion', await installed(version))
      await instance.query('CREATE TABLE numbers (id int PRIMARY KEY)')
      const acknowledged = await loadAndKill(instance, 0)
      assert(acknowledged > 0)
      await instance.engine.start(instance.configuration)
      const recovered = await highest(instance)
      assert(recovered >= acknowledged, `${recovered} of ${acknowledged}`)
      assert.equal(await timelineOf(instance), 2)
      await instance.query(`INSERT INTO numbers VALUES (${recovered + 1})`)
    })

    it('stays on its timeline when it was stopped in order', async () => {
      await instance.engine.stop('fast', STOP_MS)
      await instance.engine.start(instance.configuration)
      assert.equal(await timelineOf(instance), 2)
    })

    it('keeps its slots of logical replication', async () => {
      const configuration = { ...instance.configuration, parameters: { wal_level: 'logical' } }
      await instance.engine.stop('fast', STOP_MS)
      await instance.engine.start(configuration)
      await instance.engine.session((query) =>
        query(`SELECT pg_create_logical_replication_slot('kept', 'test_decoding', false)`),
      )
      await instance.engine.kill()
      // A standby refuses in some versions; the second try is no standby.
      await instance.engine.start(configuration).catch(() => instance.engine.start(configuration))
      const slots = await instance.engine.session((query) => query('SELECT slot_name FROM pg_replication_slots'))
      assert.deepEqual(slots, [{ slot_name: 'kept' }])
      await instance.engine.session((query) => query(`SELECT pg_drop_replication_slot('kept')`))
      await instance.engine.stop('fast', STOP_MS)
      await instance.engine.start(instance.configuration)
    })

    it('may be smaller than before, and lets nobody in who may only read', async () => {
      const larger = { ...instance.configuration, parameters: { max_connections: '200' } }
      await instance.engine.stop('fast', STOP_MS)
      await instance.engine.start(larger)
      const acknowledged = await loadAndKill(instance, await highest(instance))
      const start = instance.engine.start(instance.configuration)
      const isReadOnly = await firstAnswer(instance)
      await start
      assert.equal(isReadOnly, false)
      assert((await highest(instance)) >= acknowledged)
    })

    it('has it also when its recovery is killed, again and again', async () => {
      const acknowledged = await loadAndKill(instance, await highest(instance))
      for (const ms of INTERRUPTIONS_MS) {
        const start = instance.engine.start(instance.configuration)
        const isOver = start.then(
          () => true,
          () => true,
        )
        await Promise.race([isOver, pause(ms)])
        await instance.engine.kill()
        await isOver
      }
      await instance.engine.start(instance.configuration)
      const recovered = await highest(instance)
      assert(recovered >= acknowledged, `${recovered} of ${acknowledged}`)
      await instance.engine.checkpoint()
      assert((await timelineOf(instance)) > 2)
    })
  })
}
