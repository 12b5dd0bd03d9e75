/**
 * Copies the engine's log out of the volume, as it is at the durable point, for a reader whose writer does not give it:
 * because it is gone, or has no more of what the reader needs. The log is in the volume like everything else, so every
 * commit that was acknowledged is in it.
 *
 * Each file is copied once, the last one again whenever the volume has changed: what the engine has taken it keeps.
 */
import { chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Account } from '../engine/account.ts'
import { type FileOperations, type Ino, ROOT_INO } from '../filesystem/file-operations.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import type { Fleet } from '../volume/tcp-fleet.ts'
import type { VolumeView } from '../volume/volume-view.ts'
import { DATA_FOLDER } from './instance-folder.ts'
import { attachPast } from './past-files.ts'
import { walFileOf } from './wal-position.ts'

const WAL_FOLDER = 'pg_wal'
const HISTORY = /^[0-9A-F]{8}\.history$/
const AGAIN_MS = 500
const READ_BYTES = 1 << 20

export interface WalCopiesPlace {
  readonly fleet: Fleet
  readonly volume: VolumeId
  /** Where they go, and the engine takes them from. */
  readonly folder: string
  /** Who reads them. */
  readonly account: Account | undefined
  readonly complain: (what: string, error: unknown) => void
}

export class WalCopies {
  readonly #place: WalCopiesPlace
  readonly #complete = new Set<string>()
  #from: string | undefined
  #work: Promise<void> | undefined
  #oldest: string | undefined
  #isInTrouble = false

  constructor(place: WalCopiesPlace) {
    this.#place = place
  }

  /** The oldest file of the log that the volume has; undefined while that is not known. */
  get oldest(): string | undefined {
    return this.#oldest
  }

  /** @param from the first file that is wanted; undefined: none any more */
  want(from: string | undefined): void {
    this.#from = from
    if (from !== undefined) this.#work ??= this.#run()
  }

  async #run(): Promise<void> {
    const { complain } = this.#place
    for (; this.#from !== undefined; await pause(AGAIN_MS)) {
      try {
        await this.#whileWanted()
      } catch (error) {
        // Once, not for as long as it is so.
        if (!this.#isInTrouble) complain('copying the log out of the volume', error)
        this.#isInTrouble = true
      }
    }
    this.#work = undefined
    this.#oldest = undefined
    this.#complete.clear()
    await rm(this.#place.folder, { recursive: true, force: true })
  }

  async #whileWanted(): Promise<void> {
    const { fleet, volume } = this.#place
    const view = await fleet.volumes.view(volume)
    try {
      for (let copied = -1; this.#from !== undefined; await pause(AGAIN_MS)) {
        // Where nothing is written there is nothing new.
        if (view.readPoint !== copied) await this.#copy(view, this.#from)
        this.#isInTrouble = false
        copied = view.readPoint
        await view.follow()
      }
    } finally {
      await view.close()
    }
  }

  async #copy(view: VolumeView, from: string): Promise<void> {
    const system = await attachPast(view)
    const data = system.lookup(ROOT_INO, DATA_FOLDER).ino
    const log = system.lookup(data, WAL_FOLDER).ino
    const entries = system.readdir(log, 0, Number.MAX_SAFE_INTEGER)
    const files = entries.flatMap(({ name }) => walFileOf(name) ?? []).sort()
    const newest = files.at(-1) ?? ''
    await this.#prepareFolder()
    await this.#forget(from)
    for (const { name, ino } of entries) {
      const file = walFileOf(name)
      const isWanted = file === undefined ? HISTORY.test(name) : file >= from
      if (!isWanted || this.#complete.has(name)) continue
      await this.#copyFile(system, name, ino)
      // The log goes on in the last one, and nowhere else.
      if (file === undefined || file < newest) this.#complete.add(name)
    }
    this.#oldest = files[0]
  }

  /** Of the engine: it takes files away. */
  async #prepareFolder(): Promise<void> {
    const { folder, account } = this.#place
    await mkdir(folder, { recursive: true, mode: 0o700 })
    if (account !== undefined) await chown(folder, account.uid, account.gid)
  }

  async #copyFile(files: FileOperations, name: string, ino: Ino): Promise<void> {
    const { folder, account } = this.#place
    const { size } = files.getattr(ino)
    const pieces: Uint8Array[] = []
    for (let at = 0; at < size; at += READ_BYTES) {
      pieces.push(await files.read(ino, at, Math.min(READ_BYTES, size - at)))
    }
    const path = join(folder, name)
    const temporary = `${path}.new`
    await writeFile(temporary, Buffer.concat(pieces), { mode: 0o600 })
    if (account !== undefined) await chown(temporary, account.uid, account.gid)
    // Whoever reads it finds the old one or the new one, whole.
    await rename(temporary, path)
  }

  /** What has been replayed. */
  async #forget(from: string): Promise<void> {
    for (const name of await readdir(this.#place.folder)) {
      const file = walFileOf(name)
      if (file === undefined || file >= from) continue
      this.#complete.delete(name)
      await rm(join(this.#place.folder, name), { force: true })
    }
  }
}
