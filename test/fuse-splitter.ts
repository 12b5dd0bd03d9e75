/**
 * Writes pages from places in memory that are not there yet, through the C library: `node test/fuse-splitter.ts FILE
 * ROUNDS`. The kernel has to fetch the source in the middle of the write, which is where writes are split. Prints one
 * line of JSON: for every kind of write how many bytes were taken, at least and at most, of how many.
 */
import { closeSync, constants, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const emitWarning = process.emitWarning
process.emitWarning = () => {}
const ffi = process.getBuiltinModule('node:ffi')
process.emitWarning = emitWarning

const libc = ffi.dlopen('libc.so.6', {
  mmap: { return: 'u64', arguments: ['u64', 'u64', 'i32', 'i32', 'i32', 'i64'] },
  madvise: { return: 'i32', arguments: ['u64', 'u64', 'i32'] },
  pwrite: { return: 'i64', arguments: ['i32', 'u64', 'u64', 'i64'] },
  pwritev: { return: 'i64', arguments: ['i32', 'pointer', 'i32', 'i64'] },
  posix_fadvise: { return: 'i32', arguments: ['i32', 'i64', 'i64', 'i32'] },
}).functions

const PROT = 3
const MAP_SHARED = 1
const MAP_PRIVATE_ANONYMOUS = 0x22
const DONTNEED = 4
const PAGE = 8192n
const SOURCE_BYTES = 8 << 20
const LONG_BYTES = 3n << 20n
const VECTORS = 128

const [path = '', rounds = '100'] = process.argv.slice(2)
const sourcePath = join(tmpdir(), `fuse-splitter-${process.pid}`)
writeFileSync(sourcePath, new Uint8Array(SOURCE_BYTES).fill(1))
const sourceFd = openSync(sourcePath, 'r+')
rmSync(sourcePath)
const fd = openSync(path, constants.O_RDWR | constants.O_CREAT)

const anonymous = libc.mmap(0n, BigInt(SOURCE_BYTES), PROT, MAP_PRIVATE_ANONYMOUS, -1, 0n)
const mapped = libc.mmap(0n, BigInt(SOURCE_BYTES), PROT, MAP_SHARED, sourceFd, 0n)

/** Nothing of it is in the page tables any more, and of the file nothing in memory at all. */
function forget(bytes = BigInt(SOURCE_BYTES)): void {
  libc.madvise(anonymous, bytes, DONTNEED)
  libc.madvise(mapped, bytes, DONTNEED)
  libc.posix_fadvise(sourceFd, 0n, bytes, DONTNEED)
}

/** Brings one page of memory back. */
const touch = (address: bigint): void => ffi.setUint8(address, 0, 1)

const taken: Record<string, [least: number, most: number, of: number]> = {}
function note(kind: string, count: bigint, of: number): void {
  const [least, most] = taken[kind] ?? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  taken[kind] = [Math.min(least, Number(count)), Math.max(most, Number(count)), of]
}

for (let round = 0; round < Number(rounds); round++) {
  const skewed = BigInt((round * 1456) % 4096)
  const to = BigInt((round * 7919) % 500) * PAGE
  for (const [kind, start] of [
    ['zeros', anonymous],
    ['file', mapped],
  ] as const) {
    const source = start + skewed
    forget(32_768n)
    note(`${kind}, nothing there`, libc.pwrite(fd, source, PAGE, to), 8192)
    forget(32_768n)
    touch(source)
    note(`${kind}, the first part there`, libc.pwrite(fd, source, PAGE, to), 8192)
    forget(32_768n)
    touch(source + 4096n)
    note(`${kind}, the second part there`, libc.pwrite(fd, source, PAGE, to), 8192)
  }
}
forget()
note('long, aligned', libc.pwrite(fd, mapped, LONG_BYTES, 0n), Number(LONG_BYTES))
forget()
note('long, not aligned', libc.pwrite(fd, mapped + 16n, LONG_BYTES, 0n), Number(LONG_BYTES))
forget()
const vectors = new BigUint64Array(2 * VECTORS)
for (let index = 0; index < VECTORS; index++) vectors.set([anonymous + BigInt(index * 20_000 + 16), PAGE], 2 * index)
note('vectors, not aligned', libc.pwritev(fd, ffi.getRawPointer(vectors.buffer), VECTORS, 0n), VECTORS * 8192)
closeSync(fd)
console.log(JSON.stringify(taken))
