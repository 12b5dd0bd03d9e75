/**
 * A view of a volume that can be written to: what is written stays in a local overlay and is thrown away with it. This
 * is what a reader instance runs on: its engine writes hint bits and replayed pages that nobody else may see.
 */

import { VolumeError } from '../protocol/errors.ts'
import type { BlockNumber, Lsn } from '../protocol/lsn.ts'
import { type Change, checkBlock, checkChanges } from './change.ts'
import type { OverlayStore } from './overlay-store.ts'
import type { VolumeView } from './volume-view.ts'

export class OverlayView {
  readonly #view: VolumeView
  readonly #overlay: OverlayStore

  constructor(view: VolumeView, overlay: OverlayStore) {
    this.#view = view
    this.#overlay = overlay
  }

  get readPoint(): Lsn {
    return this.#view.readPoint
  }

  /** Bytes that were written here and not forgotten. */
  get overlayBytes(): number {
    return this.#overlay.bytes
  }

  /** A block: as written here, else as it was in the volume at the read point, or at one before. The caller owns it. */
  async read(block: BlockNumber, at: Lsn = this.#view.readPoint): Promise<Uint8Array> {
    checkBlock(block)
    const before = this.#overlay.read(block)
    if (before !== undefined) return before
    const bytes = await this.#view.read(block, at)
    // Written while it was read: the overlay is newer.
    return this.#overlay.read(block) ?? bytes
  }

  /**
   * Applies all changes or none.
   * @throws VolumeError `BadRequest`, `DiskFull` when the overlay has no room for them, `Closed`, `LeaseExpired`
   */
  write(changes: readonly Change[]): void {
    const { blockBytes } = this.#view.record
    if (this.#view.state !== 'open')
      throw new VolumeError(this.#view.state === 'closed' ? 'Closed' : 'LeaseExpired', 'the view has ended')
    checkChanges(changes, blockBytes)
    const fresh = changes.filter((change) => !('trim' in change) && this.#overlay.takesRoom(change.block)).length
    if (fresh > this.#overlay.room)
      throw new VolumeError('DiskFull', `the overlay has room for ${this.#overlay.room} more blocks`)
    for (const change of changes) {
      if ('trim' in change) {
        for (let i = 0; i < change.count; i++) this.#overlay.trim((change.trim + i) as BlockNumber)
      } else this.#overlay.write(change.block, change.bytes)
    }
  }

  /**
   * Lets blocks show the volume again, and frees their room: for blocks whose newer version is in the volume by now.
   * @returns how many blocks were let go
   */
  reclaim(isSuperseded: (block: BlockNumber) => boolean): number {
    const superseded = [...this.#overlay.blocks()].filter(isSuperseded)
    for (const block of superseded) this.#overlay.forget(block)
    return superseded.length
  }
}
