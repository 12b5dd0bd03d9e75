/**
 * Ends a recovery by promotion. A primary that recovers after a crash writes out every page that it changed, and then a
 * checkpoint, before it lets anybody in. A standby that is promoted writes one record that says that the recovery is over,
 * begins a new timeline, lets everybody in, and writes its checkpoint then. What is replayed is the same: all of the log
 * that is there, to its last whole record; a standby looks whether it is to be promoted only when it has found no more.
 * (docs/decisions/0012)
 */
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { postmasterStatus } from './data-directory.ts'
import type { Postmaster } from './postmaster.ts'

/** The engine looks for it when it is signalled, and takes it away when it begins. Of another life it is taken away at start. */
const PROMOTE_FILE = 'promote'
/** A signal that came while the engine was starting its first child is lost. */
const AGAIN_MS = 200

export class Promotion {
  readonly #directory: string
  readonly #postmaster: Postmaster
  #askedAtMs: number | undefined

  constructor(directory: string, postmaster: Postmaster) {
    this.#directory = directory
    this.#postmaster = postmaster
  }

  /** To be called again and again until the engine is ready. */
  async push(): Promise<void> {
    const now = performance.now()
    const path = join(this.#directory, PROMOTE_FILE)
    if (this.#askedAtMs === undefined) {
      // From then on it replays, and files of another life are gone.
      if ((await postmasterStatus(this.#directory, this.#postmaster.pid)) !== 'standby') return
      await writeFile(path, '')
    } else {
      if (now - this.#askedAtMs < AGAIN_MS) return
      if (!(await isThere(path))) return
    }
    this.#askedAtMs = now
    this.#postmaster.signal('SIGUSR1')
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
