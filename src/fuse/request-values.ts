/** Requests' bits in the file system's words. */
import { constants } from 'node:os'
import type { AllocateMode, AttributeChange, RenameMode } from '../filesystem/file-operations.ts'
import { Fallocate, Rename, SetAttr } from './kernel-abi.ts'
import type { Request } from './request.ts'

const { EINVAL, EOPNOTSUPP } = constants.errno

/** Answered with this number, and nothing is wrong with the file system. */
export class Refused extends Error {
  readonly errno: number
  constructor(errno: number, message: string) {
    super(message)
    this.name = 'Refused'
    this.errno = errno
  }
}

export function attributeChange(request: Request): AttributeChange {
  const { valid } = request
  const has = (bit: number) => (valid & bit) !== 0
  return {
    ...(has(SetAttr.MODE) ? { mode: request.newMode & 0o7777 } : {}),
    ...(has(SetAttr.UID) ? { uid: request.newUid } : {}),
    ...(has(SetAttr.GID) ? { gid: request.newGid } : {}),
    ...(has(SetAttr.SIZE) ? { size: request.newSize } : {}),
    ...(has(SetAttr.ATIME) ? { atime: has(SetAttr.ATIME_NOW) ? 'now' : request.time('access') } : {}),
    ...(has(SetAttr.MTIME) ? { mtime: has(SetAttr.MTIME_NOW) ? 'now' : request.time('modify') } : {}),
  }
}

const ALLOCATE_MODES = new Map<number, AllocateMode>([
  [0, 'allocate'],
  [Fallocate.KEEP_SIZE, 'allocate-keep-size'],
  [Fallocate.PUNCH_HOLE | Fallocate.KEEP_SIZE, 'punch-hole'],
  [Fallocate.ZERO_RANGE, 'zero-range'],
  [Fallocate.ZERO_RANGE | Fallocate.KEEP_SIZE, 'zero-range-keep-size'],
])

export function allocateMode(bits: number): AllocateMode {
  const mode = ALLOCATE_MODES.get(bits)
  if (mode === undefined) throw new Refused(EOPNOTSUPP, `fallocate mode ${bits}`)
  return mode
}

export function renameMode(bits: number): RenameMode {
  if (bits === 0) return 'replace'
  if (bits === Rename.NOREPLACE) return 'noreplace'
  if (bits === Rename.EXCHANGE) return 'exchange'
  throw new Refused(EINVAL, `rename flags ${bits}`)
}
