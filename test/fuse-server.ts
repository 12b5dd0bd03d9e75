/**
 * A program that serves a file system through FUSE, for tests and benchmarks:
 *
 *   node test/fuse-server.ts [PATH] [--device NODE] [--journal FILE] [--memory] [--cached] [--paged | --relations]
 *     [--sync-ms N]
 *
 * Without PATH it serves what a keeper handed to it. `--journal` keeps the blocks in a file, `--memory` takes the small
 * file system of the tests. `--paged`: all files are of pages; `--relations`: those that an engine has its tables in.
 * Prints `ready`, and at its end one line of JSON with what it counted. SIGTERM unmounts, and the end of its keeper does.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { BlockDevice } from '../src/filesystem/block-device.ts'
import type { FileOperations, Ino, Timestamp } from '../src/filesystem/file-operations.ts'
import { FileSystem } from '../src/filesystem/file-system.ts'
import { MemoryDevice } from '../src/filesystem/memory-device.ts'
import { type FuseMount, mountFiles, serveFiles } from '../src/fuse/fuse-mount.ts'
import { KeptServer, STATUS_REPLACE_ME } from '../src/fuse/kept-server.ts'
import { PAGE_BYTES, RelationFiles } from '../src/instance/relation-files.ts'
import { JournalDevice } from './journal-device.ts'
import { MemoryFiles } from './memory-files.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    device: { type: 'string' },
    journal: { type: 'string' },
    memory: { type: 'boolean', default: false },
    cached: { type: 'boolean', default: false },
    paged: { type: 'boolean', default: false },
    relations: { type: 'boolean', default: false },
    'sync-ms': { type: 'string', default: '0' },
  },
})
const syncMs = Number(values['sync-ms'])

function now(): Timestamp {
  const ms = Date.now()
  return { seconds: Math.floor(ms / 1000), nanoseconds: (ms % 1000) * 1_000_000 }
}

async function openFiles(stillOpen: readonly Ino[] = []): Promise<FileOperations> {
  const files = await openPlainFiles(stillOpen)
  if (values.relations) relations = new RelationFiles(files)
  return relations ?? files
}

async function openPlainFiles(stillOpen: readonly Ino[]): Promise<FileOperations> {
  if (values.memory) {
    const files = new MemoryFiles()
    if (syncMs > 0) files.waitForSync = () => sleep(syncMs)
    return files
  }
  const journal = values.journal === undefined ? undefined : new JournalDevice(values.journal, { syncMs })
  const device: BlockDevice = journal ?? new MemoryDevice()
  if (journal?.isEmpty !== false)
    await FileSystem.format(device, { now, owner: { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 } })
  attached = await FileSystem.attach(device, { now, stillOpen })
  return attached
}

let relations: RelationFiles | undefined
let attached: FileSystem | undefined
/** For a successor. */
let leaving: Promise<void> | undefined
let status = 0
let mount: FuseMount | undefined

async function start(): Promise<FuseMount> {
  const options = {
    isDirect: () => !values.cached,
    ...(values.paged ? { pageBytesOf: () => PAGE_BYTES } : {}),
    ...(values.relations ? { pageBytesOf: (file: Ino) => relations?.pageBytesOf(file) } : {}),
    onFailure: (what: string, error: unknown) => console.error(`${what}:`, error),
  }
  const [path] = positionals
  if (path !== undefined) {
    const device = values.device === undefined ? {} : { device: values.device }
    return mountFiles(path, await openFiles(), { ...options, ...device })
  }
  const kept = KeptServer.fromKeeper()
  if (kept === undefined) throw new Error('a PATH is needed, or a keeper')
  void kept.keeperGone.then(() => mount?.unmount({ releaseMsMax: 1000 }) ?? process.exit(1))
  const handed = await kept.turn
  const inherited = (handed.left ?? []) as readonly Ino[]
  const files = await openFiles(inherited)
  await kept.serving()
  const served = serveFiles(handed, files, { ...options, inherited })
  kept.onAsked((asked) => {
    if (asked === 'stop') return void served.unmount({ releaseMsMax: 1000 })
    status = STATUS_REPLACE_ME
    leaving = served.leave().then(() => kept.left(attached?.openOrphans ?? []))
    return undefined
  })
  return served
}

try {
  mount = await start()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exit(1)
}
process.on('SIGTERM', () => void mount?.unmount({ releaseMsMax: 1000 }))
console.log('ready')
const reason = await mount.ended
await leaving
const { counts, pageWrites } = mount.server
const { bySize, byAlignment, ...writes } = pageWrites.counts
console.log(JSON.stringify({ reason, ...counts, ...writes, bySize: [...bySize], byAlignment: [...byAlignment] }))
process.exit(status)
