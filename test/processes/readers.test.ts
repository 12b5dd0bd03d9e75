/**
 * A writer and two readers on one volume, as processes of their own: what readers show, what they refuse, and what
 * becomes of them when something is killed.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { volumeName } from '../../src/protocol/lsn.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { InstanceProcess, newSecrets } from '../instance-process.ts'
import { ProcessFleet } from '../process-fleet.ts'

const skip = whyNoMount() ?? false

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

  it('begins with a writer, which is heard all the time', async () => {
    await writer.start({ role: 'writer' })
    const { walLsn, connections, timeline, rebuild } = await writer.until(
      'answering',
      ({ answeredMsAgo, walLsn }) => answeredMsAgo !== null && walLsn !== null,
    )
    assert.match(walLsn ?? '', /^0\/[0-9A-F]+$/)
    assert.deepEqual([connections, timeline, rebuild], [0, 1, null])
    await writer.query('CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())')
  })

  it('has readers that show what it has, and refuse writes', async () => {
    await Promise.all([first, second].map((reader) => reader.start({ role: 'reader', primary: writer.address })))
    for (const reader of [first, second]) {
      await reader.until('streaming', ({ streaming }) => streaming === true)
      await reader.query('SELECT count(*) FROM t')
      await assert.rejects(reader.query('INSERT INTO t VALUES (0)'), { code: '25006' })
    }
  })
})
