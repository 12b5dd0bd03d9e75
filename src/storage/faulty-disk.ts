/**
 * A disk that does wrong when people want it to (`node-faults.ts`): operations that take long, and operations that fail.
 * What fails does so as on a real disk, and under the same rules: a read gives nothing; a write may have reached the disk
 * or not, all the same; after a sync or a durable write that failed no later one of that file succeeds, as what was lost
 * is lost (`real-file.ts`).
 */
import { VolumeError } from '../protocol/errors.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { FaultBoard } from './node-faults.ts'

export interface FaultEnv {
  /** Ms since 1970. */
  now(): number
  /** From 0 to 1, without 1. */
  random(): number
  /** Holds the whole thread up, as a disk does. */
  sleep(ms: number): void
}

/** Whether what failed was done nevertheless. */
const DONE_CHANCE = 0.5

const failure = (path: string): VolumeError => new VolumeError('Corrupt', `${path}: the disk failed, as was asked for`)

class Faults {
  readonly #board: FaultBoard
  readonly #env: FaultEnv

  constructor(board: FaultBoard, env: FaultEnv) {
    this.#board = board
    this.#env = env
  }

  /** Every operation begins here. @returns whether it is to fail */
  strikes(): boolean {
    const { now, random } = this.#env
    const slow = this.#board.slow(now)
    if (slow !== undefined && random() * 100 < slow.percent)
      this.#env.sleep(slow.msMin + random() * (slow.msMax - slow.msMin))
    const percent = this.#board.failing(now)
    return percent > 0 && random() * 100 < percent
  }

  read<T>(path: string, work: () => T): T {
    if (this.strikes()) throw failure(path)
    return work()
  }

  write(path: string, work: () => void): void {
    if (this.strikes()) this.fail(path, work)
    work()
  }

  fail(path: string, work: () => void): never {
    if (this.#env.random() < DONE_CHANCE) work()
    throw failure(path)
  }
}

export class FaultyDisk implements Disk {
  readonly #disk: Disk
  readonly #faults: Faults

  constructor(disk: Disk, board: FaultBoard, env: FaultEnv) {
    this.#disk = disk
    this.#faults = new Faults(board, env)
  }

  list(folder: string): string[] {
    return this.#faults.read(folder, () => this.#disk.list(folder))
  }

  makeFolder(folder: string): void {
    this.#faults.write(folder, () => this.#disk.makeFolder(folder))
  }

  create(path: string): DiskFile {
    return this.#opened(this.#faults.read(path, () => this.#disk.create(path)))
  }

  open(path: string): DiskFile {
    return this.#opened(this.#faults.read(path, () => this.#disk.open(path)))
  }

  #opened(file: DiskFile): DiskFile {
    return new FaultyFile(file, this.#faults)
  }

  exists(path: string): boolean {
    return this.#disk.exists(path)
  }

  rename(from: string, to: string): void {
    this.#faults.write(from, () => this.#disk.rename(from, to))
  }

  remove(path: string): void {
    this.#faults.write(path, () => this.#disk.remove(path))
  }

  removeFolder(folder: string): void {
    this.#faults.write(folder, () => this.#disk.removeFolder(folder))
  }

  syncFolder(folder: string): void {
    this.#faults.write(folder, () => this.#disk.syncFolder(folder))
  }

  freeBytes(): number {
    return this.#disk.freeBytes()
  }
}

class FaultyFile implements DiskFile {
  readonly path: string
  readonly #file: DiskFile
  readonly #faults: Faults
  #hasLost = false

  constructor(file: DiskFile, faults: Faults) {
    this.path = file.path
    this.#file = file
    this.#faults = faults
  }

  size(): number {
    return this.#file.size()
  }

  read(offset: number, length: number): Uint8Array {
    return this.#faults.read(this.path, () => this.#file.read(offset, length))
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#faults.write(this.path, () => this.#file.write(offset, bytes))
  }

  /** Hot path: a node's log. */
  writeDurable(offset: number, bytes: Uint8Array): void {
    this.#durably(() => this.#file.writeDurable(offset, bytes))
  }

  allocate(length: number): void {
    this.#durably(() => this.#file.allocate(length))
  }

  sync(): void {
    this.#durably(() => this.#file.sync())
  }

  close(): void {
    this.#file.close()
  }

  #durably(work: () => void): void {
    if (this.#hasLost) throw failure(this.path)
    if (this.#faults.strikes()) {
      this.#hasLost = true
      this.#faults.fail(this.path, work)
    }
    work()
  }
}
