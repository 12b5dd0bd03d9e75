/**
 * What people do with a cluster who know Aurora: faults on purpose, and AWS's wrapper of `pg`, unchanged, which finds out
 * by itself that this is Aurora and who is in the cluster, reads from a reader, and goes on after a failover.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
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
  why?: string
  failedOver?: Answered | null
  acknowledged?: number
  there?: number
}

describe('a cluster, for clients of Aurora', { skip }, () => {
  let home: RegionHome
  before(async () => {
    home = await RegionHome.make(['--memory-mib', '128', '--readers', '2'])
    await home.up()
    await until(
      'readers are there',
      async () => {
        const { instances } = await home.status()
        return instances.length === 3 && instances.every(({ state }) => state === 'available')
      },
      120_000,
    )
  })
  after(() => home?.[Symbol.asyncDispose]())

  const succeeds = async (...args: string[]): Promise<string> => {
    const { status, output } = await home.borealis(...args)
    assert.equal(status, 0, output)
    return output
  }

  it('takes faults by command', async () => {
    assert.match(await succeeds('fault', 'slow-disk', 'a2', '--ms', '1-2', '--seconds', '600'), /^a2: slow-disk, 100 %/)
    assert.match(await succeeds('fault', 'cut', 'c', '--seconds', '1'), /c1: cut, 1 s left\nc2: cut, 1 s left/)
    assert.match(await succeeds('fault', 'list'), /a2 +slow-disk +100 %, 1 to 2 ms, \d+ s left/)
    const unknown = await home.borealis('fault', 'cut', 'x9')
    assert.deepEqual([unknown.status, /no zone or storage node x9/.test(unknown.output)], [1, true], unknown.output)
    const wrong = await home.borealis('fault', 'slow-disk', 'a1', '--percent', '101')
    assert.deepEqual([wrong.status, /--percent 101/.test(wrong.output)], [2, true], wrong.output)
  })

  it('takes faults by SQL, until they are healed', async () => {
    const client = await home.connect()
    try {
      await client.query('SELECT aurora_inject_disk_congestion(50, 5, true, 600, 1, 2)')
      await client.query('SELECT aurora_inject_replica_failure(10, 1)')
      await assert.rejects(client.query(`SELECT aurora_inject_replica_failure(10, 1, 'nobody')`), /no reader nobody/)
    } finally {
      await client.end()
    }
    assert.match(await succeeds('fault', 'list'), /c2 +slow-disk +50 %, 1 to 2 ms/)
    await succeeds('fault', 'heal')
    assert.match(await succeeds('fault', 'list'), /there are no faults/)
  })

  it("lets AWS's wrapper of pg discover the topology, split reads from writes, and survive a failover", async () => {
    const { endpoints, names } = await home.status()
    const nameOf = (type: string): string => endpoints.find((each) => each.type === type)?.dnsName ?? ''
    const before = (await home.writer()).name
    const wanted = {
      host: nameOf('writer'),
      suffix: nameOf('instance').replace(/^[^.]+\./, ''),
      dns: names.dns,
      password: (await succeeds('cluster', 'password', 'demo')).trim(),
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

    await succeeds('failover', 'demo')
    await until('it has noticed', () => seen.error, 150_000)
    assert.equal(seen.error, 'FailoverSuccessError', seen.why ?? 'another error')
    const after = (await home.writer()).name
    assert.notEqual(after, before)
    assert.deepEqual(seen.failedOver, { id: after, isReader: false })
    // One may have been committed and not acknowledged.
    const { acknowledged = 0, there } = seen
    assert.ok(there === acknowledged || there === acknowledged + 1, `${there} of ${acknowledged}`)
  })
})
