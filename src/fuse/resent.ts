/**
 * A request that an earlier server was given too: it may have been carried out without its answer. Done again, its own
 * work is in its way; then it is answered as if it had just been done. Reads, writes, sizes and times can be repeated
 * as they are.
 */
import type { Attributes, ByteName, FileOperations, Ino } from '../filesystem/file-operations.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { type Eventual, otherwise } from './eventual.ts'

const isCode = (error: unknown, code: 'ENOENT' | 'EEXIST'): boolean => error instanceof FsError && error.code === code

/** A removal whose name is gone. */
export const removedAgain = (remove: () => Eventual<void>): Eventual<void> =>
  otherwise(remove, (error) => {
    if (!isCode(error, 'ENOENT')) throw error
  })

/** A name made that is there, for what was to be made. */
export const madeAgain = (
  files: FileOperations,
  make: () => Eventual<Attributes>,
  parent: Ino,
  name: ByteName,
  isIt: (found: Attributes) => boolean,
): Eventual<Attributes> =>
  otherwise(make, (error) => {
    if (!isCode(error, 'EEXIST')) throw error
    const found = files.lookup(parent, name)
    if (!isIt(found)) throw error
    return found
  })

/** A name moved away that is at its new place. */
export const renamedAgain = (
  files: FileOperations,
  rename: () => Eventual<void>,
  newParent: Ino,
  newName: ByteName,
): Eventual<void> =>
  otherwise(rename, (error) => {
    if (!isCode(error, 'ENOENT')) throw error
    files.lookup(newParent, newName)
  })
