/**
 * Serves the files of an instance: a volume, the file system in it, and the kernel's requests. One of several that follow
 * each other under a running engine: what the last one left is where this one goes on.
 *
 * Its process must never touch the mount with a call that blocks, since it would wait for its own answer.
 */
import { engineAccount } from '../engine/account.ts'
import { type FuseMount, serveFiles } from '../fuse/fuse-mount.ts'
import { FUSE_FD, type KeptServer, STATUS_REPLACE_ME } from '../fuse/kept-server.ts'
import { unmount } from '../fuse/real-mount.ts'
import { VolumeError } from '../protocol/errors.ts'
import { RealFile } from '../storage/real-file.ts'
import { SqliteRegistry } from '../volume/sqlite-registry.ts'
import { openFleet } from '../volume/tcp-fleet.ts'
import type { StorageState } from './instance-state.ts'
import { killProcessesIn } from './left-processes.ts'
import { openReader } from './reader-files.ts'
import type { ServedFiles } from './served-files.ts'
import type { FileServerSettings } from './server-command.ts'
import { OPENING, type ServerAsked, type ServerTold, STATUS_FENCED } from './server-report.ts'
import { StorageWatch } from './storage-watch.ts'
import { type FilesLeft, parseFilesLeft } from './volume-files.ts'
import { WalCopies } from './wal-copies.ts'
import { openWriter } from './writer-files.ts'

const SCRATCH_FD = FUSE_FD + 1

/** The storage is looked at this often. */
const LOOK_MS = 250
/** That it is heard says that it lives; figures change all the time anyway. */
const FIGURES_MS = 500

export class FileServer {
  readonly #settings: FileServerSettings
  readonly #kept: KeptServer
  readonly #complain: (what: string, error: unknown) => void
  #watch: StorageWatch | undefined
  #storage: StorageState = 'ok'
  #toldAtMs = Number.NEGATIVE_INFINITY
  #isWanted = true
  /** undefined while they are being opened. */
  #served: ServedFiles | undefined
  #copies: WalCopies | undefined
  #abandoning: Promise<never> | undefined

  /** @param complain what went wrong without ending anything, for the log */
  constructor(settings: FileServerSettings, kept: KeptServer, complain: (what: string, error: unknown) => void) {
    this.#settings = settings
    this.#kept = kept
    this.#complain = complain
  }

  /** @returns the status of its process, when that is to end */
  async run(): Promise<number> {
    const turn = await Promise.race([this.#kept.turn, this.#kept.keeperGone])
    if (turn === undefined) return 1
    const { path, fd, generation, left } = turn
    const asked = Promise.withResolvers<'leave' | 'stop' | 'abandon'>()
    const abandon = (): void => {
      asked.resolve('abandon')
      void this.#abandon(path)
    }
    void this.#kept.keeperGone.then(abandon)
    process.on('SIGTERM', abandon)
    this.#kept.onAsked((what) => {
      this.#isWanted = false
      asked.resolve(what)
    })
    this.#watch = new StorageWatch(performance.now())
    const timer = setInterval(() => this.#look(), LOOK_MS)
    try {
      const before = left === undefined ? undefined : parseFilesLeft(left)
      const { files } = await this.#open(before)
      this.#tell()
      await this.#kept.serving()
      const mount = serveFiles({ path, fd, generation }, files, {
        pageBytesOf: (inode) => files.pageBytesOf(inode),
        inherited: before?.openOrphans ?? [],
        onFailure: this.#complain,
      })
      const what = await Promise.race([asked.promise, mount.ended])
      switch (what) {
        case 'leave':
          return await this.#leave(mount)
        case 'stop':
          return await this.#stop(mount)
        case 'abandon':
          return await this.#abandon(path)
        default:
          throw new Error(`the files of the instance were ${what} by somebody else`)
      }
    } catch (error) {
      return this.#fail(error)
    } finally {
      clearInterval(timer)
    }
  }

  async #open(left: FilesLeft | undefined): Promise<ServedFiles> {
    const { role, registryPath, volume, cacheBytes, scratchBytesMax, walFolder } = this.#settings
    const fleet = openFleet(SqliteRegistry.open(registryPath))
    const open = role === 'writer' ? openWriter : openReader
    const served = await open({
      fleet,
      volume,
      cacheBytes,
      scratch: { file: new RealFile('the scratch file', SCRATCH_FD), bytesMax: scratchBytesMax },
      left,
      isWanted: () => this.#isWanted,
      onFenced: () => this.#fenced(),
    })
    if (left !== undefined) served.files.lookUpAll()
    this.#served = served
    if (role === 'reader') {
      const copies = new WalCopies({
        fleet,
        volume,
        folder: walFolder,
        account: engineAccount(),
        complain: this.#complain,
      })
      this.#copies = copies
      this.#kept.onTold((asked) => copies.want((asked as ServerAsked).walFrom ?? undefined))
    }
    return served
  }

  // -------------------------------------------------------------- reports

  #say(told: ServerTold): Promise<void> {
    return this.#kept.tell(told)
  }

  #tell(): void {
    this.#toldAtMs = performance.now()
    const { figures, overlayBytes, rebuild } = this.#served ?? OPENING
    const oldestWal = this.#copies?.oldest ?? null
    void this.#say({ report: { storage: this.#storage, figures, overlayBytes, rebuild, oldestWal } })
  }

  #look(): void {
    const now = performance.now()
    const storage = this.#watch?.look(this.#served?.durability, now) ?? 'ok'
    const isNews = storage !== this.#storage || now - this.#toldAtMs >= FIGURES_MS
    this.#storage = storage
    if (isNews) this.#tell()
  }

  // -------------------------------------------------------------- ends

  async #leave(mount: FuseMount): Promise<number> {
    await mount.leave()
    await this.#kept.left(this.#served!.leave())
    return STATUS_REPLACE_ME
  }

  async #stop(mount: FuseMount): Promise<number> {
    await this.#served!.sync()
    await mount.unmount()
    await this.#served!.close()
    return 0
  }

  /** Nothing more is answered: what an engine would read or believe durable is somebody else's now. */
  #fenced(): never {
    void this.#say({ fenced: true })
    process.exit(STATUS_FENCED)
  }

  async #fail(error: unknown): Promise<number> {
    // Given up before it was open.
    if (!this.#isWanted && error instanceof VolumeError && error.code === 'Closed') return 0
    if (error instanceof VolumeError && error.code === 'Fenced') this.#fenced()
    this.#complain('the server of the files ends', error)
    await this.#say({ failed: error instanceof Error ? error.message : String(error) })
    return 1
  }

  /** Once, however often it is told: by the end of the channel, by the kernel, by who comes after the supervisor. */
  #abandon(path: string): Promise<never> {
    this.#abandoning ??= this.#endWithSupervisor(path)
    return this.#abandoning
  }

  /** The supervisor is gone, and so is the engine, but for processes that wait for each other: nothing may stay. */
  async #endWithSupervisor(path: string): Promise<never> {
    try {
      killProcessesIn(path)
      // Also who is held up in an answer that does not come: the supervisor itself, perhaps.
      await unmount(path, 'cut')
    } catch (error) {
      this.#complain('unmounting', error)
    }
    process.exit(1)
  }
}
