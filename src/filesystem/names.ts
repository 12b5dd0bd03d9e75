/** What a name may be. */
import { type ByteName, NAME_BYTES_MAX, TARGET_BYTES_MAX } from './file-operations.ts'
import { FsError } from './fs-error.ts'

const NO_NAME = /[/\0\u0100-\uffff]/

/** @throws FsError EINVAL, ENAMETOOLONG, ENOENT for no name at all */
export function checkName(name: ByteName): void {
  if (name.length > NAME_BYTES_MAX) throw new FsError('ENAMETOOLONG', `a name of ${name.length} bytes`)
  if (name.length === 0) throw new FsError('ENOENT', 'an empty name')
  if (NO_NAME.test(name)) throw new FsError('EINVAL', `a name may not be ${JSON.stringify(name)}`)
}

export const isDots = (name: ByteName): boolean => name === '.' || name === '..'

/** @throws FsError EINVAL, ENAMETOOLONG, ENOENT for no target at all */
export function checkTarget(target: ByteName): void {
  if (target.length > TARGET_BYTES_MAX) throw new FsError('ENAMETOOLONG', `a target of ${target.length} bytes`)
  if (target.length === 0) throw new FsError('ENOENT', 'an empty target')
  if (/[\0\u0100-\uffff]/.test(target)) throw new FsError('EINVAL', 'a target has bytes other than 0')
}
