/**
 * Damage on the disk of one node: it never serves a wrong byte, and either heals from its peers or refuses to start
 * with one clear line, when what it promised is lost.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { blockNumber, nodeId, type VolumeId } from '../../src/protocol/lsn.ts'
import type { Fleet } from '../../src/volume/tcp-fleet.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { CopyReader } from '../copy-reader.ts'
import { cutFile, deleteFile, flipByte, type NodeFileKind, nodeFiles, tearLog } from '../disk-damage.ts'
import { Ledger, LedgerWriter } from '../ledger.ts'
import { checkCopies, checkLedger } from '../ledger-check.ts'
import { LEDGER_GEOMETRY, type LedgerImage, writtenBy } from '../ledger-image.ts'
import { type HostPlace, ProcessFleet } from '../process-fleet.ts'
import { printedSeed, until } from '../waiting.ts'

/** A second on a quiet machine. */
const WRITE_MS_MAX = 120_000

/** Where in the file the byte lies matters most for log and layers. */
const ROUNDS = { log: 3, layer: 3, manifest: 1, volume: 1, identity: 1 } as const satisfies Record<NodeFileKind, number>

describe('damage on the disk of one node', () => {
  const random = new Random(printedSeed('disk damage'))
  let fleet: ProcessFleet
  let client: Fleet
  let volume: VolumeId
  let ledger: Ledger
  let image: LedgerImage
  /** Holds the volume open, as a database would that does nothing just now. */
  let holder: VolumeWriter

  before(async () => {
    fleet = await ProcessFleet.start('nodes')
    client = fleet.client()
    volume = await client.volumes.create(LEDGER_GEOMETRY)
    ledger = new Ledger(random.u32())
    await write(1500)
  })
  after(() => fleet?.stop())

  /** Adds to the volume, then holds it open. */
  async function write(count: number, meanwhile: () => Promise<void> = async () => {}): Promise<void> {
    holder?.close()
    const writer = new LedgerWriter(ledger, fleet.registryPath, volume, { clients: 8, pauseMs: 1 })
    try {
      await writer.opened()
      await writer.progress(count, WRITE_MS_MAX)
      await meanwhile()
    } catch (error) {
      await writer.kill()
      throw error
    }
    await writer.stop()
    holder = await client.volumes.open(volume)
    image = ledger.image()
    ledger.advance(image, writtenBy(await holder.read(blockNumber(0))).number)
  }

  /** The node must not say anything that is wrong from its first moment on, and must be as good as the others soon. */
  async function startAndHeal(host: HostPlace, damage: string): Promise<void> {
    await host.start()
    const reader = new CopyReader(client, volume, image, host.names[0] as string, holder.vdl)
    try {
      await checkCopies(client, volume, image, holder.vdl)
      await until('no segment is in doubt of itself', async () => (await reader.suspects()) === 0)
      const rounds = reader.rounds + 2
      await until('it was asked for every block', () => reader.rounds >= rounds)
    } catch (error) {
      throw new Error(`after damage of ${damage}: ${(error as Error).message}`, { cause: error })
    } finally {
      await reader.stop()
    }
    assert.deepEqual(reader.problems, [], `after damage of ${damage}`)
    assert(reader.served > 0 || nodeFiles(folderOf(host), 'layer').length === 0)
  }

  async function refusesToStart(host: HostPlace, line: RegExp): Promise<void> {
    const before = host.complaints.length
    await assert.rejects(host.start())
    const said = await until('it says why', () => {
      const text = host.complaints.slice(before)
      return text.endsWith('\n') && text
    })
    assert.match(said, line)
    assert.equal(said.split('\n').length, 2, `one line, not ${said}`)
  }

  /** What cannot be healed is replaced: the same name with an empty disk. */
  async function replace(name: string): Promise<void> {
    const host = fleet.host(name)
    host.wipe(name)
    await host.start()
    await host.register(fleet.registry)
    await client.membership.replaceNode(nodeId(name), 4, 60_000)
    await checkCopies(client, volume, image, holder.vdl)
  }

  /** A node that has files of some kind: not all have blocks. */
  const stopped = async (kind: NodeFileKind = 'log'): Promise<HostPlace> => {
    const having = fleet.hosts.filter((host) => nodeFiles(folderOf(host), kind).length > 0)
    const host = random.pick(having)
    if (random.chance(0.5)) await host.stop()
    else await host.kill()
    return host
  }
  const folderOf = (host: HostPlace): string => host.folderOf(host.names[0] as string)

  for (const kind of ['log', 'layer', 'manifest', 'volume', 'identity'] as const satisfies NodeFileKind[]) {
    it(`heals after a byte of a ${kind} file was turned over`, async () => {
      for (let round = 0; round < ROUNDS[kind]; round++) {
        const host = await stopped(kind)
        await startAndHeal(host, flipByte(random.pick(nodeFiles(folderOf(host), kind)), random))
      }
    })
  }

  it('heals after many bytes were turned over, in files of all kinds', async () => {
    const host = await stopped('layer')
    const damage: string[] = []
    for (const kind of ['log', 'layer', 'layer', 'layer', 'manifest'] as const) {
      damage.push(flipByte(random.pick(nodeFiles(folderOf(host), kind)), random))
    }
    await startAndHeal(host, damage.join(', '))
  })

  it('heals after a layer was deleted, and after one was cut', async () => {
    for (const break_ of [deleteFile, cutFile]) {
      const host = await stopped('layer')
      await startAndHeal(host, break_(random.pick(nodeFiles(folderOf(host), 'layer'))))
    }
  })

  it('heals after a segment lost both copies of its manifest', async () => {
    const host = await stopped()
    const [a = '', b = ''] = nodeFiles(folderOf(host), 'manifest')
    await startAndHeal(host, `${flipByte(a, random)} and ${flipByte(b, random)}`)
  })

  for (const pages of [0.5, 1, 3]) {
    it(`heals after the last ${pages === 0.5 ? 'half page' : `${pages} pages`} of its log became zeros`, async () => {
      let host: HostPlace | undefined
      // Under load, as with a power cut.
      await write(50, async () => {
        host = random.pick(fleet.hosts)
        await host.kill()
      })
      assert(host !== undefined)
      await startAndHeal(host, tearLog(folderOf(host), pages))
    })
  }

  for (const [kind, line] of [
    ['identity', /^node [abc][12]: this node does not know who it is: replace it\n$/],
    ['volume', /^node [abc][12]: what this node promised about vol-[0-9a-f]{8} is lost: replace the node\n$/],
  ] as const) {
    it(`refuses to start, with one line, when both copies of its ${kind} are damaged`, async () => {
      const host = await stopped()
      const files = nodeFiles(folderOf(host), kind)
      assert.equal(files.length, 2)
      for (const path of files) flipByte(path, random)
      await refusesToStart(host, line)
      await replace(host.names[0] as string)
    })
  }

  it('refuses to start, with one line, when a file of its log was cut', async () => {
    const host = await stopped()
    cutFile(random.pick(nodeFiles(folderOf(host), 'log')))
    await refusesToStart(host, /^node [abc][12]: log\/\S+ has \d+ bytes, not the \d+ of a log file\n$/)
    await replace(host.names[0] as string)
  })

  it('has lost nothing in the end', async () => {
    await write(200)
    holder.close()
    await checkLedger(client, volume, ledger, random)
    fleet.checkThatNoneStopped()
  })
})
