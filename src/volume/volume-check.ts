/**
 * Compares the full copies of a volume, block by block, by version and checksum: the proof that all hold the same bytes.
 * Every node reads every block from its own layers, verifying all checksums on the way.
 */
import { VolumeError } from '../protocol/errors.ts'
import type { GroupConfig, Member } from '../protocol/group.ts'
import { type Lsn, minLsn, type VolumeId } from '../protocol/lsn.ts'
import { type BlockDigest, readDigests } from '../protocol/message.ts'
import { inheritedGroups, lineage } from './lineage.ts'
import { readGroup, readVolume } from './registry-cells.ts'
import type { VolumeContext } from './volume-context.ts'
import { VolumeView } from './volume-view.ts'

export interface Difference {
  /** Global block number. */
  readonly block: number
  /** What each full member holds: its version and checksum, or undefined for zeros. */
  readonly copies: readonly { readonly node: string; readonly digest: BlockDigest | undefined }[]
}

export interface CheckReport {
  readonly readPoint: Lsn
  /** Blocks that are not zeros, counted once. */
  readonly blocks: number
  readonly copies: number
  readonly differences: readonly Difference[]
  /** Full members that could not be asked, or were not complete: they were not compared. */
  readonly missing: readonly { readonly node: string; readonly group: number; readonly error: VolumeError }[]
}

const BLOCKS_PER_CALL = 1024
/** A node that is proving itself complete gets this long. */
const TRIES_MAX = 50
const TRY_PAUSE_MS = 50
/** Reading a thousand blocks from a cold disk. */
const CALL_MS_MAX = 10_000

async function digests(
  context: VolumeContext,
  volume: VolumeId,
  config: GroupConfig,
  member: Member,
  at: Lsn,
): Promise<Map<number, BlockDigest>> {
  const all = new Map<number, BlockDigest>()
  let block: number | null = 0
  for (let tries = 1; block !== null; ) {
    const argument = { volume, group: config.group, readPoint: at, block, count: BLOCKS_PER_CALL }
    try {
      const answer: { value: { next: number | null }; attachment: Uint8Array } = await context.client.call(
        member.address,
        'digest',
        argument,
        CALL_MS_MAX,
      )
      for (const digest of readDigests(answer.attachment)) all.set(digest.block, digest)
      block = answer.value.next
      tries = 1
    } catch (error) {
      if (!(error instanceof VolumeError) || !error.retryable || tries++ >= TRIES_MAX) throw error
      await context.pause(TRY_PAUSE_MS)
    }
  }
  return all
}

/**
 * @param at an LSN that is kept; the durable head unless it is given
 * @throws VolumeError `NotFound`, `ReadPointTooOld`, `ReadPointAhead`
 */
export async function checkVolume(context: VolumeContext, id: VolumeId, at?: Lsn): Promise<CheckReport> {
  // A lease: nothing that is compared is collected in between.
  const view = await VolumeView.open(context, id, at)
  try {
    return await compare(context, view)
  } finally {
    await view.close()
  }
}

async function compare(context: VolumeContext, view: VolumeView): Promise<CheckReport> {
  const { record } = await readVolume(context.registry, view.record.id)
  const ancestors = await lineage(context.registry, record)
  const own = [...record.groups].filter(([, stage]) => stage === 'active').map(([group]) => group)
  const places = own.map((group) => ({ volume: record.id, group, at: view.readPoint }))
  for (const group of inheritedGroups(ancestors)) {
    const ancestor = own.includes(group)
      ? undefined
      : ancestors.find((each) => each.record.groups.get(group) === 'active')
    if (ancestor !== undefined)
      places.push({ volume: ancestor.record.id, group, at: minLsn(view.readPoint, ancestor.lsn) })
  }
  const differences: Difference[] = []
  const missing: { node: string; group: number; error: VolumeError }[] = []
  let blocks = 0
  let copies = 0
  for (const { volume, group, at } of places) {
    const { record: config } = await readGroup(context.registry, record.placement, group)
    const held: { node: string; digests: Map<number, BlockDigest> }[] = []
    for (const member of config.members.filter(({ kind }) => kind === 'full')) {
      try {
        held.push({ node: member.node, digests: await digests(context, volume, config, member, at) })
      } catch (error) {
        if (!(error instanceof VolumeError)) throw error
        missing.push({ node: member.node, group, error })
      }
    }
    copies += held.length
    const numbers = new Set(held.flatMap((copy) => [...copy.digests.keys()]))
    blocks += numbers.size
    for (const block of [...numbers].sort((a, b) => a - b)) {
      const found = held.map((copy) => ({ node: copy.node, digest: copy.digests.get(block) }))
      const [first] = found
      const same = found.every(({ digest }) => digest?.crc === first?.digest?.crc && digest?.lsn === first?.digest?.lsn)
      if (!same) differences.push({ block: group * record.blocksPerGroup + block, copies: found })
    }
  }
  return { readPoint: view.readPoint, blocks, copies, differences, missing }
}
