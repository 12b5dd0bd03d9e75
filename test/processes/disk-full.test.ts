/**
 * Disks that are full for real: a node says so and refuses log, the others go on; when too many are full writes wait,
 * nothing is lost, and they go on by themselves when there is room.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import type { NodeStatus } from '../../src/protocol/calls.ts'
import type { VolumeId } from '../../src/protocol/lsn.ts'
import type { Fleet } from '../../src/volume/tcp-fleet.ts'
import { Ledger, LedgerWriter } from '../ledger.ts'
import { checkLedger } from '../ledger-check.ts'
import { LedgerFollower } from '../ledger-follower.ts'
import { LEDGER_GEOMETRY } from '../ledger-image.ts'
import { ProcessFleet, SMALL_NODES } from '../process-fleet.ts'
import { type FileSystemKind, SmallFileSystem, whyNotMountable } from '../small-file-system.ts'
import { pause, printedSeed, until } from '../waiting.ts'

/** Tails keep their log as long as a full copy cannot put its own into layers: room for that, too. */
const DISK_BYTES = 128 << 20
const QUIET_MS = 500
const WAITING_MS = 1000

const FILL_EVERY_MS = 50

interface Kind {
  readonly kind: FileSystemKind
  readonly what: string
  /** Of the nodes. */
  readonly reserveBytes: number
  /** What other files leave. */
  readonly leaveBytes: number
}

const KINDS: readonly Kind[] = [
  // Appends are refused before the last byte is gone: what the node does in the background still finds room.
  { kind: 'tmpfs', what: 'up to the reserve', reserveBytes: 16 << 20, leaveBytes: 8 << 20 },
  // Without a reserve it is the disk that refuses: in the log, in layers, in small states, wherever it happens.
  { kind: 'ext4', what: 'up to the last byte', reserveBytes: 1, leaveBytes: 0 },
]

for (const { kind, what, reserveBytes, leaveBytes } of KINDS) {
  const skip = whyNotMountable(kind) ?? false
  describe(`disks that are full, ${what} (${kind})`, { skip }, () => {
    const random = new Random(printedSeed(`disk full, ${kind}`))
    const disks = new Map<string, SmallFileSystem>()
    const fillings = new Map<string, NodeJS.Timeout>()
    let fleet: ProcessFleet
    let client: Fleet
    let volume: VolumeId
    let ledger: Ledger
    let writer: LedgerWriter
    let follower: LedgerFollower

    before(async () => {
      fleet = await ProcessFleet.start('zones', { ...SMALL_NODES, reserveBytes }, (home) => {
        for (const name of ['a1', 'a2', 'b1', 'b2']) {
          disks.set(name, SmallFileSystem.mount(kind, join(home, name), DISK_BYTES))
        }
      })
      client = fleet.client()
      volume = await client.volumes.create(LEDGER_GEOMETRY)
      ledger = new Ledger(random.u32())
      writer = new LedgerWriter(ledger, fleet.registryPath, volume, { clients: 8, pauseMs: 1 })
      await writer.opened()
      await writer.progress(200)
      follower = new LedgerFollower(client, volume, ledger)
    })
    after(async () => {
      for (const filling of fillings.values()) clearInterval(filling)
      await follower?.stop()
      for (const host of fleet?.hosts ?? []) await host.retire()
      for (const disk of disks.values()) disk.unmount()
      await fleet?.stop()
    })

    /** Undefined when it did not answer in time: the machine may be busy. */
    const status = async (name: string): Promise<NodeStatus | undefined> => {
      const address = fleet.addressOf(name)
      return client.context.client.call(address, 'status', {}).then(
        ({ value }) => value,
        () => undefined,
      )
    }

    /** Other files take the room, and what the node itself frees meanwhile. */
    function fillUp(name: string): void {
      const disk = disks.get(name)
      assert(disk !== undefined)
      fillings.set(
        name,
        setInterval(() => disk.fill(leaveBytes), FILL_EVERY_MS),
      )
    }

    const full = (name: string): Promise<true> =>
      until(`node ${name} says that its disk is full`, async () => (await status(name))?.state === 'full')

    function makeRoom(name: string): void {
      clearInterval(fillings.get(name))
      fillings.delete(name)
      disks.get(name)?.removeBallast()
    }

    it('writes go on while the nodes of one zone are full', async () => {
      for (const name of ['a1', 'a2']) fillUp(name)
      await Promise.all(['a1', 'a2'].map(full))
      await writer.progress(400)
      for (const name of ['b1', 'c1']) assert.notEqual((await status(name))?.state, 'full')
    })

    it('a node whose disk is full starts again, and still says so', async () => {
      const host = fleet.host('a1')
      await host.kill()
      await host.start()
      await full('a1')
      await writer.progress(100)
    })

    it('writes wait while four nodes are full', async () => {
      // Writes stop with the first of them: the other may have room left in files that it has made already.
      for (const name of ['b1', 'b2']) fillUp(name)
      await Promise.any(['b1', 'b2'].map(full))
      let count = -1
      await until('writes stop', async () => {
        const before = count
        count = writer.count
        await pause(QUIET_MS)
        return before === count
      })
      await pause(WAITING_MS)
      assert.equal(writer.count, count, 'writes were acknowledged by two copies')
      assert(writer.runs, `the writer waits, it does not fail: ${writer.complaints}`)
    })

    it('writes go on by themselves when there is room', async () => {
      for (const name of ['b1', 'b2']) makeRoom(name)
      await writer.progress(400)
      for (const name of ['a1', 'a2']) makeRoom(name)
      await until('no node is full', async () => {
        const all = await Promise.all([...disks.keys()].map(status))
        return all.every((said) => said?.state === 'ready')
      })
      await writer.progress(100)
    })

    it('nothing was lost or torn, on any copy', async () => {
      await follower.stop()
      await writer.stop()
      assert.deepEqual(follower.problems, [])
      await checkLedger(client, volume, ledger, random)
      for (const { complaints } of fleet.hosts) assert.equal(complaints, '')
    })
  })
}
