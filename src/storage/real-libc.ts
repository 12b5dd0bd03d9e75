/**
 * The few calls of the C library that Node has no synchronous form of: sockets without an event loop, poll and flock.
 * Linux, glibc or musl under the name `libc.so.6`; constants are those of x86-64 and arm64, which agree.
 *
 * Hot path. Measured: 0.15 us for a call with small numbers, 0.26 us with a pointer and a length as bigint, 0.34 us with
 * a typed array in place of the pointer. So buffers are named by address here.
 */
import { constants } from 'node:os'
import { VolumeError } from '../protocol/errors.ts'

type Ffi = typeof import('node:ffi')

/** Without the one warning that `node:ffi` is experimental: its version is pinned, and nobody could act on it. */
function loadFfi(): Ffi {
  const emitWarning = process.emitWarning
  process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
    if (String(warning).startsWith('FFI is an experimental')) return
    emitWarning.call(process, warning, ...rest)
  }) as typeof process.emitWarning
  try {
    return process.getBuiltinModule('node:ffi')
  } finally {
    process.emitWarning = emitWarning
  }
}

export const ffi = loadFfi()

export const libc = ffi.dlopen('libc.so.6', {
  socket: { return: 'i32', arguments: ['i32', 'i32', 'i32'] },
  bind: { return: 'i32', arguments: ['i32', 'pointer', 'u32'] },
  listen: { return: 'i32', arguments: ['i32', 'i32'] },
  connect: { return: 'i32', arguments: ['i32', 'pointer', 'u32'] },
  accept4: { return: 'i32', arguments: ['i32', 'pointer', 'pointer', 'i32'] },
  getsockname: { return: 'i32', arguments: ['i32', 'pointer', 'pointer'] },
  setsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'] },
  getsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'] },
  inet_pton: { return: 'i32', arguments: ['i32', 'pointer', 'pointer'] },
  poll: { return: 'i32', arguments: ['pointer', 'u64', 'i32'] },
  // ssize_t, of which no more than 31 bits are ever used here: a number is cheaper than a bigint.
  recv: { return: 'i32', arguments: ['i32', 'pointer', 'u64', 'i32'] },
  send: { return: 'i32', arguments: ['i32', 'pointer', 'u64', 'i32'] },
  eventfd: { return: 'i32', arguments: ['u32', 'i32'] },
  close: { return: 'i32', arguments: ['i32'] },
  flock: { return: 'i32', arguments: ['i32', 'i32'] },
  __errno_location: { return: 'pointer', arguments: [] },
}).functions

/** Per thread, and so is this module. */
const errnoAddress = libc.__errno_location()

/** Why the last call failed. Ask at once. */
export const errno = (): number => ffi.getInt32(errnoAddress)

export const { EAGAIN, EINTR, EINPROGRESS, EWOULDBLOCK } = constants.errno

const ERROR_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))
export const errorName = (number: number): string => ERROR_NAMES.get(number) ?? `error ${number}`

/** A failed call as an exception: for what is not expected to fail. */
export function libcFailure(call: string, number = errno()): VolumeError {
  return new VolumeError('Unreachable', `${call}: ${errorName(number)}`)
}

/**
 * Bytes with a fixed address. An address alone does not keep memory alive (the collector frees what only the kernel
 * still writes to), so keep the object for as long as the address is used.
 */
export class NativeBytes {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly address: bigint

  constructor(length: number) {
    // A buffer of its own: small typed arrays may lie in V8's heap and move.
    const buffer = new ArrayBuffer(length)
    this.bytes = new Uint8Array(buffer)
    this.address = ffi.getRawPointer(buffer)
  }
}
