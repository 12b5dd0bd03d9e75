/**
 * The bytes of one file on a simulated disk: what the process sees, what a power cut would leave, and what is wrong
 * with them. The unit of all three is the sector: it is written whole or not at all.
 */
import { VolumeError } from '../src/protocol/errors.ts'
import type { Random } from './random.ts'

export const SECTOR_BYTES = 512

/**
 * What can be wrong with stored bytes: bits that flipped, a sector that cannot be read, bytes that should have been
 * replaced (their write went elsewhere), and bytes that another write landed on.
 */
export type DamageKind = 'rot' | 'unreadable' | 'stale' | 'overwritten'

export interface Damage {
  readonly kind: DamageKind
  /** Within one sector. */
  readonly from: number
  readonly to: number
  /** Written over since, though perhaps not durably yet. */
  covered: boolean
}

const sectorOf = (offset: number): number => Math.floor(offset / SECTOR_BYTES)

/** Calls back for each sector of a range with its part of the range. */
export function eachSector(
  offset: number,
  length: number,
  visit: (sector: number, from: number, to: number) => void,
): void {
  const end = offset + length
  for (let from = offset; from < end; ) {
    const to = Math.min(end, (sectorOf(from) + 1) * SECTOR_BYTES)
    visit(sectorOf(from), from, to)
    from = to
  }
}

export class Inode {
  /** As the process sees it; zeros behind `#size`. */
  #bytes = new Uint8Array(4_096)
  #size = 0
  /** The size that a power cut leaves at least. */
  #stableSize = 0
  /** Sectors written but not durable, with what the disk holds of them. */
  readonly #undo = new Map<number, Uint8Array>()
  #damage: Damage[] = []

  get size(): number {
    return this.#size
  }

  get dirtySectors(): number[] {
    return [...this.#undo.keys()].sort((a, b) => a - b)
  }

  /** What is wrong with it and has not been written over durably. */
  get damage(): readonly Damage[] {
    return this.#damage
  }

  view(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(from, to)
  }

  read(offset: number, length: number, path: string): Uint8Array {
    if (offset + length > this.#size) {
      throw new VolumeError('Corrupt', `${path} ends at ${this.#size}, before ${offset} + ${length}`)
    }
    for (const d of this.#damage) {
      if (d.kind === 'unreadable' && !d.covered && d.from < offset + length && d.to > offset) {
        throw new VolumeError('Corrupt', `${path} cannot be read at ${d.from}`)
      }
    }
    return this.#bytes.slice(offset, offset + length)
  }

  resize(size: number): void {
    if (size > this.#bytes.length) {
      // Whole sectors always, so that each can be kept and put back as one.
      const sectors = Math.ceil(Math.max(size, 2 * this.#bytes.length) / SECTOR_BYTES)
      const grown = new Uint8Array(sectors * SECTOR_BYTES)
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    this.#size = Math.max(this.#size, size)
  }

  /** Into the cache: seen by reads, lost or torn by a power cut. */
  write(offset: number, bytes: Uint8Array): void {
    this.resize(offset + bytes.length)
    eachSector(offset, bytes.length, (sector, from, to) => {
      const start = sector * SECTOR_BYTES
      if (!this.#undo.has(sector)) this.#undo.set(sector, this.#bytes.slice(start, start + SECTOR_BYTES))
      for (const d of this.#damage) if (d.from >= from && d.to <= to) d.covered = true
    })
    this.#bytes.set(bytes, offset)
  }

  /** The cache of one sector reaches the disk. */
  settle(sector: number): void {
    if (!this.#undo.delete(sector)) return
    this.#stableSize = Math.max(this.#stableSize, Math.min(this.#size, (sector + 1) * SECTOR_BYTES))
    if (this.#damage.length > 0) this.#damage = this.#damage.filter((d) => !d.covered || sectorOf(d.from) !== sector)
  }

  /** The cache of one sector is lost: what the disk holds comes back, damage included. */
  forget(sector: number): void {
    const stored = this.#undo.get(sector)
    if (stored === undefined) return
    this.#undo.delete(sector)
    this.#bytes.set(stored, sector * SECTOR_BYTES)
    for (const d of this.#damage) if (sectorOf(d.from) === sector) d.covered = false
  }

  sync(): void {
    for (const sector of [...this.#undo.keys()]) this.settle(sector)
    this.#stableSize = this.#size
  }

  /**
   * A power cut. Of the sectors not synced any subset survives, and of a growth of the file perhaps the size alone.
   * Real disks write in any order; all, none, a prefix and all but one are drawn more often as most bugs need just one.
   */
  losePower(random: Random): void {
    const grown = this.#size
    const dirty = this.dirtySectors
    const cut = random.below(dirty.length + 1)
    const fate = random.weighted({ none: 3, all: 2, prefix: 2, some: 3, allButOne: 1 })
    dirty.forEach((sector, i) => {
      const survives =
        fate === 'all' ||
        (fate === 'prefix' && i < cut) ||
        (fate === 'some' && random.chance(0.5)) ||
        (fate === 'allButOne' && i !== cut)
      if (survives) this.settle(sector)
      else this.forget(sector)
    })
    const size = random.chance(0.25) ? grown : this.#stableSize
    this.#bytes.fill(0, size)
    this.#damage = this.#damage.filter((d) => d.from < size)
    this.#size = size
    this.#stableSize = size
  }

  /** Damages stored bytes; a sector that waits to be written is spared, as it will be replaced. */
  rot(offset: number, mask: number): boolean {
    if (offset >= this.#size || mask === 0 || this.#undo.has(sectorOf(offset))) return false
    this.#bytes[offset] = (this.#bytes[offset] as number) ^ mask
    this.#damage.push({ kind: 'rot', from: offset, to: offset + 1, covered: false })
    return true
  }

  spoil(sector: number): boolean {
    const from = sector * SECTOR_BYTES
    if (from >= this.#size || this.#undo.has(sector)) return false
    const to = Math.min(from + SECTOR_BYTES, this.#size)
    this.#damage.push({ kind: 'unreadable', from, to, covered: false })
    return true
  }

  /** Undoes what `rot` (with this mask) or `spoil` has just done. */
  takeBack(mask: number): void {
    const last = this.#damage.pop()
    if (last?.kind === 'rot') this.#bytes[last.from] = (this.#bytes[last.from] as number) ^ mask
  }

  /** Bytes of another write land here, durably. */
  overwrite(offset: number, bytes: Uint8Array): void {
    eachSector(offset, Math.min(bytes.length, this.#size - offset), (sector, from, to) => {
      this.settle(sector)
      const part = bytes.subarray(from - offset, to - offset)
      if (Buffer.compare(this.#bytes.subarray(from, to), part) === 0) return
      this.#bytes.set(part, from)
      this.#damage.push({ kind: 'overwritten', from, to, covered: false })
    })
  }

  /** These sectors' write went elsewhere, though the disk says it is done: they keep their old bytes. */
  misplace(sectors: readonly number[]): void {
    for (const sector of sectors) {
      const start = sector * SECTOR_BYTES
      const end = Math.min(start + SECTOR_BYTES, this.#size)
      const wanted = this.#bytes.slice(start, end)
      this.forget(sector)
      if (end <= start || Buffer.compare(this.#bytes.subarray(start, end), wanted) === 0) continue
      this.#damage.push({ kind: 'stale', from: start, to: end, covered: false })
    }
  }
}
