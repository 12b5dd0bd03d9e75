/** One message to six nodes until the fourth has it on disk, with blocking node threads against event loops. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TcpFabric } from '../src/volume/tcp-fabric.ts'
import type { Bench, BenchRow } from './table.ts'
import { Rounds } from './wire/rounds.ts'

const MESSAGE_BYTES = 1024
/** Writers with connections of their own, and how many rounds each keeps going. */
const CASES = [
  { writers: 1, each: 1 },
  { writers: 1, each: 8 },
  { writers: 1, each: 32 },
  { writers: 8, each: 1 },
  { writers: 8, each: 4 },
]
const WRITERS_MAX = Math.max(...CASES.map(({ writers }) => writers))
const WARM_UP_MS = 1000
const MEASURED_MS = 3000

type Kind = 'event loop' | 'blocking thread'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

function startHost(kind: Kind, folder: string, zone: string): ChildProcess {
  const nodes = [1, 2].map((i) => `${zone}${i}=${join(folder, `${zone}${i}`)}`)
  const args =
    kind === 'event loop'
      ? [path('./wire/event-loop-host.ts'), ...nodes]
      : [
          path('../src/storage/host-main.ts'),
          ...['--zone', zone, '--module', new URL('../test/echo-node.ts', import.meta.url).href],
          ...nodes.flatMap((node) => ['--node', `${node}:0`]),
        ]
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function addressesOf(host: ChildProcess): Promise<string[]> {
  if (host.stdout === null) throw new Error('a host without output')
  const [line] = await once(host.stdout, 'data')
  const { nodes } = JSON.parse(String(line)) as { nodes: { address: string }[] }
  return nodes.map(({ address }) => address)
}

/** The kernel counts processor time in steps of 10 ms. */
const CLOCK_STEP_US = 10_000

function processorUs({ pid }: { readonly pid?: number | undefined }): number {
  // Behind the name, which may contain anything, in brackets: state, then numbers; 14 and 15 are user and system.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_STEP_US
}

async function measure(kind: Kind, folder: string): Promise<BenchRow[]> {
  const hosts = ['a', 'b', 'c'].map((zone) => startHost(kind, folder, zone))
  const fabrics = Array.from({ length: WRITERS_MAX }, () => new TcpFabric({ log: (line) => console.error(line) }))
  try {
    const addresses = (await Promise.all(hosts.map(addressesOf))).flat()
    const writers = fabrics.map((fabric) => new Rounds(fabric, addresses, MESSAGE_BYTES))
    await Promise.all(writers.map((writer) => writer.run(1, WARM_UP_MS)))
    const usage = () => [hosts.reduce((sum, host) => sum + processorUs(host), 0), processorUs(process)] as const
    const rows: BenchRow[] = []
    for (const { writers: count, each } of CASES) {
      const before = usage()
      const runs = await Promise.all(writers.slice(0, count).map((writer) => writer.run(each, MEASURED_MS)))
      const times = runs.flat().sort((a, b) => a - b)
      const at = (share: number) => times[Math.floor(share * times.length)] ?? null
      const spent = usage().map((us, i) => (us - before[i]!) / times.length)
      rows.push({
        name: kind,
        values: [at(0.5), at(0.99), Math.round((times.length * 1000) / MEASURED_MS), ...spent],
      })
    }
    return rows
  } finally {
    for (const fabric of fabrics) fabric.close()
    for (const host of hosts) host.kill('SIGTERM')
    await Promise.all(hosts.map((host) => host.exitCode ?? once(host, 'exit')))
  }
}

export const run: Bench = async ({ args, log }) => {
  const root = mkdtempSync(join(args[0] ?? tmpdir(), 'wire-'))
  try {
    const rows = new Map<Kind, BenchRow[]>()
    for (const kind of ['event loop', 'blocking thread'] as const) {
      log(kind)
      rows.set(kind, await measure(kind, join(root, kind.replace(' ', '-'))))
    }
    return CASES.map(({ writers, each }, i) => ({
      title: `the 4th of 6 has ${MESSAGE_BYTES} bytes on disk: ${writers} writers, ${each} rounds at once`,
      compared: 'the node loop over node:ffi with the same node behind a net server',
      settings: {
        processes: 3,
        nodesEach: 2,
        measuredMs: MEASURED_MS,
        client: 'TcpFabric',
        folder: args[0] ?? tmpdir(),
      },
      columns: [
        { name: 'p50', unit: 'us' },
        { name: 'p99', unit: 'us' },
        { name: 'rounds', unit: '1/s' },
        { name: 'CPU of the nodes', unit: 'us/round' },
        { name: 'of the client', unit: 'us/round' },
      ],
      ratio: { column: 'rounds', baseline: 'event loop', better: 'higher' as const },
      rows: [...rows.values()].flatMap((measured) => measured[i] ?? []),
      notes: ['One run of each on a shared disk: differences below 10 % mean nothing.'],
    }))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
