/**
 * zstd of the library that is in Node itself. `node:zlib` makes a context and several buffers for each call: 38 to 56 us
 * to pack a block of 8 KiB and 46 us to unpack it, where the work takes 8 and 5 us. Called directly, with contexts that
 * stay, it is worth its price for single blocks. Where Node does not show its library, `node:zlib` does the same, slower.
 *
 * Bytes in, bytes out: like the checksums of `node:zlib`, and unlike other shells, it knows nothing of the world.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'

export interface Zstd {
  /** Writes a frame with the packed form of `bytes`; answers its length, or -1 when it would not fit. */
  pack(bytes: Uint8Array, into: Uint8Array): number
  /** Answers what a frame holds, valid until the next call; undefined when it is none, or holds more than `lengthMax`. */
  unpack(frame: Uint8Array, lengthMax: number): Uint8Array | undefined
}

/** Of text-like blocks half is left, of PostgreSQL's bulk loads a sixteenth; what cannot be packed costs 4 us a block. */
const LEVEL = -1

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

/** Buffers at fixed addresses, through which all goes: a copy costs less than naming a typed array to a foreign call. */
function nativeZstd(bytesMax: number): Zstd {
  const ffi = loadFfi()
  const { functions } = ffi.dlopen(null, {
    ZSTD_createCCtx: { return: 'pointer', arguments: [] },
    ZSTD_createDCtx: { return: 'pointer', arguments: [] },
    // size_t, of which no more than 31 bits are ever used here; errors are negative then.
    ZSTD_compressCCtx: { return: 'i32', arguments: ['pointer', 'pointer', 'u64', 'pointer', 'u64', 'i32'] },
    ZSTD_decompressDCtx: { return: 'i32', arguments: ['pointer', 'pointer', 'u64', 'pointer', 'u64'] },
  })
  const [from, to] = [new ArrayBuffer(bytesMax), new ArrayBuffer(bytesMax)]
  const [fromBytes, toBytes] = [new Uint8Array(from), new Uint8Array(to)]
  const [fromAddress, toAddress] = [ffi.getRawPointer(from), ffi.getRawPointer(to)]
  const [packing, unpacking] = [functions.ZSTD_createCCtx(), functions.ZSTD_createDCtx()]
  return {
    pack(bytes, into) {
      fromBytes.set(bytes)
      const room = BigInt(into.length)
      const length = functions.ZSTD_compressCCtx(packing, toAddress, room, fromAddress, BigInt(bytes.length), LEVEL)
      if (length < 0) return -1
      into.set(toBytes.subarray(0, length))
      return length
    },
    unpack(frame, lengthMax) {
      if (frame.length > bytesMax || lengthMax > bytesMax) return undefined
      fromBytes.set(frame)
      const size = BigInt(frame.length)
      const length = functions.ZSTD_decompressDCtx(unpacking, toAddress, BigInt(lengthMax), fromAddress, size)
      return length < 0 ? undefined : toBytes.subarray(0, length)
    },
  }
}

export const zlibZstd: Zstd = {
  pack(bytes, into) {
    const frame = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } })
    if (frame.length > into.length) return -1
    into.set(frame)
    return frame.length
  },
  unpack(frame, lengthMax) {
    try {
      return zstdDecompressSync(frame, { maxOutputLength: Math.max(1, lengthMax) })
    } catch {
      return undefined
    }
  },
}

/** @param bytesMax of what is packed, and of frames */
export function openZstd(bytesMax: number): Zstd {
  try {
    return nativeZstd(bytesMax)
  } catch {
    return zlibZstd
  }
}
