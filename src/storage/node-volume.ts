/**
 * What one node knows of one volume: the epochs it promised to honour, the truncations, the cutoff and pins, and how
 * far the volume is known to be durable. A promise is on disk, in two copies, before it is given.
 */
import type { Grant, VolumeState } from '../protocol/calls.ts'
import { invariant, VolumeError } from '../protocol/errors.ts'
import { type GroupIndex, type Lsn, maxLsn, volumeName, ZERO_LSN } from '../protocol/lsn.ts'
import type { VdlAnnouncement } from '../protocol/message.ts'
import type { Disk } from './disk.ts'
import { readState, writeState } from './durable-state.ts'

const FOLDER = 'volumes'

interface Stored {
  readonly format: 1
  readonly state: VolumeState
  readonly fencedEpoch: number
}

export class NodeVolume {
  readonly #disk: Disk
  #state: VolumeState
  #fencedEpoch: number
  /** The highest durable point that was announced to this node, directly or by a peer. */
  #vdl: Lsn = ZERO_LSN
  #sequence = 0
  /** The connection that appends, to tell it of progress made by gossip. */
  writer: number | undefined

  private constructor(disk: Disk, state: VolumeState, fencedEpoch: number) {
    this.#disk = disk
    this.#state = state
    this.#fencedEpoch = fencedEpoch
    this.#vdl = state.base
  }

  static create(disk: Disk, state: VolumeState): NodeVolume {
    const volume = new NodeVolume(disk, state, state.epoch)
    volume.#promise(state, state.epoch)
    return volume
  }

  /** All volumes known on a disk. @throws VolumeError `Corrupt` when both copies of one are damaged */
  static load(disk: Disk): NodeVolume[] {
    const names = new Set(disk.list(FOLDER).map((file) => file.split('.')[0] as string))
    const volumes: NodeVolume[] = []
    for (const name of names) {
      const read = readState(disk, FOLDER, name)
      if (read.status === 'absent') continue
      if (read.status === 'damaged')
        throw new VolumeError('Corrupt', `what this node promised about ${name} is lost: replace the node`)
      const stored = read.value as Stored
      if (stored.format !== 1) {
        throw new VolumeError('UnsupportedFormat', `${FOLDER}/${name} has format ${String(stored.format)}`)
      }
      volumes.push(new NodeVolume(disk, stored.state, stored.fencedEpoch))
    }
    return volumes
  }

  /** On disk first: what could not be written was not promised. @throws VolumeError `DiskFull`: nothing has changed */
  #promise(state: VolumeState, fencedEpoch: number): void {
    const stored: Stored = { format: 1, state, fencedEpoch }
    writeState(this.#disk, FOLDER, volumeName(state.volume), stored)
    this.#state = state
    this.#fencedEpoch = fencedEpoch
  }

  get state(): VolumeState {
    return this.#state
  }

  get fencedEpoch(): number {
    return this.#fencedEpoch
  }

  get vdl(): Lsn {
    return this.#vdl
  }

