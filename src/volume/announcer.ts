/**
 * Tells storage nodes how far the volume is durable, so that they may write layers and answer readers. Frames carry
 * the same for their own group; this is for groups that nothing is written to, and for the end of a burst.
 */
import type { Durability } from '../protocol/durability.ts'
import type { GroupIndex, Lsn, VolumeId } from '../protocol/lsn.ts'
import { ZERO_LSN } from '../protocol/lsn.ts'
import { encodeVdl } from '../protocol/message.ts'

const CHANGED_MS = 10
/** All points are told again this often, for nodes that missed an announcement. */
const ALL_MS = 1000

export class Announcer {
  readonly #volume: VolumeId
  readonly #epoch: number
  readonly #durability: Durability
  readonly #send: (parts: Uint8Array[]) => void
  /** The last record appended to a group, until the group's announced point reaches it. */
  readonly #changed = new Map<GroupIndex, Lsn>()
  #announced: Lsn = ZERO_LSN
  #sequence = 0
  #changedAtMs = 0
  #allAtMs = Number.NEGATIVE_INFINITY

  /** @param send to every node that holds a segment of the volume */
  constructor(volume: VolumeId, epoch: number, durability: Durability, send: (parts: Uint8Array[]) => void) {
    this.#volume = volume
    this.#epoch = epoch
    this.#durability = durability
    this.#send = send
  }

  appended(group: GroupIndex, last: Lsn): void {
    this.#changed.set(group, last)
  }

  /** Everything is told again with the next tick. */
  again(): void {
    this.#allAtMs = Number.NEGATIVE_INFINITY
  }

  tick(nowMs: number): void {
    const complete = nowMs - this.#allAtMs >= ALL_MS
    const { vdl } = this.#durability
    if (!complete && (vdl === this.#announced || nowMs - this.#changedAtMs < CHANGED_MS)) return
    this.#changedAtMs = nowMs
    if (complete) this.#allAtMs = nowMs
    const points = complete
      ? [...this.#durability.points()]
      : [...this.#changed.keys()].map((group) => [group, this.#durability.pointOf(group)] as const)
    // What is not durable yet moves its group's point later: left out then, the group would be taken for unchanged.
    for (const [group, last] of this.#changed) if (this.#durability.pointOf(group) >= last) this.#changed.delete(group)
    this.#announced = vdl
    this.#sequence++
    this.#send([
      encodeVdl({ volume: this.#volume, volumeEpoch: this.#epoch, sequence: this.#sequence, complete, vdl, points }),
    ])
  }
}
