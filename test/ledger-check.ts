/** Holds a volume against its ledger: what was acknowledged is there, whole, on every copy, now and in the past. */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type { Random } from '../sim/random.ts'
import { VolumeError } from '../src/protocol/errors.ts'
import type { GroupConfig, Member } from '../src/protocol/group.ts'
import { blockNumber, type Lsn, type VolumeId } from '../src/protocol/lsn.ts'
import { type BlockDigest, readDigests } from '../src/protocol/message.ts'
import { readGroup } from '../src/volume/registry-cells.ts'
import type { Fleet } from '../src/volume/tcp-fleet.ts'
import type { Ledger } from './ledger.ts'
import { LEDGER_BLOCKS, LEDGER_GEOMETRY, type LedgerImage, writtenBy } from './ledger-image.ts'
import { until } from './waiting.ts'

const SAMPLES = 8
const { blocksPerGroup } = LEDGER_GEOMETRY

/** Whoever reads blocks: a view at an LSN, or a writer. */
interface Reader {
  read(block: ReturnType<typeof blockNumber>): Promise<Uint8Array>
}

export async function checkBlocks(reader: Reader, image: LedgerImage, where: string): Promise<void> {
  const numbers = Array.from({ length: LEDGER_BLOCKS }, (_, block) => block)
  await Promise.all(
    numbers.map(async (block) => {
      const bytes = await reader.read(blockNumber(block))
      if (Buffer.compare(bytes, image.block(block)) === 0) return
      const { number, epoch } = writtenBy(bytes)
      const { number: expected } = writtenBy(image.block(block))
      assert.fail(`${where}: block ${block} was written by ${number} of epoch ${epoch}, should be by ${expected}`)
    }),
  )
}

/** What one copy holds of a group at a read point; waits until that copy is well enough to say. */
export async function digestOf(
  fleet: Fleet,
  volume: VolumeId,
  config: GroupConfig,
  member: Member,
  readPoint: Lsn,
): Promise<BlockDigest[]> {
  const argument = { volume, group: config.group, readPoint, block: 0, count: blocksPerGroup }
  let last: unknown
  try {
    return await until(`node ${member.node} says what it holds of group ${config.group}`, async () => {
      try {
        return readDigests((await fleet.context.client.call(member.address, 'digest', argument)).attachment)
      } catch (error) {
        if (!(error instanceof VolumeError) || !error.retryable) throw error
        last = error
        return undefined
      }
    })
  } catch (error) {
    throw new Error(`${(error as Error).message}; it last said: ${last}`)
  }
}

/** Every full copy of every group holds at a read point what the image says. */
export async function checkCopies(fleet: Fleet, volume: VolumeId, image: LedgerImage, readPoint: Lsn): Promise<void> {
  const record = await fleet.volumes.get(volume)
  for (const group of record.groups.keys()) {
    const { record: config } = await readGroup(fleet.context.registry, record.placement, group)
    const expected = new Map<number, number>()
    for (let block = 0; block < blocksPerGroup; block++) {
      const bytes = image.block(group * blocksPerGroup + block)
      if (writtenBy(bytes).number > 0) expected.set(block, crc32(bytes))
    }
    const versions = new Map<number, Lsn>()
    for (const member of config.members.filter(({ kind }) => kind === 'full')) {
      const digests = await digestOf(fleet, volume, config, member, readPoint)
      const found = new Map(digests.map(({ block, crc }) => [block, crc]))
      assert.deepEqual(found, expected, `group ${group} on node ${member.node}`)
      for (const { block, lsn } of digests) {
        const version = versions.get(block) ?? lsn
        assert.equal(lsn, version, `version of block ${block} of group ${group} on node ${member.node}`)
        versions.set(block, version)
      }
    }
  }
}

export interface LedgerCheck {
  /** The last mini-transaction that the volume holds. */
  readonly number: number
  readonly readPoint: Lsn
}

/**
 * Opens the volume, which fences its writer, and checks everything that the ledger says.
 * @param oldest no mini-transaction before this one is asked for in the past
 */
export async function checkLedger(
  fleet: Fleet,
  volume: VolumeId,
  ledger: Ledger,
  random: Random,
  oldest = 1,
): Promise<LedgerCheck> {
  const writer = await fleet.volumes.open(volume, { cacheBytes: 0 })
  const { number } = writtenBy(await writer.read(blockNumber(0)))
  assert(number >= ledger.highest, `the volume ends with ${number}, but ${ledger.highest} was acknowledged`)
  const image = ledger.image()
  const past = ledger.acknowledged.filter((each) => each.number >= oldest)
  const samples = new Set(Array.from({ length: past.length > 0 ? SAMPLES : 0 }, () => random.pick(past)))
  for (const { number: at, lsn } of [...samples].sort((a, b) => a.number - b.number)) {
    ledger.advance(image, at)
    // Any LSN from its CPL to the record before the next one shows the same.
    const view = await fleet.volumes.view(volume, lsn)
    await checkBlocks(view, image, `at ${lsn}, after mini-transaction ${at}`)
    await view.close()
  }
  ledger.advance(image, number)
  await checkBlocks(writer, image, 'at the head')
  const view = await fleet.volumes.view(volume)
  assert(view.readPoint >= writer.vdl, `a view sees ${view.readPoint} of ${writer.vdl}`)
  await checkBlocks(view, image, 'a view of the head')
  await checkCopies(fleet, volume, image, view.readPoint)
  await view.close()
  writer.close()
  assert.deepEqual(ledger.problems, [])
  return { number, readPoint: view.readPoint }
}
