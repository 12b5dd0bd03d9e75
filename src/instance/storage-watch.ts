/** Notices that the storage quorum does not answer: what was sent stays where it is. */
import type { StorageState } from './instance-state.ts'

/** Longer than a slow disk's flush, shorter than people's patience. */
const WAITING_AFTER_MS = 1000

/** What is asked of a volume's writer. */
export interface Durability {
  readonly unackedBytes: number
  readonly vdl: number
}

export class StorageWatch {
  #vdl = -1
  #movedAtMs: number

  constructor(nowMs: number) {
    this.#movedAtMs = nowMs
  }

  /** To be asked a few times a second. @param writer undefined while the volume is being opened */
  look(writer: Durability | undefined, nowMs: number): StorageState {
    if (writer !== undefined && (writer.unackedBytes === 0 || writer.vdl !== this.#vdl)) {
      this.#vdl = writer.vdl
      this.#movedAtMs = nowMs
    }
    return nowMs - this.#movedAtMs >= WAITING_AFTER_MS ? 'waiting' : 'ok'
  }
}
