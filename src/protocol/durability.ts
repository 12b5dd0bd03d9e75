/**
 * The writer's account of what is durable: PGCL of each group, VCL and VDL of the volume (SIGMOD 2018, section 2.3).
 *
 * Hot path: once per group and mini-transaction when appended, once per acknowledgement. No map per write, no promise.
 */
import { invariant } from './errors.ts'
import { type GroupIndex, type Lsn, maxLsn, ZERO_LSN } from './lsn.ts'

/**
 * LSNs are never given out above VDL plus this (LAL, SIGMOD 2017, section 4.2.1), so an opening knows a bound for all
 * that its predecessor may have sent. Part of the format: every writer of a volume has to use the same.
 */
export const LSN_ALLOCATION_LIMIT_BYTES = 256 * 1024 * 1024

/** A stretch of the log that lies in one group and ends at `lsn`. */
interface Stretch {
  readonly group: GroupIndex
  readonly lsn: Lsn
  readonly isCpl: boolean
}

export class Durability {
  readonly #groups = new Map<GroupIndex, Lsn>()
  #stretches: Stretch[] = []
  /** Index of the first stretch that is not complete. */
  #first = 0
  #vcl: Lsn
  #vdl: Lsn
  /** For each group, the stretches at or below VDL ended here: its point at the VDL. */
  readonly #points = new Map<GroupIndex, Lsn>()
  #uncommitted: Stretch[] = []

  /** @param vdl where the log ended when it was opened. @param points the last record of each group at or below it */
  constructor(vdl: Lsn, points: ReadonlyMap<GroupIndex, Lsn>) {
    this.#vcl = vdl
    this.#vdl = vdl
    for (const [group, point] of points) this.#points.set(group, point)
  }

  /** Volume complete LSN: everything before it is at quorum. */
  get vcl(): Lsn {
    return this.#vcl
  }

  /** Volume durable LSN: the highest consistency point at or below VCL. */
  get vdl(): Lsn {
    return this.#vdl
  }

  /** The last record of a group at or below the VDL. */
  pointOf(group: GroupIndex): Lsn {
    return this.#points.get(group) ?? ZERO_LSN
  }

  points(): ReadonlyMap<GroupIndex, Lsn> {
    return this.#points
  }

  /** A group was added to the volume; its log begins behind `point`. */
  addGroup(group: GroupIndex, point: Lsn): void {
    if (!this.#points.has(group)) this.#points.set(group, point)
  }

  /** Records of `group` were appended up to `lsn`; `isCpl` when that record ends its mini-transaction. */
  appended(group: GroupIndex, lsn: Lsn, isCpl: boolean): void {
    const last = this.#stretches.at(-1)
    invariant(last === undefined || last.lsn < lsn, 'records were appended out of order')
    this.#stretches.push({ group, lsn, isCpl })
  }

  /** A write quorum of the group has everything up to `lsn` (PGCL). Answers whether the VDL moved. */
  groupDurable(group: GroupIndex, lsn: Lsn): boolean {
    const before = this.#groups.get(group) ?? ZERO_LSN
    if (lsn <= before) return false
    this.#groups.set(group, lsn)
    return this.#advance()
  }

  #advance(): boolean {
    const vdlBefore = this.#vdl
    for (; this.#first < this.#stretches.length; this.#first++) {
      const stretch = this.#stretches[this.#first] as Stretch
      if ((this.#groups.get(stretch.group) ?? ZERO_LSN) < stretch.lsn) break
      this.#vcl = stretch.lsn
      this.#uncommitted.push(stretch)
      if (stretch.isCpl) {
        this.#vdl = stretch.lsn
        for (const part of this.#uncommitted) this.#points.set(part.group, maxLsn(part.lsn, this.pointOf(part.group)))
        this.#uncommitted.length = 0
      }
    }
    if (this.#first > 1024 && this.#first * 2 > this.#stretches.length) {
      this.#stretches = this.#stretches.slice(this.#first)
      this.#first = 0
    }
    return this.#vdl > vdlBefore
  }
}
