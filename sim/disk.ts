/**
 * A disk that does everything a real one may: forgets what was not synced, tears writes, flips bits, puts bytes in the
 * wrong place, fails to read, fills up and grows slow. Its content outlives the process; `mount` gives each run of the
 * process a `Disk` that is dead from its crash on.
 */
import { VolumeError } from '../src/protocol/errors.ts'
import type { Disk, DiskFile } from '../src/storage/disk.ts'
import { type Damage, eachSector, Inode, SECTOR_BYTES } from './disk-file.ts'
import { DiskTree, Folder, partsOf } from './disk-tree.ts'
import type { Effects } from './effects.ts'
import type { Random } from './random.ts'

/** What operations take, in microseconds; about a cloud SSD (fdatasync 110 us, read 57 us: docs/performance.md). */
export interface DiskCosts {
  readonly readUs: number
  readonly writeUs: number
  readonly syncUs: number
  readonly nameUs: number
  /** On top, for the bytes. */
  readonly perKibUs: number
}

export const SSD_COSTS: DiskCosts = { readUs: 57, writeUs: 3, syncUs: 110, nameUs: 10, perKibUs: 1 }

export interface DiskOptions {
  readonly capacityBytes: number
  readonly costs: DiskCosts
  /** How often the system writes cached data or names back unasked, per write. */
  readonly writeBackChance: number
  /**
   * What the disk writes whole or not at all. The hot log relies on 4,096 (docs/decisions/0004); with 512 a crash of
   * all nodes at once may leave each with a page that it must take for rot.
   */
  readonly atomicBytes: 512 | 4096
}

export interface DamageReport extends Damage {
  readonly path: string
  /** As if it had not happened; to be called at once, if at all. */
  takeBack(): void
}

/** `writeDurable` works on whole pages, as O_DIRECT does. */
const PAGE_BYTES = 4_096

export class SimDisk {
  tree = new DiskTree()
  readonly options: DiskOptions
  readonly #random: Random
  /** All costs are multiplied by this: 1 is healthy, more a disk that is failing slowly. */
  slowdown = 1
  /** Taken by somebody else: with enough of it the disk is full. */
  ballastBytes = 0
  /** Set to let the next write that reaches the disk land in the wrong place; cleared when it did. */
  #misdirect = false

  constructor(random: Random, options: DiskOptions) {
    this.#random = random
    this.options = options
  }

  /** The disk as one run of a process sees it. @param spend moves the process's clock, in microseconds. */
  mount(effects: Effects, spend: (us: number) => void): Disk {
    return new MountedDisk(this, effects, spend, this.#random)
  }

  /** Faults are over: nothing to come lands elsewhere. */
  settle(): void {
    this.#misdirect = false
  }

  /** Whether a write to come will land in the wrong place. */
  get isMisdirecting(): boolean {
    return this.#misdirect
  }

  /** A power cut: what was not synced is lost or torn. (When only the process dies nothing happens to its disk.) */
  losePower(): void {
    this.#misdirect = false
    this.tree.losePower(this.#random)
  }

  /** A replacement disk: nothing is left. */
  erase(): void {
    this.tree = new DiskTree()
  }

  usedBytes(): number {
    let used = 0
    for (const [, inode] of this.tree.files()) used += inode.size
    return used
  }

  freeBytes(): number {
    return Math.max(0, this.options.capacityBytes - this.ballastBytes - this.usedBytes())
  }

  /**
   * All that is wrong with stored bytes and was neither written over durably nor removed durably.
   * @param counts leaves files out by their path, which is empty for one that only a power cut may bring back
   */
  damage(counts: (path: string) => boolean = () => true): Damage[] {
    const damaged = [...this.tree.reachable()].filter((inode) => inode.damage.length > 0)
    if (damaged.length === 0) return []
    const paths = new Map(this.tree.files().map(([path, inode]) => [inode, path]))
    return damaged.filter((inode) => counts(paths.get(inode) ?? '')).flatMap((inode) => [...inode.damage])
  }

  /** Flips bits of one stored byte. @returns where, or undefined when there is nothing that could rot. */
  rot(chooses: (path: string) => boolean = () => true): DamageReport | undefined {
    return this.#spoilSome(chooses, (inode) => {
      const offset = this.#random.below(inode.size)
      const mask = 1 << this.#random.below(8)
      return inode.rot(offset, mask) ? () => inode.takeBack(mask) : undefined
    })
  }

