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
/** What it took away and has not ended by then it took by mistake. To ask twice does no harm. */
const TAKEN_MS = 3000

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
    const sinceMs = performance.now() - (this.#askedAtMs ?? Number.NEGATIVE_INFINITY)
    if (sinceMs < AGAIN_MS) return
    // Before it says anything it takes away what another life has left.
    if (!(await postmasterStatus(this.#directory, this.#postmaster.pid))) return
    const path = join(this.#directory, PROMOTE_FILE)
    if (!(await isThere(path))) {
      if (sinceMs < TAKEN_MS) return
      await writeFile(path, '')
    }
    this.#askedAtMs = performance.now()
    this.#postmaster.signal('SIGUSR1')
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
