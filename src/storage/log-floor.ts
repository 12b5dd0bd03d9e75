/**
 * From which file on the hot log has to be replayed: what lies below is in layers, on this disk or on every full member's,
 * and is kept for peers alone. A node that noted nothing replays all it has; one that starts with 256 MiB kept for peers
 * took a second of processor time to find out that it needs none of it.
 */
import type { Disk } from './disk.ts'
import { readState, writeState } from './durable-state.ts'

const FOLDER = 'node'
const NAME = 'log-floor'

interface StoredFloor {
  readonly format: 1
  readonly file: number
}

export class LogFloor {
  readonly #disk: Disk
  #file: number

  private constructor(disk: Disk, file: number) {
    this.#disk = disk
    this.#file = file
  }

  /** A damaged note is as good as none: replaying more than is needed changes nothing. */
  static load(disk: Disk): LogFloor {
    const read = readState(disk, FOLDER, NAME)
    return new LogFloor(disk, read.status === 'present' ? (read.value as StoredFloor).file : 0)
  }

  get file(): number {
    return this.#file
  }

  /** Durable when it returns. @throws VolumeError `DiskFull`: it is as before */
  move(file: number): void {
    writeState(this.#disk, FOLDER, NAME, { format: 1, file } satisfies StoredFloor)
    this.#file = file
  }
}
