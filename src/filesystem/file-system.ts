/** A POSIX file system in the blocks of a device. The operations are told in `file-operations.ts`. */
import type { BlockDevice, Eventual } from './block-device.ts'
import type {
  AllocateMode,
  AttributeChange,
  Attributes,
  ByteName,
  DirectoryEntry,
  FileOperations,
  Ino,
  Owner,
  RenameMode,
  Statistics,
  Timestamp,
} from './file-operations.ts'
import { FsError } from './fs-error.ts'

export interface FileSystemOptions {
  /** The clock that times are taken from. */
  now(): Timestamp
}

export interface FormatOptions extends FileSystemOptions {
  /** How much may be allocated. @defaultValue 128 TiB */
  readonly capacityBytes?: number
  /** Of the root directory. */
  readonly mode?: number
  readonly owner?: Owner
}

const unbuilt = (): never => {
  throw new FsError('EIO', 'not built yet')
}

export class FileSystem implements FileOperations {
  readonly readOnly: boolean

  private constructor(device: BlockDevice) {
    this.readOnly = device.readOnly
  }

  /**
   * Makes an empty file system on a device of zeros.
   * @throws FsError EEXIST when something is there already
   */
  static async format(_device: BlockDevice, _options: FormatOptions): Promise<void> {
    unbuilt()
  }

  /**
   * Reads all metadata into memory, and removes files that were unlinked while open when the last user ended.
   * @throws FsError EINVAL when there is no file system that this code can read
   */
  static async attach(device: BlockDevice, _options: FileSystemOptions): Promise<FileSystem> {
    return new FileSystem(device)
  }

  lookup(_parent: Ino, _name: ByteName): Attributes {
    return unbuilt()
  }
  getattr(_target: Ino): Attributes {
    return unbuilt()
  }
  setattr(_target: Ino, _change: AttributeChange): Eventual<Attributes> {
    return unbuilt()
  }
  create(_parent: Ino, _name: ByteName, _mode: number, _owner: Owner): Eventual<Attributes> {
    return unbuilt()
  }
  mknod(_parent: Ino, _name: ByteName, _mode: number, _owner: Owner, _rdev = 0): Eventual<Attributes> {
    return unbuilt()
  }
  mkdir(_parent: Ino, _name: ByteName, _mode: number, _owner: Owner): Eventual<Attributes> {
    return unbuilt()
  }
  symlink(_parent: Ino, _name: ByteName, _target: ByteName, _owner: Owner): Eventual<Attributes> {
    return unbuilt()
  }
  link(_target: Ino, _newParent: Ino, _newName: ByteName): Eventual<Attributes> {
    return unbuilt()
  }
  unlink(_parent: Ino, _name: ByteName): Eventual<void> {
    return unbuilt()
  }
  rmdir(_parent: Ino, _name: ByteName): Eventual<void> {
    return unbuilt()
  }
  rename(_parent: Ino, _name: ByteName, _newParent: Ino, _newName: ByteName, _mode?: RenameMode): Eventual<void> {
    return unbuilt()
  }
  readlink(_target: Ino): ByteName {
    return unbuilt()
  }
  open(_target: Ino, _truncate = false): Eventual<void> {
    return unbuilt()
  }
  release(_target: Ino): Eventual<void> {
    return unbuilt()
  }
  read(_target: Ino, _offset: number, _length: number): Eventual<Uint8Array> {
    return unbuilt()
  }
  write(_target: Ino, _offset: number, _bytes: Uint8Array): Eventual<number> {
    return unbuilt()
  }
  fallocate(_target: Ino, _mode: AllocateMode, _offset: number, _length: number): Eventual<void> {
    return unbuilt()
  }
  fsync(): Eventual<void> {
    return unbuilt()
  }
  readdir(_target: Ino, _after: number, _count: number): readonly DirectoryEntry[] {
    return unbuilt()
  }
  statfs(): Statistics {
    return unbuilt()
  }
}
