/**
 * Random operations on one file against a copy in memory, after the idea of `fsx`: `node test/file-exerciser.ts FILE
 * OPERATIONS SEED`. Sizes and places of any alignment, two descriptors, truncation, holes, durable writes, remounted
 * caches. The first difference ends it with status 1 and what was done last.
 */
import { closeSync, constants, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { Random } from '../sim/random.ts'

const emitWarning = process.emitWarning
process.emitWarning = () => {}
const libc = process.getBuiltinModule('node:ffi').dlopen('libc.so.6', {
  fallocate: { return: 'i32', arguments: ['i32', 'i32', 'i64', 'i64'] },
}).functions
process.emitWarning = emitWarning

const FILE_BYTES_MAX = 300_000
const KEEP_SIZE = 1
const PUNCH_HOLE = 2
const ZERO_RANGE = 16

const [path = '', operations = '1000', seed = '1'] = process.argv.slice(2)
const random = new Random(Number(seed))
const flags = constants.O_RDWR | constants.O_CREAT
const descriptors = [openSync(path, flags), openSync(path, flags | constants.O_DSYNC)]
const model = new Uint8Array(FILE_BYTES_MAX)
let size = 0
const done: string[] = []

function fail(message: string): never {
  console.error(`seed ${seed}, operation ${done.length}: ${message}\n${done.slice(-10).join('\n')}`)
  process.exit(1)
}
const descriptor = (): number => random.pick(descriptors)
/** Half of them whole pages. */
function range(): { readonly at: number; readonly length: number } {
  if (random.below(2) === 0) {
    const at = random.below(FILE_BYTES_MAX - 1)
    return { at, length: random.between(1, Math.min(FILE_BYTES_MAX - at, 70_000)) }
  }
  const page = random.below(Math.floor(FILE_BYTES_MAX / 8192) - 1)
  return { at: page * 8192, length: 8192 }
}

function check(at: number, length: number): void {
  const bytes = new Uint8Array(length)
  const count = readSync(descriptor(), bytes, 0, length, at)
  const expected = Math.max(0, Math.min(length, size - at))
  if (count !== expected) fail(`read ${count} bytes at ${at}, there are ${expected}`)
  for (let index = 0; index < count; index++) {
    if (bytes[index] !== model[at + index])
      fail(`byte ${at + index} is ${bytes[index]}, written was ${model[at + index]}`)
  }
}

function write(): void {
  const { at, length } = range()
  const bytes = random.fill(new Uint8Array(length))
  done.push(`write ${length} at ${at}`)
  if (writeSync(descriptor(), bytes, 0, length, at) !== length) fail('written in part')
  model.set(bytes, at)
  size = Math.max(size, at + length)
}

function truncate(): void {
  const to = random.below(FILE_BYTES_MAX)
  done.push(`truncate to ${to}`)
  ftruncateSync(descriptor(), to)
  model.fill(0, to)
  size = to
}

function allocate(): void {
  const { at, length } = range()
  const mode = random.pick([0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE])
  done.push(`allocate ${length} at ${at}, mode ${mode}`)
  if (libc.fallocate(descriptor(), mode, BigInt(at), BigInt(length)) !== 0) fail('not allocated')
  if ((mode & (PUNCH_HOLE | ZERO_RANGE)) !== 0) model.fill(0, at, Math.min(at + length, size))
  if ((mode & KEEP_SIZE) === 0) size = Math.max(size, at + length)
}

function read(): void {
  const { at, length } = range()
  check(at, length)
}

for (let count = 0; count < Number(operations); count++) {
  random.pick([write, write, write, read, read, read, truncate, allocate])()
  if (fstatSync(descriptor()).size !== size) fail(`size ${fstatSync(descriptor()).size}, should be ${size}`)
  if (random.below(20) === 0) fdatasyncSync(descriptor())
  if (random.below(50) === 0) {
    closeSync(descriptors[0] ?? -1)
    descriptors[0] = openSync(path, flags)
  }
}
check(0, FILE_BYTES_MAX)
