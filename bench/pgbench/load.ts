/** pgbench, as the load on any PostgreSQL: of the machine, since the engine's packages have none. */
import { spawn } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { endWithUs } from '../../test/child-processes.ts'

/** How a server is reached: over its Unix socket, so that neither TLS nor passwords are measured. */
export interface Reach {
  readonly socketFolder: string
  readonly port: number
  readonly user: string
}

export interface Outcome {
  readonly seconds: number
  readonly output: string
  /** What pgbench itself spent, on any core. */
  readonly runUs: number
}

export interface Throughput extends Outcome {
  readonly tps: number
  readonly transactions: number
  readonly latencyMs: number
}

export type Script = 'tpc-b' | 'select'

/** @throws Error that says what to install */
export function findPgbench(): string {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const packaged = globSync('/usr/lib/postgresql/*/bin').sort().reverse()
  const found = [...folders, ...packaged].map((folder) => join(folder, 'pgbench')).find((path) => existsSync(path))
  if (found === undefined)
    throw new Error('pgbench is missing: apt-get install postgresql-contrib, no server of it is needed')
  return found
}

const DATABASE = 'postgres'
const SCRIPTS: Readonly<Record<Script, readonly string[]>> = { 'tpc-b': [], select: ['-S'] }

/** Processor time of the shell's children, in the last line of its `times`: minutes and seconds of user and system. */
function childTimeUs(text: string): number {
  const line = text.trim().split('\n').at(-1) ?? ''
  return [...line.matchAll(/(\d+)m([\d.]+)s/g)].reduce((sum, [, minutes, seconds]) => {
    return sum + (Number(minutes) * 60 + Number(seconds)) * 1e6
  }, 0)
}

function runPgbench({ socketFolder, port, user }: Reach, args: readonly string[]): Promise<Outcome> {
  const reach = ['-h', socketFolder, '-p', `${port}`, '-U', user]
  const child = endWithUs(
    spawn('sh', ['-c', '"$@"; status=$?; times; exit $status', 'sh', findPgbench(), ...reach, ...args, DATABASE], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    }),
  )
  const startedMs = performance.now()
  let output = ''
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => {
      const seconds = (performance.now() - startedMs) / 1000
      if (status === 0) resolve({ seconds, output, runUs: childTimeUs(output) })
      else reject(new Error(`pgbench failed: ${errors.trim().split('\n').at(-1)}`))
    })
  })
}

/** Makes pgbench's tables: `copy`, vacuum, primary keys. */
export const bulkLoad = (reach: Reach, scale: number): Promise<Outcome> =>
  runPgbench(reach, ['-i', '-q', '-s', `${scale}`])

const numberIn = (output: string, pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? Number.NaN)

export async function runLoad(reach: Reach, script: Script, clients: number, seconds: number): Promise<Throughput> {
  const args = [...SCRIPTS[script], '-n', '-c', `${clients}`, '-j', `${Math.min(clients, 2)}`, '-T', `${seconds}`]
  const outcome = await runPgbench(reach, args)
  return {
    ...outcome,
    tps: numberIn(outcome.output, /^tps = ([\d.]+)/m),
    transactions: numberIn(outcome.output, /^number of transactions actually processed: (\d+)/m),
    latencyMs: numberIn(outcome.output, /^latency average = ([\d.]+)/m),
  }
}