  /** Whether appends of this epoch are taken; otherwise why not. */
  checkEpoch(epoch: number): 'Ok' | 'StaleVolumeEpoch' | 'UnknownEpoch' {
    if (epoch < this.#fencedEpoch) return 'StaleVolumeEpoch'
    return epoch === this.#state.epoch ? 'Ok' : 'UnknownEpoch'
  }

  /** Promises to refuse every epoch below. @throws VolumeError `StaleVolumeEpoch` when a higher promise was given. */
  fence(epoch: number): void {
    if (epoch < this.#fencedEpoch) {
      throw new VolumeError('StaleVolumeEpoch', `epoch ${epoch} is fenced by ${this.#fencedEpoch}`)
    }
    if (epoch === this.#fencedEpoch) return
    this.#promise(this.#state, epoch)
  }

  /**
   * Adopts an epoch and its truncations, unless one that is as new is in force already. A promise to a higher epoch
   * stays: peers have to agree on history also while nobody has the volume.
   * @param forgetLogs called first when the truncations do not reach back to the epoch in force: what older ones cut is
   *   not known any more. First, so that no crash in between leaves those logs believed.
   * @returns whether it was newer
   */
  adopt(state: VolumeState, forgetLogs: () => void = () => {}): boolean {
    if (state.epoch <= this.#state.epoch) {
      this.adoptGrant(state)
      return false
    }
    if (state.truncationsFromEpoch > this.#state.epoch + 1) forgetLogs()
    this.#promise({ ...state, ...this.#newer(state) }, Math.max(this.#fencedEpoch, state.epoch))
    this.#sequence = 0
    this.writer = undefined
    return true
  }

  /**
   * As `adopt`, for a writer that is about to write under this epoch.
   * @throws VolumeError `StaleVolumeEpoch` when a higher epoch was promised
   */
  seal(state: VolumeState, forgetLogs: () => void = () => {}): boolean {
    if (state.epoch < this.#fencedEpoch) {
      throw new VolumeError('StaleVolumeEpoch', `epoch ${state.epoch} is fenced by ${this.#fencedEpoch}`)
    }
    return this.adopt(state, forgetLogs)
  }

  /** Of the grant held and another, the one from the newer version of the volume's record. */
  #newer(grant: Grant): Grant {
    const { cutoff, pins, grantVersion } = grant.grantVersion > this.#state.grantVersion ? grant : this.#state
    return { cutoff, pins, grantVersion }
  }

  /** Takes over what may be collected, durably, before anything is. Never goes back. */
  adoptGrant(grant: Grant): void {
    if (grant.grantVersion <= this.#state.grantVersion) return
    invariant(
      grant.cutoff >= this.#state.cutoff,
      () => `the cutoff went back from ${this.#state.cutoff} to ${grant.cutoff}`,
    )
    this.#promise({ ...this.#state, ...this.#newer(grant) }, this.#fencedEpoch)
  }

  /** The volume no longer needs its parent. */
  detach(): void {
    if (this.#state.parent === null) return
    this.#promise({ ...this.#state, parent: null }, this.#fencedEpoch)
  }

  /** Some node or the writer knows the volume to be durable up to here. */
  learnVdl(vdl: Lsn): void {
    this.#vdl = maxLsn(this.#vdl, vdl)
  }

  /**
   * Takes an announcement of the writer.
   * @returns the groups whose points it tells, and whether every other group is known to be unchanged; undefined when
   *   it is of another epoch or older than one seen
   */
  announced(
    announcement: VdlAnnouncement,
  ): { points: ReadonlyMap<GroupIndex, Lsn>; othersUnchanged: boolean } | undefined {
    if (announcement.volumeEpoch !== this.#state.epoch || announcement.sequence <= this.#sequence) return undefined
    const follows = announcement.complete || announcement.sequence === this.#sequence + 1
    if (follows) this.#sequence = announcement.sequence
    this.learnVdl(announcement.vdl)
    return { points: new Map(announcement.points), othersUnchanged: follows }
  }

  /** @throws VolumeError `ReadPointTooOld` when versions visible at `readPoint` may have been collected */
  checkReadPoint(readPoint: Lsn): void {
    invariant(readPoint >= 0, 'a read point is negative')
    if (readPoint >= this.#state.cutoff || this.#state.pins.includes(readPoint)) return
    throw new VolumeError(
      'ReadPointTooOld',
      `read point ${readPoint} is below the cutoff ${this.#state.cutoff} and not pinned`,
    )
  }

  forget(): void {
    for (const file of this.#disk.list(FOLDER)) {
      if (file.split('.')[0] === volumeName(this.#state.volume)) this.#disk.remove(`${FOLDER}/${file}`)
    }
    this.#disk.syncFolder(FOLDER)
  }
}
