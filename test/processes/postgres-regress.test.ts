/**
 * PostgreSQL's own regression tests: on the volume they come out as on a local disk, with the same programs and settings.
 * Needs the tests: BOREALIS_PG_REGRESS is `src/test/regress` of a source tree that was built (docs/outside-suites.md).
 */
import assert from 'node:assert/strict'
import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { engineAccount } from '../../src/engine/account.ts'
import { withSession } from '../../src/engine/postgres/session.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { installed, PostgresInstance } from '../postgres-instance.ts'
import { RegionHome } from '../region-home.ts'
import {
  leaveDatabasesAsTheyAre,
  letEverybodyIn,
  type RegressionResults,
  RegressionSuite,
} from '../regression-suite.ts'

const MEMORY_MIB = 128
const CLUSTER = 'regress'
const MINUTE_MS = 60_000
/** On a busy machine with 2 cores. */
const timeout = 30 * MINUTE_MS

const regress = process.env.BOREALIS_PG_REGRESS
const skip =
  regress === undefined
    ? 'BOREALIS_PG_REGRESS is not set: docs/outside-suites.md says where the tests come from'
    : (whyNoMount() ?? false)

async function opened(run: string, port: number) {
  letEverybodyIn(run)
  leaveDatabasesAsTheyAre(run)
  await withSession({ folder: run, port }, MINUTE_MS, (query) => query('SELECT pg_reload_conf()'))
  return { socketFolder: run, port }
}

describe('the regression tests of PostgreSQL', { skip }, () => {
  let suite: RegressionSuite
  let onDisk: RegressionResults
  let onVolume: RegressionResults

  before(() => {
    suite = new RegressionSuite(regress!, engineAccount())
  })
  after(() => suite?.[Symbol.dispose]())

  const major = (): string => suite.version.split('.')[0] ?? ''

  it('on a local disk', { timeout }, async (t) => {
    const instance = await PostgresInstance.running('regress', await installed(major()))
    try {
      t.diagnostic(`engine ${instance.place.binaries.version.name}, tests ${suite.version}`)
      t.diagnostic(`statfs says file system 0x${statfsSync(instance.folder).type.toString(16)} (ext4 is 0xef53)`)
      onDisk = await suite.run('disk', await opened(instance.place.folders.run, instance.configuration.port))
      // Tests of a later release know of errors that this one still has.
      assert.equal(
        instance.engine.state.name,
        'running',
        'the engine did not survive the tests: are they of its release?',
      )
    } finally {
      await instance.remove()
    }
    t.diagnostic(`${onDisk.passed.length} passed in ${onDisk.seconds.toFixed(0)} s, failed: ${onDisk.failed.join(' ')}`)
  })

  it('on the volume', { timeout }, async (t) => {
    await using home = await RegionHome.make(['--no-demo', '--memory-mib', `${MEMORY_MIB}`])
    await home.up()
    const made = await home.borealis('cluster', 'create', CLUSTER, '--engine-version', major())
    assert.equal(made.status, 0, made.output)
    const { name, port, enginePid } = await home.writer(CLUSTER)
    onVolume = await suite.run('volume', await opened(join(home.root, 'instances', name, 'run'), port))
    assert.equal((await home.writer(CLUSTER)).enginePid, enginePid, 'the engine did not survive the tests')
    t.diagnostic(`${onVolume.passed.length} passed in ${onVolume.seconds.toFixed(0)} s`)
    const { status, output } = await home.borealis('volume', 'check', CLUSTER)
    assert.equal(status, 0, output)
    t.diagnostic(output.trim())
    await home.down()
  })

  it('the same pass, and the same fail', (t) => {
    assert(onDisk !== undefined && onVolume !== undefined, 'not both of them ran')
    const of = onDisk.passed.length + onDisk.failed.length
    const same = onVolume.passed.filter((name) => onDisk.passed.includes(name)).length
    t.diagnostic(`${same} of ${of} pass on both`)
    assert.deepEqual(onVolume.failed, onDisk.failed, onVolume.differences.slice(0, 20_000))
    assert.deepEqual(onVolume.passed, onDisk.passed)
  })
})
