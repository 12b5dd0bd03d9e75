/** Blocks of the feature tests: each is filled with one byte, so that a torn or mixed one is noticed. */
import assert from 'node:assert/strict'
import { VolumeError } from '../../src/protocol/errors.ts'
import { type BlockNumber, blockNumber, groupIndex, type Lsn } from '../../src/protocol/lsn.ts'
import type { Change } from '../../src/volume/change.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { type LocalClient, type LocalFleet, SMALL } from '../local-fleet.ts'

export const filled = (value: number): Uint8Array => new Uint8Array(SMALL.blockBytes).fill(value)

export const put = (block: number, value: number): Change => ({ block: blockNumber(block), bytes: filled(value) })

export const trim = (block: number, count: number): Change => ({ trim: blockNumber(block), count })

/** The writer of a new volume. */
export async function openNew(fleet: LocalFleet, { volumes }: LocalClient = fleet.client()): Promise<VolumeWriter> {
  return volumes.open(await volumes.create(SMALL))
}

/** The nodes that hold blocks of a volume's first group, by zone. */
export function fullNodes(writer: VolumeWriter): string[] {
  const group = writer.replication.groups.get(groupIndex(0))
  return (group?.config.members ?? []).filter(({ kind }) => kind === 'full').map(({ address }) => address)
}

/** Writes and waits until it is durable. */
export async function writeDurably(writer: VolumeWriter, ...changes: readonly Change[]): Promise<Lsn> {
  const lsn = await writer.write(changes)
  await writer.sync()
  return lsn
}

/** What a block is filled with. */
export async function valueIn(
  source: { read(block: BlockNumber): Promise<Uint8Array> },
  block: number,
): Promise<number> {
  const bytes = await source.read(blockNumber(block))
  const [value = 0] = bytes
  assert.deepEqual(bytes, filled(value), `block ${block} holds more than one value`)
  return value
}

export async function valuesIn(
  source: { read(block: BlockNumber): Promise<Uint8Array> },
  blocks: readonly number[],
): Promise<number[]> {
  return Promise.all(blocks.map((block) => valueIn(source, block)))
}

export const hasCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof VolumeError && error.code === code
