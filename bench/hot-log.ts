/** Appends to a node's hot log, against bare durable writes of the same pages. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { alignedBuffer } from '../src/storage/aligned.ts'
import type { Disk } from '../src/storage/disk.ts'
import { HotLog, LOG_FILE_BYTES, LOG_PAGE_BYTES, type LogEntry } from '../src/storage/hot-log.ts'
import { RealDisk } from '../src/storage/real-disk.ts'
import type { Bench } from './table.ts'

const OPTIONS = { nodeTag: 1, alignedBuffer }
const PAGE_PAYLOAD_BYTES = LOG_PAGE_BYTES - 32
/** Enough for the mean to settle within a few percent. */
const APPENDS = 2000
const APPENDS_IN_MEMORY = 20_000

const CASES = [
  { entries: 1, bytes: 300 },
  { entries: 1, bytes: 1000 },
  { entries: 16, bytes: 1000 },
  { entries: 1, bytes: 65_536 },
]

/** A disk that takes durable writes and keeps nothing: what is left is the log's own work. */
function idleDisk(): Disk {
  const file = (path: string) => ({
    path,
    size: () => LOG_FILE_BYTES,
    read: (_offset: number, length: number) => new Uint8Array(length),
    write: () => {},
    writeDurable: () => {},
    allocate: () => {},
    sync: () => {},
    close: () => {},
  })
  const nothing = () => {}
  return {
    list: () => [],
    makeFolder: nothing,
    create: file,
    open: file,
    exists: () => true,
    rename: nothing,
    remove: nothing,
    removeFolder: nothing,
    syncFolder: nothing,
    freeBytes: () => Number.MAX_SAFE_INTEGER,
  }
}

function usEach(count: number, step: () => void): number {
  for (let i = 0; i < count / 10; i++) step()
  const from = process.hrtime.bigint()
  for (let i = 0; i < count; i++) step()
  return Number(process.hrtime.bigint() - from) / 1000 / count
}

function appendUs(disk: Disk, entries: readonly LogEntry[], count: number): number {
  const { log } = HotLog.open(disk, OPTIONS, () => {})
  log.append(entries)
  log.prepare()
  const us = usEach(count, () => {
    log.append(entries)
    if (log.currentFile > log.oldestFile) log.release(log.currentFile)
  })
  log.close()
  return us
}

function bareUs(disk: Disk, bytes: number): number {
  const buffer = alignedBuffer(bytes)
  const file = disk.create('bare')
  file.allocate(LOG_FILE_BYTES)
  file.sync()
  let offset = 0
  const us = usEach(APPENDS, () => {
    if (offset + bytes > LOG_FILE_BYTES) offset = 0
    file.writeDurable(offset, buffer)
    offset += bytes
  })
  file.close()
  disk.remove('bare')
  return us
}

export const run: Bench = () => {
  const folder = mkdtempSync(join(tmpdir(), 'hot-log-'))
  const disk = RealDisk.open(folder)
  try {
    const tables = CASES.map(({ entries, bytes }) => {
      const parts = [new Uint8Array(60).fill(1), new Uint8Array(bytes - 60).fill(2)]
      const batch = Array.from({ length: entries }, () => parts)
      const pages = Math.ceil((entries * (bytes + 4)) / PAGE_PAYLOAD_BYTES)
      return {
        title: `${entries} x ${bytes} bytes: ${pages} pages`,
        compared: 'HotLog.append with DiskFile.writeDurable of as many pages, on the same disk',
        settings: { appends: APPENDS, fileBytes: LOG_FILE_BYTES, pageBytes: LOG_PAGE_BYTES },
        columns: [{ name: 'time', unit: 'us' }],
        ratio: { column: 'time', baseline: 'bare durable write', better: 'lower' as const },
        rows: [
          { name: 'bare durable write', values: [bareUs(disk, pages * LOG_PAGE_BYTES)] },
          { name: 'hot log', values: [appendUs(disk, batch, APPENDS)] },
          { name: 'hot log, idle disk', values: [appendUs(idleDisk(), batch, APPENDS_IN_MEMORY)] },
        ],
      }
    })
    return Promise.resolve(tables)
  } finally {
    disk.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
