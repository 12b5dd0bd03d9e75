/** The requests that make, move and take away names. */
import { constants } from 'node:os'
import {
  type Attributes,
  type ByteName,
  type FileOperations,
  FileType,
  type Ino,
  type Owner,
  type RenameMode,
} from '../filesystem/file-operations.ts'
import { after, type Eventual } from './eventual.ts'
import type { InheritedFiles } from './inherited-files.ts'
import { S_ISGID, UNIQUE_RESEND_HIGH } from './kernel-abi.ts'
import type { Request } from './request.ts'
import { Refused, renameMode } from './request-values.ts'
import { madeAgain, removedAgain, renamedAgain } from './resent.ts'

/** Where names stand in the bodies, behind their fixed parts. */
const NAME_AT = { mknod: 16, mkdir: 8, create: 16, link: 8, rename: 8, rename2: 16 } as const

const typeOf = (mode: number): number => mode & FileType.MASK

const isResent = (request: Request): boolean => request.uniqueHigh >= UNIQUE_RESEND_HIGH

export class NameRequests {
  readonly #files: FileOperations
  /** undefined when there was no server before this one. */
  readonly #inherited: InheritedFiles | undefined

  constructor(files: FileOperations, inherited: InheritedFiles | undefined) {
    this.#files = files
    this.#inherited = inherited
  }

  /** A set-group-ID directory gives its group to what is made in it, and to directories the bit. */
  #owner(parent: Ino, { uid, gid }: Request): Owner & { readonly inheritsGroup: boolean } {
    const above = this.#files.getattr(parent)
    const inheritsGroup = (above.mode & S_ISGID) !== 0
    return { uid, gid: inheritsGroup ? above.gid : gid, inheritsGroup }
  }

  #make(
    request: Request,
    name: ByteName,
    isIt: (found: Attributes) => boolean,
    make: () => Eventual<Attributes>,
  ): Eventual<Attributes> {
    return isResent(request) ? madeAgain(this.#files, make, request.node, name, isIt) : make()
  }

  /** Made and opened. */
  create(request: Request): Eventual<Attributes> {
    const { node, createMode } = request
    const name = request.name(NAME_AT.create)
    const owner = this.#owner(node, request)
    if (!isResent(request)) return this.#files.create(node, name, createMode & 0o7777, owner)
    // One that was made by the server before is not open in ours.
    let isMade = false
    const made = this.#make(
      request,
      name,
      ({ mode }) => typeOf(mode) === FileType.REGULAR,
      () =>
        after(this.#files.create(node, name, createMode & 0o7777, owner), (attributes) => {
          isMade = true
          return attributes
        }),
    )
    return after(made, (attributes) =>
      isMade ? attributes : after(this.#files.open(attributes.ino), () => attributes),
    )
  }

  mknod(request: Request): Eventual<Attributes> {
    const { node, mode, device } = request
    const name = request.name(NAME_AT.mknod)
    const owner = this.#owner(node, request)
    return this.#make(
      request,
      name,
      (found) => typeOf(found.mode) === typeOf(mode) && found.rdev === device,
      () => this.#files.mknod(node, name, mode, owner, device),
    )
  }

  mkdir(request: Request): Eventual<Attributes> {
    const { node, mode } = request
    const name = request.name(NAME_AT.mkdir)
    const owner = this.#owner(node, request)
    return this.#make(
      request,
      name,
      (found) => typeOf(found.mode) === FileType.DIRECTORY,
      () => this.#files.mkdir(node, name, (mode & 0o7777) | (owner.inheritsGroup ? S_ISGID : 0), owner),
    )
  }

  symlink(request: Request): Eventual<Attributes> {
    const { node } = request
    const [name, target] = request.names(0)
    const owner = this.#owner(node, request)
    return this.#make(
      request,
      name,
      (found) => typeOf(found.mode) === FileType.SYMLINK && this.#files.readlink(found.ino) === target,
      () => this.#files.symlink(node, name, target, owner),
    )
  }

  link(request: Request): Eventual<Attributes> {
    const { node, linkedNode } = request
    const name = request.name(NAME_AT.link)
    return this.#make(
      request,
      name,
      (found) => found.ino === linkedNode,
      () => this.#files.link(linkedNode, node, name),
    )
  }

  unlink(request: Request): Eventual<void> {
    const { node } = request
    const name = request.name(0)
    return this.#remove(request, name, () => this.#files.unlink(node, name))
  }

  rmdir(request: Request): Eventual<void> {
    const { node } = request
    const name = request.name(0)
    return this.#remove(request, name, () => this.#files.rmdir(node, name))
  }

  #remove(request: Request, name: ByteName, remove: () => Eventual<void>): Eventual<void> {
    if (this.#inherited === undefined) return remove()
    const again = isResent(request)
    return after(this.#inherited.beforeLoss(request.node, name), () => (again ? removedAgain(remove) : remove()))
  }

  rename(request: Request): Eventual<void> {
    return this.#rename(request, 'replace', NAME_AT.rename)
  }

  rename2(request: Request): Eventual<void> {
    return this.#rename(request, renameMode(request.renameFlags), NAME_AT.rename2)
  }

  #rename(request: Request, mode: RenameMode, namesAt: number): Eventual<void> {
    const { node, newParent } = request
    const [name, newName] = request.names(namesAt)
    const rename = () => this.#files.rename(node, name, newParent, newName, mode)
    if (this.#inherited === undefined) return rename()
    const again = isResent(request)
    // Whether the two were exchanged before cannot be seen from their names.
    if (again && mode === 'exchange') throw new Refused(constants.errno.EIO, 'an exchange that may have been done')
    const lost = mode === 'replace' ? this.#inherited.beforeLoss(newParent, newName) : undefined
    return after(lost, () => (again ? renamedAgain(this.#files, rename, newParent, newName) : rename()))
  }
}
