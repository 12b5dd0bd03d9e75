/**
 * `npm run bench` lists the benchmarks; `npm run bench -- NAME [--json FILE] [...]` runs `bench/<name>.ts`, prints its
 * tables and keeps them in FILE. What a benchmark needs besides lies in `bench/<name>/`.
 */
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { type Bench, type BenchTable, formatTable, ratios } from './table.ts'

const NOT_BENCHMARKS = ['main.ts', 'table.ts']

const names = (): string[] =>
  globSync('*.ts', { cwd: import.meta.dirname })
    .filter((file) => !NOT_BENCHMARKS.includes(file) && !file.endsWith('.test.ts'))
    .map((file) => basename(file, '.ts'))
    .sort()

/** The first line of the comment at the top of a benchmark. */
const summary = (name: string): string =>
  /^\/\*\*\s*\*?\s*(.+?)\s*(?:\*\/)?$/m.exec(readFileSync(join(import.meta.dirname, `${name}.ts`), 'utf8'))?.[1] ?? ''

function list(): void {
  const all = names()
  if (all.length === 0) console.log('there is no benchmark yet')
  for (const name of all) console.log(`${name.padEnd(12)}${summary(name)}`.trimEnd())
}

function fail(message: string, status: number): never {
  console.error(message)
  process.exit(status)
}

/** Takes `--json FILE` or `--json=FILE` out of the arguments; the rest is the benchmark's. */
function takeJson(args: readonly string[]): { json: string | undefined; rest: string[] } {
  const rest = [...args]
  const at = rest.findIndex((arg) => arg === '--json' || arg.startsWith('--json='))
  if (at < 0) return { json: undefined, rest }
  const [option = '', ...values] = rest.splice(at, rest[at] === '--json' ? 2 : 1)
  const json = option === '--json' ? values[0] : option.slice('--json='.length)
  if (json === undefined || json === '' || json.startsWith('--')) fail('--json needs the name of a file', 2)
  // Found out now, not after minutes of measuring.
  if (!existsSync(dirname(json))) fail(`--json ${json}: there is no folder ${dirname(json)}`, 2)
  return { json, rest }
}

const machine = () => ({
  processor: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryBytes: totalmem(),
  kernel: release(),
  node: process.version,
})

const withRatios = (table: BenchTable) => {
  const ratioOf = ratios(table)
  return { ...table, rows: table.rows.map((row, index) => ({ ...row, ratio: ratioOf[index] ?? null })) }
}

async function runBench(name: string, args: readonly string[]): Promise<void> {
  const { json, rest } = takeJson(args)
  const { run } = (await import(`./${name}.ts`)) as { run?: Bench }
  if (run === undefined) fail(`bench/${name}.ts exports no run`, 1)
  const startedAt = new Date().toISOString()
  const tables = await run({ args: rest, log: (line) => console.error(line) })
  const { processor, cores, kernel, node } = machine()
  for (const table of tables) console.log(formatTable(table))
  console.log(`on ${cores} cores of ${processor}, Linux ${kernel}, Node ${node}`)
  if (json === undefined) return
  writeFileSync(
    json,
    `${JSON.stringify({ name, startedAt, machine: machine(), tables: tables.map(withRatios) }, null, 2)}\n`,
  )
}

const [name, ...args] = process.argv.slice(2)
if (name === undefined) list()
else if (names().includes(name)) {
  try {
    await runBench(name, args)
  } catch (error) {
    if (process.env.BOREALIS_DEBUG === '1') throw error
    fail(`bench ${name}: ${error instanceof Error ? error.message : String(error)}`, 1)
  }
} else fail(`there is no benchmark "${name}"; there are: ${names().join(', ') || 'none yet'}`, 2)
