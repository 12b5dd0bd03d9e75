/**
 * A client that was written for Aurora: AWS's wrapper of `pg`, unchanged, finds out by itself that this is Aurora, who is
 * in the cluster, reads from a reader, and goes on after a failover.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { endWithUs } from '../child-processes.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { RegionHome } from '../region-home.ts'
import { until } from '../waiting.ts'

const CLIENT = join(import.meta.dirname, '..', 'wrapper-client.ts')
const skip = whyNoMount() ?? false

interface Answered {
  readonly id: string
  readonly isReader: boolean
}

interface Seen {
  connected?: Answered
  readOnly?: Answered
  readWrite?: Answered
  inserting?: number
  error?: string
  failedOver?: Answered | null
  acknowledged?: number
  there?: number
}

describe("AWS's wrapper of pg", { skip }, () => {
  it('discovers the topology, splits reads from writes, and survives a failover', async () => {
    await using home = await RegionHome.make(['--memory-mib', '128', '--readers', '2'])
    await home.up()
    await until(
      'readers are there',
      async () => {
        const { instances } = await home.status()
        return instances.length === 3 && instances.every(({ state }) => state === 'available')
      },
      120_000,
    )
    const { endpoints, names } = await home.status()
    const nameOf = (type: string): string => endpoints.find((each) => each.type === type)?.dnsName ?? ''
    const before = (await home.writer()).name
    const wanted = {
      host: nameOf('writer'),
      suffix: nameOf('instance').replace(/^[^.]+\./, ''),
      dns: names.dns,
      password: (await home.borealis('cluster', 'password', 'demo')).output.trim(),
      authority: join(home.root, 'authority.crt'),
    }
    const client = endWithUs(
      spawn(process.execPath, [CLIENT, JSON.stringify(wanted)], { stdio: ['ignore', 'pipe', 'inherit'] }),
    )
    const seen: Seen = {}
    createInterface({ input: client.stdout! }).on('line', (line) => {
      if (line.startsWith('{')) Object.assign(seen, JSON.parse(line))
    })
    await until('it inserts', () => seen.inserting, 60_000)
    assert.deepEqual(seen.connected, { id: before, isReader: false })
    assert.equal(seen.readOnly?.isReader, true)
    assert.notEqual(seen.readOnly?.id, before)
    assert.deepEqual(seen.readWrite, { id: before, isReader: false })

    const { status, output } = await home.borealis('failover', 'demo')
    assert.equal(status, 0, output)
    await until('it has noticed', () => seen.error, 150_000)
    assert.equal(seen.error, 'FailoverSuccessError')
    const after = (await home.writer()).name
    assert.notEqual(after, before)
    assert.deepEqual(seen.failedOver, { id: after, isReader: false })
    // One may have been committed and not acknowledged.
    const { acknowledged = 0, there } = seen
    assert.ok(there === acknowledged || there === acknowledged + 1, `${there} of ${acknowledged}`)
  })
})
