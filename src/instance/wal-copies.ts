/**
 * Copies the engine's log out of the volume, as it is at the durable point, for a reader whose writer does not give it:
 * because it is gone, or has no more of what the reader needs. The log is in the volume like everything else, so every
 * commit that was acknowledged is in it.
 */
import { chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Account } from '../engine/account.ts'
import { type DirectoryEntry, type FileOperations, type Ino, ROOT_INO } from '../filesystem/file-operations.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import type { Fleet } from '../volume/tcp-fleet.ts'
import type { VolumeView } from '../volume/volume-view.ts'
import { DATA_FOLDER } from './instance-folder.ts'
import { attachPast } from './past-files.ts'
import { parseWalFile } from './wal-position.ts'

const WAL_FOLDER = 'pg_wal'
const HISTORY = /^[0-9A-F]{8}\.history$/
const AGAIN_MS = 500
const READ_BYTES = 1 << 20

export interface WalCopiesPlace {
  readonly fleet: Fleet
  readonly volume: VolumeId
  /** Where they go. */
  readonly folder: string
  /** Who reads them. */
  readonly account: Account | undefined
  readonly complain: (what: string, error: unknown) => void
}

export class WalCopies {
  readonly #place: WalCopiesPlace
  readonly #complete = new Set<string>()
  #from: number | undefined
  #work: Promise<void> | undefined
  #oldest: number | undefined

  constructor(place: WalCopiesPlace) {
    this.#place = place
  }

  /** The number of the oldest file of the log that the volume has; undefined while that is not known. */
  get oldest(): number | undefined {
    return this.#oldest
  }

  /** @param from the number of the first file that is wanted; undefined: none any more */
  want(from: number | undefined): void {
    this.#from = from
    if (from !== undefined) this.#work ??= this.#run()
  }

  async #run(): Promise<void> {
    const { complain } = this.#place
    for (; this.#from !== undefined; await pause(AGAIN_MS)) {
      try {
        await this.#whileWanted()
      } catch (error) {
        complain('copying the log out of the volume', error)
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
        copied = view.readPoint
        await view.follow()
      }
    } finally {
      await view.close()
    }
  }

  async #copy(view: VolumeView, from: number): Promise<void> {
    const files = await attachPast(view)
    const data = files.lookup(ROOT_INO, DATA_FOLDER).ino
    const log = files.lookup(data, WAL_FOLDER).ino
    const entries = files.readdir(log, 0, Number.MAX_SAFE_INTEGER)
    const numberOf = ({ name }: DirectoryEntry): number | undefined => parseWalFile(name)?.segment
    const numbers = entries.map(numberOf).filter((number) => number !== undefined)
    const newest = Math.max(...numbers)
    await mkdir(this.#place.folder, { recursive: true, mode: 0o755 })
    await this.#forget(from)
    for (const entry of entries) {
      const number = numberOf(entry)
      const isWanted = number === undefined ? HISTORY.test(entry.name) : number >= from
      if (!isWanted || this.#complete.has(entry.name)) continue
      await this.#copyFile(files, entry.name, entry.ino)
      // The log goes on in the last one, and nowhere else.
      if (number === undefined || number < newest) this.#complete.add(entry.name)
    }
    this.#oldest = Math.min(...numbers)
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
  async #forget(from: number): Promise<void> {
    for (const name of await readdir(this.#place.folder)) {
      const file = parseWalFile(name)
      if (file === undefined || file.segment >= from) continue
      this.#complete.delete(name)
      await rm(join(this.#place.folder, name), { force: true })
    }
  }
}