  /** Makes one sector unreadable until it is written again. */
  spoil(chooses: (path: string) => boolean = () => true): DamageReport | undefined {
    return this.#spoilSome(chooses, (inode) => {
      const sector = this.#random.below(Math.ceil(inode.size / SECTOR_BYTES))
      return inode.spoil(sector) ? () => inode.takeBack(0) : undefined
    })
  }

  /** The next write to the disk lands elsewhere. */
  misdirectNext(): void {
    this.#misdirect = true
  }

  /** @param spoil answers how to undo what it did, if it did anything */
  #spoilSome(
    chooses: (path: string) => boolean,
    spoil: (inode: Inode) => (() => void) | undefined,
  ): DamageReport | undefined {
    const files = this.tree.files().filter(([path, inode]) => inode.size > 0 && chooses(path))
    for (const [path, inode] of this.#random.shuffled(files)) {
      // Most of a preallocated file is zeros that nobody reads: a few attempts find something of interest.
      for (let attempt = 0; attempt < 4; attempt++) {
        const takeBack = spoil(inode)
        if (takeBack !== undefined) return { ...(inode.damage.at(-1) as Damage), path, takeBack }
      }
    }
    return undefined
  }

  /** Writes sectors that wait in the cache to the disk; all of them to the wrong place if that was asked for. */
  flush(inode: Inode, sectors: readonly number[]): void {
    if (this.#misdirect && sectors.length > 0) {
      this.#misdirect = false
      this.#land(inode, sectors)
      return
    }
    for (const sector of sectors) inode.settle(sector)
  }

  #land(inode: Inode, sectors: readonly number[]): void {
    const first = (sectors[0] as number) * SECTOR_BYTES
    const last = ((sectors.at(-1) as number) + 1) * SECTOR_BYTES
    const bytes = inode.view(first, Math.min(last, inode.size)).slice()
    inode.misplace(sectors)
    // Into free space, into the same file, or into another one.
    const where = this.#random.weighted({ nowhere: 1, same: 2, other: 2 })
    if (where === 'nowhere') return
    const files = this.tree.files().filter(([, other]) => other.size > 0 && (where === 'same') === (other === inode))
    if (files.length === 0) return
    const [, target] = this.#random.pick(files)
    const sector = this.#random.below(Math.ceil(target.size / SECTOR_BYTES))
    // On the same sectors it would be no misdirection at all.
    if (target !== inode || sector * SECTOR_BYTES >= last || sector * SECTOR_BYTES + bytes.length <= first) {
      target.overwrite(sector * SECTOR_BYTES, bytes)
    }
  }
}

class MountedDisk implements Disk {
  readonly #disk: SimDisk
  readonly #effects: Effects
  readonly #spend: (us: number) => void
  readonly #random: Random

  constructor(disk: SimDisk, effects: Effects, spend: (us: number) => void, random: Random) {
    this.#disk = disk
    this.#effects = effects
    this.#spend = spend
    this.#random = random
  }

  list(folder: string): string[] {
    this.#effects.check('list')
    const node = this.#disk.tree.find(folder)
    return node instanceof Folder ? [...node.entries.keys()].sort() : []
  }

  exists(path: string): boolean {
    this.#effects.check('exists')
    return this.#disk.tree.find(path) !== undefined
  }

  freeBytes(): number {
    this.#effects.check('freeBytes')
    return this.#disk.freeBytes()
  }

  makeFolder(folder: string): void {
    const parts = partsOf(folder)
    const some = parts.slice(0, this.#random.below(parts.length + 1)).join('/')
    this.#name(
      `makeFolder ${folder}`,
      () => this.#disk.tree.makeFolder(folder),
      () => this.#disk.tree.makeFolder(some),
    )
  }

