/**
 * What a storage node needs of a disk. Every call blocks: a node is one thread over one disk, so a write that
 * returned is where it was put and no callback can run in between. The real disk is `real-disk.ts`; the simulator
 * has one that tears, loses, misdirects and rots.
 *
 * Paths are relative to the node's own folder, with `/` between parts.
 */
export interface Disk {
  /** Names in a folder, sorted; empty when the folder is not there. */
  list(folder: string): string[]
  /** Makes a folder and its parents; durable after `syncFolder` of the parent. No error when it is there. */
  makeFolder(folder: string): void
  /** Makes `path` (or empties it) and opens it for reading and writing. */
  create(path: string): DiskFile
  /** Opens an existing file. Throws `NotFound`. */
  open(path: string): DiskFile
  exists(path: string): boolean
  /** Atomic, replaces; durable after `syncFolder`. */
  rename(from: string, to: string): void
  /** No error when it is not there. Open files stay readable, as in POSIX. */
  remove(path: string): void
  /** Removes a folder with all that is in it. */
  removeFolder(folder: string): void
  /** Makes creations, renames and removals in the folder durable. */
  syncFolder(folder: string): void
  /** Bytes that can still be written. */
  freeBytes(): number
}

/** An open file. Offsets and lengths in bytes. */
export interface DiskFile {
  readonly path: string
  size(): number
  /** Exactly `length` bytes; throws `Corrupt` when the file ends before. The caller owns the answer. */
  read(offset: number, length: number): Uint8Array
  /** In the cache only: lost or torn by a crash until `sync`. Throws `DiskFull`. */
  write(offset: number, bytes: Uint8Array): void
  /**
   * Written and on stable storage when it returns. Offset and length are multiples of 4,096 and the bytes lie inside
   * a space given out by `alignedBuffer`: this is O_DIRECT | O_DSYNC where the system has it.
   */
  writeDurable(offset: number, bytes: Uint8Array): void
  /** Reserves `length` zeroed bytes from the start, so that `writeDurable` inside them cannot run out of room. Throws `DiskFull`. */
  allocate(length: number): void
  sync(): void
  close(): void
}
