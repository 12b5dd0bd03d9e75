/** What a benchmark measured, in a form that is printed for people and kept as JSON. */

export interface BenchColumn {
  readonly name: string
  /** Of the values: `us`, `1/s`, `MB/s`, `bytes`. */
  readonly unit: string
}

export interface BenchRow {
  readonly name: string
  /** One for each column; null where it was not or could not be measured. */
  readonly values: readonly (number | null)[]
}

/** The ratio column: each row's value in `column`, divided by that of the row `baseline`. */
export interface BenchRatio {
  readonly column: string
  readonly baseline: string
  /** Whether a ratio above 1 is good news. */
  readonly better: 'higher' | 'lower'
}

export interface BenchTable {
  readonly title: string
  /** One sentence: what was compared with what. */
  readonly compared: string
  /** Versions and settings of each side, and of the load. */
  readonly settings: Readonly<Record<string, string | number | boolean>>
  readonly columns: readonly BenchColumn[]
  readonly ratio: BenchRatio
  readonly rows: readonly BenchRow[]
  /** What a reader must know to not read too much into it: noise, length and number of the runs. */
  readonly notes?: readonly string[]
}

export interface BenchOptions {
  /** What stands on the command line behind the benchmark's name, without `--json FILE`. */
  readonly args: readonly string[]
  /** Progress, to stderr. */
  readonly log: (line: string) => void
}

/** What `bench/<name>.ts` exports as `run`. */
export type Bench = (options: BenchOptions) => Promise<BenchTable[]>

/** For each row its ratio to the baseline; null where either was not measured. */
export function ratios({ title, columns, ratio, rows }: BenchTable): (number | null)[] {
  const column = columns.findIndex(({ name }) => name === ratio.column)
  const baseline = rows.find(({ name }) => name === ratio.baseline)
  if (column < 0) throw new Error(`table "${title}" has no column "${ratio.column}" to take the ratio of`)
  if (baseline === undefined) throw new Error(`table "${title}" has no row "${ratio.baseline}" to take the ratio to`)
  const one = baseline.values[column] ?? 0
  return rows.map(({ values }) => {
    const value = values[column] ?? null
    return value === null || one === 0 ? null : value / one
  })
}

/** Four digits are more than any of these measurements is good for. */
function showNumber(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '-'
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(Math.abs(value) >= 100 ? 1 : 2)
}

export function formatTable(table: BenchTable): string {
  const { title, compared, settings, columns, ratio, rows, notes = [] } = table
  const ratioOf = ratios(table)
  const lines = [
    ['', ...columns.map(({ name, unit }) => `${name} (${unit})`), 'ratio'],
    ...rows.map(({ name, values }, row) => [
      name,
      ...columns.map((_, column) => showNumber(values[column] ?? null)),
      ratioOf[row] === null ? '-' : (ratioOf[row] ?? 0).toFixed(2),
    ]),
  ]
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)))
  const shown = lines.map((cells) =>
    cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
  )
  return [
    title,
    '',
    ...shown,
    '',
    `compared: ${compared}`,
    `ratio: ${ratio.column} to that of "${ratio.baseline}"; ${ratio.better} is better`,
    `settings: ${Object.entries(settings)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
    ...notes.map((note) => `note: ${note}`),
    '',
  ].join('\n')
}
