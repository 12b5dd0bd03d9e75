/**
 * Times operations on one file of 8 MiB: `node bench/fuse/client.ts FILE KIND COUNT`. The C library is called through
 * node:ffi, at a third of a microsecond. Prints one line of JSON: microseconds at the median, at 99 %, on average.
 */
import { closeSync, constants, openSync, statfsSync } from 'node:fs'
import { NativeBytes } from '../../src/fuse/real-libc.ts'

const libc = process.getBuiltinModule('node:ffi').dlopen('libc.so.6', {
  pread: { return: 'i32', arguments: ['i32', 'pointer', 'u64', 'u64'] },
  pwrite: { return: 'i32', arguments: ['i32', 'pointer', 'u64', 'u64'] },
}).functions

const PAGE_BYTES = 8192
const PAGES = 1024
const [path = '', kind = '', count = '1000'] = process.argv.slice(2)

const page = new NativeBytes(PAGE_BYTES)
page.bytes.fill(7)
const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | (kind === 'write O_DSYNC' ? constants.O_DSYNC : 0))
let at = 0
/** Every page once, in an order that no read-ahead guesses. */
const next = (): bigint => {
  at = (at + 619) % PAGES
  return BigInt(at * PAGE_BYTES)
}
const LENGTH = BigInt(PAGE_BYTES)

const OPERATIONS: Record<string, () => boolean> = {
  // Always a request of its own: nothing about it is remembered.
  'round trip': () => statfsSync(path).bsize > 0,
  'random read': () => libc.pread(fd, page.address, LENGTH, next()) === PAGE_BYTES,
  write: () => libc.pwrite(fd, page.address, LENGTH, next()) === PAGE_BYTES,
  'write O_DSYNC': () => libc.pwrite(fd, page.address, LENGTH, next()) === PAGE_BYTES,
}
const operation = OPERATIONS[kind]
if (operation === undefined) throw new Error(`no kind ${kind}`)

function run(times: Float64Array): void {
  for (let index = 0; index < times.length; index++) {
    const before = performance.now()
    if (operation?.() !== true) throw new Error(`${kind} of ${path} failed`)
    times[index] = (performance.now() - before) * 1000
  }
}

for (let index = 0; index < PAGES; index++) libc.pwrite(fd, page.address, LENGTH, BigInt(index * PAGE_BYTES))
run(new Float64Array(500))
const times = new Float64Array(Number(count))
run(times)
closeSync(fd)
times.sort()
const mean = times.reduce((sum, time) => sum + time, 0) / times.length
const quantile = (share: number): number => times[Math.floor(times.length * share)] ?? 0
console.log(JSON.stringify({ p50: quantile(0.5), p99: quantile(0.99), mean }))
