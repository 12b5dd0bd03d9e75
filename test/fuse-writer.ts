/**
 * A program that works on files as an engine does and believes nothing: `node test/fuse-writer.ts FOLDER SECONDS SEED`.
 * Whatever fails, and whatever it reads back that it did not write, ends it with status 1 and a line that says so.
 * Prints one line of JSON at its end.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Random } from '../sim/random.ts'

const PAGE_BYTES = 8192
const PAGES = 64

const [folder = '.', seconds = '1', seed = '1'] = process.argv.slice(2)
const random = new Random(Number(seed))
const counts = { pages: 0, durable: 0, names: 0, slowestMs: 0 }

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}

/** A file of pages, each with the number of its last change all over it. */
class PagedFile {
  readonly #name: string
  readonly #fd: number
  readonly #pages = new Map<number, number>()

  constructor(name: string, flags: number) {
    this.#name = name
    this.#fd = openSync(join(folder, name), constants.O_RDWR | constants.O_CREAT | flags)
  }

  write(change: number): void {
    const page = random.below(PAGES)
    const bytes = new Uint32Array(PAGE_BYTES / 4).fill(change)
    const count = writeSync(this.#fd, bytes, 0, PAGE_BYTES, page * PAGE_BYTES)
    if (count !== PAGE_BYTES) fail(`${this.#name}: ${count} bytes written`)
    this.#pages.set(page, change)
    counts.pages++
  }

  check(page = random.below(PAGES)): void {
    const expected = this.#pages.get(page)
    if (expected === undefined) return
    const bytes = new Uint32Array(PAGE_BYTES / 4)
    readSync(this.#fd, bytes, 0, PAGE_BYTES, page * PAGE_BYTES)
    const wrong = bytes.find((word) => word !== expected)
    if (wrong !== undefined) fail(`${this.#name}: page ${page} has ${wrong}, written was ${expected}`)
  }

  checkAll(): void {
    for (const page of this.#pages.keys()) this.check(page)
  }

  sync(): void {
    fsyncSync(this.#fd)
    counts.durable++
  }

  unlink(): void {
    unlinkSync(join(folder, this.#name))
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/** Names that come, move and go, each step with what must be there after it. */
function names(turn: number): void {
  const at = (name: string) => join(folder, `${name}-${turn}`)
  mkdirSync(at('folder'))
  const fd = openSync(at('new'), 'wx')
  writeSync(fd, `turn ${turn}`)
  ftruncateSync(fd, 4)
  closeSync(fd)
  linkSync(at('new'), join(at('folder'), 'hard'))
  symlinkSync('nowhere', join(at('folder'), 'soft'))
  renameSync(at('new'), join(at('folder'), 'moved'))
  const found = readdirSync(at('folder')).sort().join()
  if (found !== 'hard,moved,soft') fail(`turn ${turn}: ${found}`)
  for (const name of ['hard', 'moved', 'soft']) unlinkSync(join(at('folder'), name))
  rmdirSync(at('folder'))
  counts.names++
}

const data = new PagedFile('data', 0)
const log = new PagedFile('log', constants.O_DSYNC)
const unlinkedLater = new PagedFile('unlinked-later', 0)
unlinkedLater.write(1)
const startedMs = performance.now()
const untilMs = startedMs + Number(seconds) * 1000
let isUnlinked = false
try {
  for (let change = 2; performance.now() < untilMs; change++) {
    const beforeMs = performance.now()
    data.write(change)
    if (change % 4 === 0) log.write(change)
    if (change % 16 === 0) data.sync()
    if (change % 8 === 0) unlinkedLater.write(change)
    if (change % 32 === 0) names(change)
    data.check()
    log.check()
    unlinkedLater.check()
    counts.slowestMs = Math.max(counts.slowestMs, performance.now() - beforeMs)
    // Near the end: opened under the first server, without a name under the last one.
    if (!isUnlinked && performance.now() > startedMs + Number(seconds) * 800) {
      unlinkedLater.unlink()
      isUnlinked = true
    }
  }
  for (const file of [data, log, unlinkedLater]) {
    file.checkAll()
    file.close()
  }
  const left = readdirSync(folder).sort().join()
  if (left !== 'data,log') fail(`left over: ${left}`)
} catch (error) {
  fail(error instanceof Error ? (error.stack ?? error.message) : String(error))
}
console.log(JSON.stringify(counts))
