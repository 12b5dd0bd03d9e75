/**
 * The files of a reader: the volume as it was at its durable point when the reader came, and what the reader's engine
 * writes since, in a scratch file of the local disk. Opened in constant time, whatever the size of the volume. Nothing of
 * it ever reaches the volume, and nothing that the volume takes up later is seen here: the engine hears of that from the
 * writer.
 *
 * What the engine replays it also writes, so the scratch file fills up: then the reader is to begin anew, at the durable
 * point of that time. That costs it its sessions and some seconds, once in as many gigabytes of changed pages as it may
 * have.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { BlockDevice } from '../filesystem/block-device.ts'
import { FileSystem } from '../filesystem/file-system.ts'
import { overlayDevice } from '../filesystem/volume-devices.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type Lsn, lsn } from '../protocol/lsn.ts'
import { OverlayStore } from '../volume/overlay-store.ts'
import { OverlayView } from '../volume/overlay-view.ts'
import type { VolumeView } from '../volume/volume-view.ts'
import { holdsDatabase, pastClock } from './past-files.ts'
import { RelationFiles } from './relation-files.ts'
import type { ServedFiles, ServedVolume } from './served-files.ts'
import { FILES_LEFT_FORMAT, type FilesLeft, type ScratchPlace } from './volume-files.ts'

/** Until the volume has a database, or its nodes answer. */
const OPEN_PAUSE_MS = 250
/** A read that no copy answers is tried again. */
const READ_PAUSE_MS = 100
/** Of the scratch file: the rest is for what is written until it begins anew. */
const FULL_SHARE = 0.8

/** Where the server before us had opened the view. */
function readPointOf(left: FilesLeft | undefined): Lsn | undefined {
  if (left === undefined) return undefined
  if (left.readPoint === undefined) throw new Error('what the last server left is not of a reader')
  return lsn(left.readPoint)
}

/**
 * Opens a view of the volume; tries again while no database is in it, and for as long as its nodes do not answer.
 * @throws VolumeError `NotFound`, `ReadPointTooOld`, `Closed` when it is not wanted any more
 */
async function openView({ fleet, volume, left, isWanted }: ServedVolume): Promise<VolumeView> {
  const at = readPointOf(left)
  for (;;) {
    try {
      const view = await fleet.volumes.view(volume, at)
      if (await holdsDatabase(view)) return view
      await view.close()
    } catch (error) {
      if (!(error instanceof VolumeError) || !error.retryable) throw error
    }
    if (!isWanted()) throw new VolumeError('Closed', 'the opening was given up')
    await pause(OPEN_PAUSE_MS)
  }
}

/** An engine is not told that its files cannot be read just now: it would end. It waits, as a writer's does. */
class PatientReads {
  /** That are being tried again. */
  waiting = 0

  async again(read: () => Promise<Uint8Array>, isOpen: () => boolean): Promise<Uint8Array> {
    this.waiting++
    try {
      for (;;) {
        await pause(READ_PAUSE_MS)
        try {
          return await read()
        } catch (error) {
          if (!(error instanceof VolumeError) || !error.retryable || !isOpen()) throw error
        }
      }
    } finally {
      this.waiting--
    }
  }
}

class ReaderFiles implements ServedFiles {
  readonly files: RelationFiles
  readonly #view: VolumeView
  readonly #system: FileSystem
  readonly #store: OverlayStore
  readonly #bytesMax: number
  readonly #reads: PatientReads

  constructor(view: VolumeView, system: FileSystem, store: OverlayStore, bytesMax: number, reads: PatientReads) {
    this.files = new RelationFiles(system)
    this.#reads = reads
    this.#view = view
    this.#system = system
    this.#store = store
    this.#bytesMax = bytesMax
  }

  /** Nothing of a reader has to become durable, but what nobody can read now waits as well. */
  get durability() {
    return { unackedBytes: this.#reads.waiting, vdl: this.#view.readPoint }
  }

  get figures() {
    const { blockBytes, blocks, blocksFree } = this.files.statfs()
    const { record, readPoint } = this.#view
    return { epoch: record.epoch, vdl: readPoint, bytesUsed: (blocks - blocksFree) * blockBytes }
  }

  get overlayBytes(): number {
    return this.#store.bytes
  }

  get rebuild(): string | null {
    if (this.#view.state !== 'open') return 'the storage could not be told for a minute that the reader is still there'
    if (this.#store.bytes > FULL_SHARE * this.#bytesMax) return 'what it may write on the local disk is nearly used up'
    return null
  }

  async sync(): Promise<void> {}

  close(): Promise<void> {
    return this.#view.close()
  }

  /** The lease stays for the next one, which takes one of its own. */
  leave(): FilesLeft {
    return {
      format: FILES_LEFT_FORMAT,
      openOrphans: this.#system.openOrphans,
      scratch: this.#store.save(),
      readPoint: this.#view.readPoint,
    }
  }
}

async function attach(view: VolumeView, scratch: ScratchPlace, left: FilesLeft | undefined): Promise<ReaderFiles> {
  const { blockBytes } = view.record
  const store = new OverlayStore(scratch.file, blockBytes, scratch.bytesMax)
  if (left !== undefined) store.load(left.scratch)
  const reads = new PatientReads()
  const overlay = new OverlayView(view, store)
  const at = view.readPoint
  const device: BlockDevice = {
    ...overlayDevice(overlay, blockBytes),
    read: (block) =>
      overlay.read(block, at).catch((error: unknown) => {
        if (!(error instanceof VolumeError) || !error.retryable) throw error
        return reads.again(
          () => overlay.read(block, at),
          () => view.state === 'open',
        )
      }),
  }
  const system = await FileSystem.attach(device, { now: pastClock, stillOpen: left?.openOrphans ?? [] })
  return new ReaderFiles(view, system, store, scratch.bytesMax, reads)
}

/** @throws VolumeError as `openView` does; FsError when the files cannot be read */
export async function openReader(served: ServedVolume): Promise<ServedFiles> {
  const view = await openView(served)
  try {
    return await attach(view, served.scratch, served.left)
  } catch (error) {
    await view.close()
    throw error
  }
}
