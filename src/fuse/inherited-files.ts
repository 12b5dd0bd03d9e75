/**
 * What a new server knows of the files that were opened under the one before it: nothing, but that they may be open.
 *
 * A handle is the number of the server that gave it (its generation), so a release of an older one is told from ours.
 * The file system of the new server counts only its own opens. So the last name of a file is taken away here only after
 * the file was pinned by an open of our own; and the pin goes when the kernel forgets the inode, which it does when it
 * has no name, no handle and no mapping left. The files that had lost their names before already are pinned from the
 * start.
 */
import {
  type Attributes,
  type ByteName,
  type FileOperations,
  FileType,
  type Ino,
} from '../filesystem/file-operations.ts'
import { after, type Eventual } from './eventual.ts'

export class InheritedFiles {
  readonly #files: FileOperations
  readonly #pinned: Set<Ino>

  /** `pinned`: files without a name that the file system holds open for us, once each. */
  constructor(files: FileOperations, pinned: Iterable<Ino>) {
    this.#files = files
    this.#pinned = new Set(pinned)
  }

  /** Before the name is removed, or replaced by another file. */
  beforeLoss(parent: Ino, name: ByteName): Eventual<void> {
    const found = this.#find(parent, name)
    if (found === undefined || this.#pinned.has(found.ino)) return
    // The others are opened without us: links not at all, devices and pipes in the kernel alone.
    const type = found.mode & FileType.MASK
    if (type !== FileType.REGULAR && type !== FileType.DIRECTORY) return
    if (found.links > (type === FileType.DIRECTORY ? 2 : 1)) return
    return after(this.#files.open(found.ino), () => {
      this.#pinned.add(found.ino)
    })
  }

  #find(parent: Ino, name: ByteName): Attributes | undefined {
    try {
      return this.#files.lookup(parent, name)
    } catch {
      // Whatever is wrong is said by the operation itself.
      return undefined
    }
  }

  /** The kernel has no use for the inode any more. */
  forget(file: Ino): Eventual<void> {
    if (!this.#pinned.delete(file)) return
    // A file that got a name again, or whose removal failed, is only closed by this.
    return this.#files.release(file)
  }
}