  create(path: string): DiskFile {
    return this.#open(
      path,
      this.#name(`create ${path}`, () => this.#disk.tree.createFile(path)),
    )
  }

  open(path: string): DiskFile {
    this.#effects.check('open')
    const node = this.#disk.tree.find(path)
    if (!(node instanceof Inode)) throw new VolumeError('NotFound', `no file ${path}`)
    this.spend(this.#disk.options.costs.nameUs)
    return this.#open(path, node)
  }

  #open(path: string, inode: Inode): DiskFile {
    return new MountedFile(path, inode, this.#disk, this, this.#effects, this.#random)
  }

  rename(from: string, to: string): void {
    this.#name(`rename ${from} ${to}`, () => this.#disk.tree.rename(from, to))
  }

  remove(path: string): void {
    this.#name(`remove ${path}`, () => this.#disk.tree.remove(path))
  }

  removeFolder(folder: string): void {
    const some = (): void => this.#disk.tree.removeFolder(folder, () => this.#random.chance(0.5))
    this.#name(`removeFolder ${folder}`, () => this.#disk.tree.removeFolder(folder), some)
  }

  syncFolder(folder: string): void {
    this.spend(this.#disk.options.costs.syncUs)
    this.#effects.run(
      `syncFolder ${folder}`,
      () => this.#disk.tree.syncFolder(folder),
      () => {},
    )
  }

  /** A change of names; most are atomic, so that a crash in the middle is one before or one after. */
  #name<T>(what: string, whole: () => T, part?: () => void): T {
    this.spend(this.#disk.options.costs.nameUs)
    const result = this.#effects.run(what, whole, part ?? (() => this.#random.chance(0.5) && whole()))
    if (this.#random.chance(this.#disk.options.writeBackChance)) this.#disk.tree.settleAll()
    return result
  }

  spend(us: number): void {
    this.#spend(us * this.#disk.slowdown)
  }
}

class MountedFile implements DiskFile {
  readonly path: string
  readonly #inode: Inode
  readonly #disk: SimDisk
  readonly #mount: MountedDisk
  readonly #effects: Effects
  readonly #random: Random
  #state: 'open' | 'closed' = 'open'

  constructor(path: string, inode: Inode, disk: SimDisk, mount: MountedDisk, effects: Effects, random: Random) {
    this.path = path
    this.#inode = inode
    this.#disk = disk
    this.#mount = mount
    this.#effects = effects
    this.#random = random
  }

  size(): number {
    this.#use('size')
    return this.#inode.size
  }

  read(offset: number, length: number): Uint8Array {
    this.#use('read')
    const { readUs, perKibUs } = this.#disk.options.costs
    this.#mount.spend(readUs + (perKibUs * length) / 1_024)
    return this.#inode.read(offset, length, this.path)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#use('write')
    this.#reserve(offset + bytes.length)
    const { writeUs, perKibUs } = this.#disk.options.costs
    this.#mount.spend(writeUs + (perKibUs * bytes.length) / 1_024)
    this.#effects.run(
      `write ${this.path} ${offset} + ${bytes.length}`,
      () => this.#inode.write(offset, bytes),
      () => this.#inode.write(offset, bytes.subarray(0, this.#random.below(bytes.length + 1))),
    )
    if (this.#random.chance(this.#disk.options.writeBackChance)) {
      this.#disk.flush(this.#inode, this.#random.subset(this.#inode.dirtySectors))
    }
  }

  writeDurable(offset: number, bytes: Uint8Array): void {
    this.#use('writeDurable')
    if (offset % PAGE_BYTES !== 0 || bytes.length % PAGE_BYTES !== 0) {
      throw new VolumeError('BadRequest', `writeDurable of ${offset} + ${bytes.length} is not a row of whole pages`)
    }
    this.#reserve(offset + bytes.length)
    const { syncUs, perKibUs } = this.#disk.options.costs
    this.#mount.spend(syncUs + (perKibUs * bytes.length) / 1_024)
    const sectors: number[] = []
    eachSector(offset, bytes.length, (sector) => sectors.push(sector))
    this.#effects.run(
      `writeDurable ${this.path} ${offset} + ${bytes.length}`,
      () => {
        this.#inode.write(offset, bytes)
        this.#disk.flush(this.#inode, sectors)
      },
      () => {
        // The disk has the request: each unit of it is there or is not, whether the machine dies or the process alone.
        const { atomicBytes } = this.#disk.options
        const share = this.#random.fraction()
        for (let from = 0; from < bytes.length; from += atomicBytes) {
          if (!this.#random.chance(share)) continue
          this.#inode.write(offset + from, bytes.subarray(from, from + atomicBytes))
          eachSector(offset + from, atomicBytes, (sector) => this.#inode.settle(sector))
        }
      },
    )
  }

  allocate(length: number): void {
    this.#use('allocate')
    this.#reserve(length)
    this.#mount.spend(this.#disk.options.costs.nameUs)
    this.#effects.run(
      `allocate ${this.path} ${length}`,
      () => this.#inode.resize(length),
      () => {},
    )
  }

  sync(): void {
    this.#use('sync')
    const dirty = this.#inode.dirtySectors
    const { syncUs, perKibUs } = this.#disk.options.costs
    this.#mount.spend(syncUs + (perKibUs * dirty.length * SECTOR_BYTES) / 1_024)
    this.#effects.run(
      `sync ${this.path}`,
      () => {
        this.#disk.flush(this.#inode, dirty)
        this.#inode.sync()
      },
      () => {
        for (const sector of this.#random.subset(dirty, this.#random.fraction())) this.#inode.settle(sector)
      },
    )
  }

  close(): void {
    this.#use('close')
    this.#state = 'closed'
  }

  #use(what: string): void {
    this.#effects.check(what)
    if (this.#state === 'closed') throw new VolumeError('Invariant', `${what} of the closed file ${this.path}`)
  }

  #reserve(end: number): void {
    const growth = end - this.#inode.size
    if (growth > 0 && growth > this.#disk.freeBytes()) {
      throw new VolumeError('DiskFull', `no room for ${growth} bytes of ${this.path}`)
    }
  }
}
