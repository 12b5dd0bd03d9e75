/** File systems so small that a test fills them for real. Needs the right to mount, which many machines do not give. */
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  statfsSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { whenWeEnd } from './child-processes.ts'

const BALLAST = 'ballast'
const SMALLEST_CHUNK_BYTES = 16 << 10
const CHUNKS = [1 << 20, SMALLEST_CHUNK_BYTES].map((bytes) => new Uint8Array(bytes))

export type FileSystemKind = 'tmpfs' | 'ext4'

function run(command: string, ...args: string[]): string | undefined {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (error !== undefined) return error.message
  return status === 0 ? undefined : stderr.trim() || `${command} ended with status ${status}`
}

/** One that is mounted; it goes when this process ends, at the latest. */
export class SmallFileSystem {
  readonly folder: string
  readonly #image: string | undefined
  readonly #forget: () => void

  private constructor(folder: string, image: string | undefined) {
    this.folder = folder
    this.#image = image
    this.#forget = whenWeEnd(() => this.#remove())
  }

  /** Mounts over a folder, which is made. @throws Error when that is not permitted */
  static mount(kind: FileSystemKind, folder: string, bytes: number): SmallFileSystem {
    mkdirSync(folder, { recursive: true })
    const image = kind === 'ext4' ? `${folder}.image` : undefined
    let problem: string | undefined
    if (image === undefined) problem = run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'borealis-test', folder)
    else {
      writeFileSync(image, '')
      truncateSync(image, bytes)
      problem = run('mkfs.ext4', '-q', '-m', '0', image) ?? run('mount', '-o', 'loop', image, folder)
    }
    if (problem === undefined) return new SmallFileSystem(folder, image)
    if (image !== undefined) unlinkSync(image)
    throw new Error(`${kind} cannot be mounted: ${problem}`)
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder)
    return bavail * bsize
  }

  /** Takes what room there is, but for so many bytes, until `removeBallast`. */
  fill(leave: number): void {
    if (this.freeBytes - leave < SMALLEST_CHUNK_BYTES) return
    const file = openSync(join(this.folder, BALLAST), 'a')
    try {
      for (const chunk of CHUNKS) while (this.freeBytes - leave >= chunk.length) writeSync(file, chunk)
      // On disk, not only promised: else the file system may still give the blocks to others.
      fsyncSync(file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      closeSync(file)
    }
  }

  removeBallast(): void {
    unlinkSync(join(this.folder, BALLAST))
  }

  unmount(): void {
    this.#remove()
    this.#forget()
  }

  #remove(): void {
    // Lazily: a process that was killed a moment ago may still hold files.
    run('umount', '-l', this.folder)
    if (this.#image !== undefined) run('rm', '-f', this.#image)
  }
}

/** Why file systems of a kind cannot be mounted here; undefined when they can. */
export function whyNotMountable(kind: FileSystemKind): string | undefined {
  const home = mkdtempSync(join(tmpdir(), 'borealis-mount-'))
  const folder = join(home, 'x')
  try {
    SmallFileSystem.mount(kind, folder, 16 << 20).unmount()
    return undefined
  } catch (error) {
    return (error as Error).message
  } finally {
    run('rm', '-rf', home)
  }
}
