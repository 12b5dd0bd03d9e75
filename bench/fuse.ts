/** Operations on files through FUSE, against a file system in memory and one on a disk. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unmountHere } from '../src/fuse/real-mount.ts'
import { whyNoMount } from '../test/fuse-mounts.ts'
import type { Bench, BenchRow, BenchTable } from './table.ts'

const KINDS = ['round trip', 'random read', 'write', 'write O_DSYNC'] as const
const COUNT = 5000
/** Interleaved, so that what else the machine does falls on all of them; the best of each counts. */
const ROUNDS = 3
const TMPFS = '/dev/shm'

interface Timing {
  readonly p50: number
  readonly p99: number
  readonly mean: number
}
interface Side {
  readonly name: string
  readonly folder: string
}

const program = (name: string): string => fileURLToPath(new URL(`./fuse/${name}.ts`, import.meta.url))

async function time(folder: string, kind: string): Promise<Timing> {
  const args = [program('client'), join(folder, 'file'), kind, `${COUNT}`]
  const client = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  let output = ''
  client.stdout.on('data', (text) => {
    output += text
  })
  const [status] = await once(client, 'close')
  if (status !== 0) throw new Error(`${kind} in ${folder} failed`)
  return JSON.parse(output) as Timing
}

/** A folder with the server's file system on it, and what takes both away. */
async function serve(kind: string): Promise<Side & { stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'borealis-bench-'))
  const server = spawn(process.execPath, [program('server'), folder, kind], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(server, 'close')
  await Promise.race([once(server.stdout, 'data'), ended.then(() => Promise.reject(new Error('no server')))])
  const stop = async () => {
    unmountHere(folder)
    await ended
    rmSync(folder, { recursive: true })
  }
  return { name: kind === 'files' ? 'FUSE, files in memory' : 'FUSE, file system on blocks in memory', folder, stop }
}

const typeOf = (folder: string): string =>
  readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, place = '/']) => `${folder}/`.startsWith(place === '/' ? '/' : `${place}/`))
    .sort(([, a = ''], [, b = '']) => b.length - a.length)[0]?.[2] ?? 'unknown'

export const run: Bench = async ({ log }) => {
  const why = whyNoMount()
  if (why !== undefined) throw new Error(why)
  const disk = mkdtempSync(join(tmpdir(), 'borealis-bench-'))
  const memory = existsSync(TMPFS) ? mkdtempSync(join(TMPFS, 'borealis-bench-')) : undefined
  const served = [await serve('files'), await serve('blocks')]
  const diskName = `${typeOf(disk)}, page cache`
  const sides: Side[] = [
    { name: diskName, folder: disk },
    ...(memory === undefined ? [] : [{ name: `${typeOf(memory)}`, folder: memory }]),
    ...served,
  ]
  try {
    const best = new Map<string, Timing>()
    for (let round = 1; round <= ROUNDS; round++) {
      log(`round ${round} of ${ROUNDS}`)
      for (const kind of KINDS) {
        for (const { name, folder } of sides) {
          const timing = await time(folder, kind)
          const before = best.get(`${kind} ${name}`)
          if (before === undefined || timing.p50 < before.p50) best.set(`${kind} ${name}`, timing)
        }
      }
    }
    return KINDS.map((kind) => tableOf(kind, sides, best, diskName))
  } finally {
    for (const { stop } of served) await stop()
    for (const folder of [disk, memory]) if (folder !== undefined) rmSync(folder, { recursive: true })
  }
}

function tableOf(kind: string, sides: readonly Side[], best: Map<string, Timing>, baseline: string): BenchTable {
  const rows: BenchRow[] = sides.map(({ name }) => {
    const { p50, p99, mean } = best.get(`${kind} ${name}`) ?? { p50: null, p99: null, mean: null }
    return { name, values: [p50, p99, mean] }
  })
  return {
    title: kind,
    compared: `one program, one operation at a time, 8 KiB each; FUSE with direct I/O`,
    settings: { operations: COUNT, file: '8 MiB', rounds: ROUNDS },
    columns: [
      { name: 'median', unit: 'us' },
      { name: '99 %', unit: 'us' },
      { name: 'mean', unit: 'us' },
    ],
    ratio: { column: 'median', baseline, better: 'lower' },
    rows,
    notes: [
      'the best of the rounds by its median; a request costs five times as much when the scheduler puts server and program on two cores',
      ...(kind === 'write O_DSYNC'
        ? ['durable is, through FUSE, an echo of 1 KiB over TCP; on the disk, its flush']
        : []),
    ],
  }
}
