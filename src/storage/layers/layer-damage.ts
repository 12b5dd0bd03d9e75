/** What is wrong with the layers of a segment, and which blocks that concerns. */
import { VolumeError } from '../../protocol/errors.ts'
import type { BlockRange } from './block-ranges.ts'
import { BLOCK_END } from './layer-file.ts'
import type { LayerRef } from './layer-ref.ts'

/** Bytes of a layer are not what was written, or versions of a block do not fit each other. Its code is `Corrupt`. */
export class LayerDamage extends VolumeError {
  /** The layer, when only one can be meant. */
  readonly layer: number | undefined
  /** Undefined: index or file, and with it every block that the layer stands for. */
  readonly block: number | undefined

  constructor(place: { readonly layer?: number; readonly block?: number }, message: string, options?: ErrorOptions) {
    super('Corrupt', message, options)
    this.layer = place.layer
    this.block = place.block
  }
}

/** The error as damage of a block, when it is one of wrong bytes that does not say where they are. */
export const damageOf = (block: number, error: unknown): unknown =>
  error instanceof VolumeError && error.code === 'Corrupt' && !(error instanceof LayerDamage)
    ? new LayerDamage({ block }, `block ${block}: ${error.message}`, { cause: error })
    : error

/** The blocks that can be damaged by what an error tells. Of a layer only those count that are visible in it. */
export function damagedBlocks(refs: readonly LayerRef[], error: unknown): BlockRange[] {
  if (!(error instanceof LayerDamage)) return [{ from: 0, to: BLOCK_END }]
  const { layer, block } = error
  if (layer === undefined && block !== undefined) return [{ from: block, to: block + 1 }]
  const visible = refs.filter(({ id }) => layer === undefined || id === layer)
  if (block === undefined) return visible.map(({ fromBlock, toBlock }) => ({ from: fromBlock, to: toBlock }))
  const isVisible = visible.some(({ fromBlock, toBlock }) => fromBlock <= block && block < toBlock)
  return isVisible ? [{ from: block, to: block + 1 }] : []
}
