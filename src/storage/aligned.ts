/**
 * Memory for `DiskFile.writeDurable`: direct writes need buffers that begin at a page. Only WebAssembly's memory does
 * so in plain JavaScript; each takes whole 64 KiB pieces and a range of the address space (about 16,000 fit into one
 * process), so a buffer is made once and used again.
 */
import { invariant } from '../protocol/errors.ts'

/** What direct writes are aligned to, in bytes: at least the logical block of every disk we know. */
export const DISK_ALIGNMENT = 4096

/** TypeScript has this only in the types of browsers. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}

const WASM_PAGE_BYTES = 65_536
const given = new WeakSet<ArrayBufferLike>()

/** Zeroed bytes that begin at a page. */
export function alignedBuffer(bytes: number): Uint8Array {
  invariant(Number.isSafeInteger(bytes) && bytes > 0, () => `an aligned buffer of ${bytes} bytes`)
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / WASM_PAGE_BYTES) })
  given.add(memory.buffer)
  return new Uint8Array(memory.buffer, 0, bytes)
}

/** Whether `writeDurable` takes these bytes at this offset. */
export function isAligned(offset: number, bytes: Uint8Array): boolean {
  return (offset | bytes.byteOffset | bytes.length) % DISK_ALIGNMENT === 0 && given.has(bytes.buffer)
}
