/** What a file system can stand on, seen as a `BlockDevice`: the ends of a volume, and a local file. */
import { VolumeError } from '../protocol/errors.ts'
import { type BlockNumber, type Lsn, lsn } from '../protocol/lsn.ts'
import type { Change } from '../volume/change.ts'
import { checkChanges } from '../volume/change.ts'
import type { OverlayStore } from '../volume/overlay-store.ts'
import type { OverlayView } from '../volume/overlay-view.ts'
import type { VolumeView } from '../volume/volume-view.ts'
import type { VolumeWriter } from '../volume/writer.ts'
import type { BlockDevice, Eventual } from './block-device.ts'

/** The head of a volume. Waits, and with it the file system, while there is no quorum or no room in the log. */
export function writerDevice(writer: VolumeWriter): BlockDevice {
  return {
    blockBytes: writer.volume.blockBytes,
    readOnly: false,
    read: (block): Eventual<Uint8Array> => writer.known(block) ?? writer.read(block),
    prepare: (changes) => writer.prepare(changes),
    append: (changes) => writer.append(changes),
    sync: () => writer.sync(),
  }
}

/** A volume at the LSN that the view is at now. It stays there, also when the view follows the head. */
export function viewDevice(view: VolumeView): BlockDevice {
  const at = view.readPoint
  return {
    blockBytes: view.record.blockBytes,
    readOnly: true,
    read: (block) => view.read(block, at),
    prepare: () => undefined,
    append: () => {
      throw new VolumeError('BadRequest', 'a view of a volume is read-only')
    },
    sync: () => Promise.resolve(at),
  }
}

/** As `viewDevice`, with changes that stay here: nothing that was appended outlives it. */
export function overlayDevice(overlay: OverlayView, blockBytes: number): BlockDevice {
  const at = overlay.readPoint
  return {
    blockBytes,
    readOnly: false,
    read: (block) => overlay.read(block, at),
    prepare: () => undefined,
    append: (changes) => {
      overlay.write(changes)
      return at
    },
    sync: () => Promise.resolve(at),
  }
}

/** Blocks of a scratch file, zeros at first and gone with it. */
export class ScratchDevice implements BlockDevice {
  readonly blockBytes: number
  readonly readOnly = false
  readonly #store: OverlayStore
  #appended = 0

  constructor(store: OverlayStore, blockBytes: number) {
    this.#store = store
    this.blockBytes = blockBytes
  }

  read(block: BlockNumber): Uint8Array {
    return this.#store.read(block) ?? new Uint8Array(this.blockBytes)
  }

  prepare(): undefined {
    return undefined
  }

  append(changes: readonly Change[]): Lsn {
    checkChanges(changes, this.blockBytes)
    const writes = changes.flatMap((change) => ('trim' in change ? [] : [change]))
    const fresh = writes.filter(({ block }) => this.#store.takesRoom(block))
    if (fresh.length > this.#store.room)
      throw new VolumeError('DiskFull', `there is room for ${this.#store.room} more blocks`)
    const known = writes.filter(({ block }) => !this.#store.takesRoom(block))
    this.#writeFresh(fresh)
    for (const { block, bytes } of known) this.#store.write(block, bytes)
    // Below a scratch file there is nothing: what is forgotten is zeros, and needs no note of it.
    for (const change of changes) {
      if ('trim' in change) for (let i = 0; i < change.count; i++) this.#store.forget((change.trim + i) as BlockNumber)
    }
    return lsn(++this.#appended)
  }

  /** First of all: the local disk may be full before the scratch file is as large as it may be, and then nothing has changed. */
  #writeFresh(writes: readonly Extract<Change, { readonly block: BlockNumber }>[]): void {
    let written = 0
    try {
      for (; written < writes.length; written++) this.#store.write(writes[written]!.block, writes[written]!.bytes)
    } catch (error) {
      for (const { block } of writes.slice(0, written)) this.#store.forget(block)
      throw error
    }
  }

  sync(): Promise<Lsn> {
    return Promise.resolve(lsn(this.#appended))
  }
}
