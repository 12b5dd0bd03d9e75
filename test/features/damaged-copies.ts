/** Damage to the blocks of single copies, and what a copy says when it is asked by itself. */
import assert from 'node:assert/strict'
import { groupIndex, type Lsn } from '../../src/protocol/lsn.ts'
import { scrub } from '../../src/storage/layers/scrub.ts'
import type { Segment } from '../../src/storage/segment.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import type { LocalFleet, LocalNode } from '../local-fleet.ts'
import { fullNodes, openNew, put } from './blocks.ts'

export const BLOCKS = 30
/** No scrub comes by itself within a test. */
export const NO_SCRUB = { scrubEveryMs: 3_600_000 }

export interface Copies {
  readonly writer: VolumeWriter
  readonly full: readonly [LocalNode, LocalNode, LocalNode]
}

export const copiesOf = (fleet: LocalFleet, writer: VolumeWriter): Copies['full'] => {
  const [a, b, c] = fullNodes(writer).map((name) => fleet.node(name))
  assert(a !== undefined && b !== undefined && c !== undefined)
  return [a, b, c]
}

/** A volume with thirty blocks of two versions each: block n holds n + 1, before that it held 100 + n. */
export async function withBlocks(fleet: LocalFleet): Promise<Copies> {
  const writer = await openNew(fleet)
  for (const first of [100, 1]) {
    for (let block = 0; block < BLOCKS; block++) await writer.write([put(block, first + block)])
    await writer.sync()
    await fleet.flushed()
  }
  return { writer, full: copiesOf(fleet, writer) }
}

export const segmentOn = (node: LocalNode, writer: VolumeWriter): Segment =>
  node.node.table.need(writer.volume.volume, groupIndex(0))

export const isWhole = ({ writer, full }: Copies): boolean => full.every((node) => segmentOn(node, writer).isWhole)

/** Turns over a byte of every version of a block that is in layers. */
export const spoilBlock = (node: LocalNode, writer: VolumeWriter, block: number): void =>
  spoil(node, segmentOn(node, writer), block)

/** As `spoilBlock`, in any segment of the node. */
export function spoil(node: LocalNode, { layers, folder }: Segment, block: number): void {
  let spoiled = 0
  for (const ref of layers.refs) {
    const { index } = layers.reader(ref)
    const end = Math.min(index.lowerBound(block + 1), index.lowerBound(ref.toBlock))
    for (let g = index.lowerBound(Math.max(block, ref.fromBlock)); g < end; g++, spoiled++)
      node.disk.flip(`${folder}/${ref.file}`, (index.offset[g] as number) + 20)
  }
  assert.ok(spoiled > 0, `block ${block} was in no layer of ${node.name}`)
}

/** How much in the layers of a segment is damaged, whether or not anybody knows. */
export function damagesIn({ layers }: Segment): number {
  const steps = scrub(layers)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value.damages.length
  }
}

/** Reads a block on one copy, as a client would: the node learns of damage. Answers the code of an error. */
export function readOn(node: LocalNode, writer: VolumeWriter, block: number, at: Lsn = writer.vdl): number | string {
  try {
    return segmentOn(node, writer).read(block, at, writer.last).bytes?.[0] ?? 0
  } catch (error) {
    const failure = error as Parameters<LocalNode['node']['damaged']>[1]
    if (failure.code === 'Corrupt') node.node.damaged(segmentOn(node, writer), failure)
    return failure.code
  }
}
