/** What the command line says. */
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

/** A part of the benchmark, by name. */
export const PARTS = ['sync', 'stream', 'reads', 'past', 'constant', 'recovery', 'space'] as const
export type Part = (typeof PARTS)[number]

export interface Settings {
  /** For the volumes and the raw files; on the disk that is to be measured. */
  readonly folder: string
  /** On a file system in memory, to take the disk away; undefined where there is none. */
  readonly memoryFolder: string | undefined
  readonly rounds: number
  /** How much of each length of time and amount of data is measured. */
  readonly part: number
  readonly parts: readonly Part[]
  readonly log: (line: string) => void
}

const MEMORY = '/dev/shm'

const USAGE = `npm run bench -- volume [--quick] [--only ${PARTS.join(',')}] [--folder FOLDER]`

const isPart = (name: string): name is Part => (PARTS as readonly string[]).includes(name)

/** @throws Error that says how it is used. The folders are made, and are the caller's to remove. */
export function settingsOf(args: readonly string[], log: (line: string) => void): Settings {
  const { values } = parse(args)
  const parts = values.only === undefined ? [...PARTS] : values.only.split(',')
  const known = parts.filter(isPart)
  if (known.length < parts.length) throw new Error(`--only takes some of ${PARTS.join(', ')}`)
  const under = values.folder ?? process.env.BOREALIS_BENCH_FOLDER ?? tmpdir()
  if (!existsSync(under)) throw new Error(`there is no folder ${under}`)
  return {
    folder: mkdtempSync(join(under, 'volume-')),
    memoryFolder: existsSync(MEMORY) ? mkdtempSync(join(MEMORY, 'volume-')) : undefined,
    rounds: values.quick ? 2 : 5,
    part: values.quick ? 0.25 : 1,
    parts: known,
    log,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: { quick: { type: 'boolean', default: false }, only: { type: 'string' }, folder: { type: 'string' } },
    })
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}; usage: ${USAGE}`, { cause })
  }
}
