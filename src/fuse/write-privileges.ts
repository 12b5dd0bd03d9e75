/**
 * Who writes to a file that runs with its owner's rights takes those rights away, unless root writes: the kernel leaves
 * this to the server when the page cache is bypassed.
 *
 * Hot path: all that an engine writes asks for it, so files that have no such bits are remembered.
 */
import type { Attributes, FileOperations, Ino } from '../filesystem/file-operations.ts'
import { after, type Eventual } from './eventual.ts'
import { S_ISGID, S_ISUID, S_IXGRP } from './kernel-abi.ts'

/** Forgotten all at once beyond this; an engine has a few thousand files at work. */
const REMEMBERED_MAX = 65_536

/** Without execution by the group, set-group-ID meant mandatory locks once, and stays. */
const withoutPrivileges = (mode: number): number => mode & ~S_ISUID & ~((mode & S_IXGRP) !== 0 ? S_ISGID : 0) & 0o7777

export class WritePrivileges {
  readonly #files: FileOperations
  readonly #plain = new Set<Ino>()

  constructor(files: FileOperations) {
    this.#files = files
  }

  /** Before somebody writes who may not keep them. */
  drop(file: Ino): Eventual<void> {
    if (this.#plain.has(file)) return
    const { mode } = this.#files.getattr(file)
    const changed = withoutPrivileges(mode)
    if (changed !== (mode & 0o7777)) return after(this.#files.setattr(file, { mode: changed }), () => {})
    if (this.#plain.size >= REMEMBERED_MAX) this.#plain.clear()
    this.#plain.add(file)
  }

  /** Of every inode that was made or changed, what the kernel is told. */
  note({ ino, mode }: Attributes): void {
    if ((mode & (S_ISUID | S_ISGID)) !== 0) this.#plain.delete(ino)
  }
}
