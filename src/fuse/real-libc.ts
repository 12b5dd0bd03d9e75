/**
 * The calls of the C library and of libuv that FUSE needs and Node has no form of: mount, reads and writes that say
 * EAGAIN without an exception, and a watch of any descriptor in the event loop. Linux, glibc or musl under the name
 * `libc.so.6`; constants are those of x86-64 and arm64, which agree.
 *
 * Its own copy of the few lines that load `node:ffi`: this house must not know the one that has them already.
 */
import { constants } from 'node:os'

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

const ffi = loadFfi()

export const libc = ffi.dlopen('libc.so.6', {
  // ssize_t, of which no more than 31 bits are ever used here: a number is cheaper than a bigint.
  read: { return: 'i32', arguments: ['i32', 'pointer', 'u64'] },
  write: { return: 'i32', arguments: ['i32', 'pointer', 'u64'] },
  mount: { return: 'i32', arguments: ['pointer', 'pointer', 'pointer', 'u64', 'pointer'] },
  umount2: { return: 'i32', arguments: ['pointer', 'i32'] },
  __errno_location: { return: 'pointer', arguments: [] },
}).functions

/** Per thread, and so is this module. */
const errnoAddress = libc.__errno_location()

/** Why the last call failed. Ask at once. */
export const errno = (): number => ffi.getInt32(errnoAddress)

const ERROR_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))
export const errorName = (number: number): string => ERROR_NAMES.get(number) ?? `error ${number}`

/** A string as C has it. */
export const cString = (text: string): Buffer => Buffer.from(`${text}\0`)

/**
 * Bytes with a fixed address. An address alone does not keep memory alive (the collector frees what only the kernel
 * still writes to), so keep the object for as long as the address is used.
 */
export class NativeBytes {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly view: DataView<ArrayBuffer>
  readonly address: bigint

  constructor(length: number) {
    // A buffer of its own: small typed arrays may lie in V8's heap and move. Not zeroed, so pages never used cost nothing.
    const buffer = Buffer.allocUnsafeSlow(length).buffer
    this.bytes = new Uint8Array(buffer)
    this.view = new DataView(buffer)
    this.address = ffi.getRawPointer(buffer)
  }
}

const UV_POLL = 8
const UV_READABLE = 1

/** Symbols of the program itself: Node exports its libuv for addons, and the interface of uv_poll is libuv's public one. */
const node = ffi.dlopen(null, {
  uv_handle_size: { return: 'u64', arguments: ['i32'] },
  uv_poll_init: { return: 'i32', arguments: ['pointer', 'pointer', 'i32'] },
  uv_poll_start: { return: 'i32', arguments: ['pointer', 'i32', 'pointer'] },
  uv_poll_stop: { return: 'i32', arguments: ['pointer'] },
  uv_close: { return: 'void', arguments: ['pointer', 'pointer'] },
})
const uv = node.functions

/** libuv writes to a handle until its close is complete, a turn of the loop later: 160 bytes each, kept for ever. */
const handles: NativeBytes[] = []

/**
 * Calls back from the event loop when a descriptor is readable, for as long as it is. The callback runs as an immediate
 * of the same turn of the loop: so promises and errors are treated as in any callback of Node, which is not so inside a
 * callback of `node:ffi`.
 *
 * In a worker thread `close` has to be called before the thread ends: Node aborts over a handle it does not know.
 */
export class ReadableWatch {
  readonly #handle: NativeBytes
  readonly #callback: bigint
  readonly #onReadable: () => void
  #state: 'stopped' | 'watching' | 'called' | 'closed' = 'stopped'
  readonly #run = () => {
    if (this.#state !== 'called') return
    this.#state = 'watching'
    this.#onReadable()
  }

  constructor(fd: number, onReadable: () => void) {
    this.#onReadable = onReadable
    this.#handle = new NativeBytes(Number(uv.uv_handle_size(UV_POLL)))
    const failure = uv.uv_poll_init(ffi.getCurrentEventLoop(), this.#handle.address, fd)
    if (failure !== 0) throw new Error(`uv_poll_init: ${errorName(-failure)}`)
    handles.push(this.#handle)
    this.#callback = node.lib.registerCallback({ return: 'void', arguments: ['pointer', 'i32', 'i32'] }, () => {
      if (this.#state !== 'watching') return
      this.#state = 'called'
      setImmediate(this.#run)
    })
  }

  start(): void {
    if (this.#state !== 'stopped') return
    const failure = uv.uv_poll_start(this.#handle.address, UV_READABLE, this.#callback)
    if (failure !== 0) throw new Error(`uv_poll_start: ${errorName(-failure)}`)
    this.#state = 'watching'
  }

  stop(): void {
    if (this.#state !== 'watching' && this.#state !== 'called') return
    uv.uv_poll_stop(this.#handle.address)
    this.#state = 'stopped'
  }

  close(): void {
    if (this.#state === 'closed') return
    this.stop()
    this.#state = 'closed'
    uv.uv_close(this.#handle.address, 0n)
    // Not inside the callback itself.
    setImmediate(() => node.lib.unregisterCallback(this.#callback))
  }
}
