/** What the command line says. */
import { chmodSync, existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

/** A part of the benchmark, by name. */
export const PARTS = ['bulk', 'tpcb', 'select', 'delay', 'life'] as const
export type Part = (typeof PARTS)[number]

/** The servers that are compared, by name. */
const SIDES = ['ext4', 'tmpfs', 'standbys', 'volume'] as const
export type SideName = (typeof SIDES)[number]

export interface Settings {
  /** On the disk that is to be measured. */
  readonly folder: string
  /** On a file system in memory; undefined where there is none. */
  readonly memoryFolder: string | undefined
  readonly parts: readonly Part[]
  readonly sides: readonly SideName[]
  readonly clients: readonly number[]
  readonly rounds: number
  /** Of each slice. */
  readonly seconds: number
  readonly scale: number
  /** Of the bulk load that is measured. */
  readonly bulkScale: number
  readonly buffersBytes: number
  readonly log: (line: string) => void
}

const MEMORY = '/dev/shm'
const MIB = 1 << 20

/** One unit of pgbench's scale with its indexes, and what a load adds to it. */
const SCALE_BYTES = 16 * MIB
/** So that the data fits, on all sides: a miss is measured by `npm run bench -- fuse`. */
const BUFFERS_FOR_DATA = 1.3

/** RDS's formula for sessions counts 9.1 MiB of memory each, of which this much is buffers; and some are the instance's. */
const SESSION_BUFFER_BYTES = 6 * MIB
const SESSIONS_BESIDE = 16

/** For the data, and so that there are sessions enough. */
const defaultBuffersMib = (scale: number, clients: readonly number[]): number =>
  Math.ceil(
    Math.max(scale * SCALE_BYTES * BUFFERS_FOR_DATA, (Math.max(...clients) + SESSIONS_BESIDE) * SESSION_BUFFER_BYTES) /
      MIB,
  )

const USAGE = `npm run bench -- pgbench [--quick] [--only ${PARTS.join(',')}] [--sides ${SIDES.join(',')}] [--clients 1,8] [--rounds N] [--seconds N] [--scale N] [--bulk-scale N] [--buffers-mib N] [--folder FOLDER]`

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    const options = {
      quick: { type: 'boolean', default: false },
      only: text,
      sides: text,
      clients: text,
      rounds: text,
      seconds: text,
      scale: text,
      'bulk-scale': text,
      'buffers-mib': text,
      folder: text,
    } as const
    return parseArgs({ args: [...args], options }).values
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}; usage: ${USAGE}`, { cause })
  }
}

function someOf<T extends string>(option: string, text: string | undefined, all: readonly T[]): T[] {
  const names = text?.split(',') ?? [...all]
  const known = names.filter((name): name is T => (all as readonly string[]).includes(name))
  if (known.length < names.length) throw new Error(`--${option} takes some of ${all.join(', ')}`)
  return known
}

function whole(option: string, text: string | undefined, otherwise: number): number {
  const value = Number(text ?? otherwise)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${option} ${text} is not a positive whole number`)
  return value
}

/** The engine's user passes through. */
function madeFolder(under: string): string {
  const folder = mkdtempSync(join(under, 'pgbench-'))
  chmodSync(folder, 0o711)
  return folder
}

/** @throws Error that says how it is used. The folders are made, and are the caller's to remove. */
export function settingsOf(args: readonly string[], log: (line: string) => void): Settings {
  const values = parse(args)
  const under = values.folder ?? process.env.BOREALIS_BENCH_FOLDER ?? tmpdir()
  if (!existsSync(under)) throw new Error(`there is no folder ${under}`)
  const { quick } = values
  const given = values.clients ?? (quick ? '1,8' : '1,8,32,64')
  const clients = given.split(',').map((text) => whole('clients', text, 1))
  const scale = whole('scale', values.scale, quick ? 20 : 10 * Math.max(...clients))
  return {
    folder: madeFolder(under),
    memoryFolder: existsSync(MEMORY) ? madeFolder(MEMORY) : undefined,
    parts: someOf('only', values.only, PARTS),
    sides: someOf('sides', values.sides, SIDES),
    clients,
    rounds: whole('rounds', values.rounds, quick ? 2 : 5),
    seconds: whole('seconds', values.seconds, quick ? 5 : 10),
    scale,
    bulkScale: whole('bulk-scale', values['bulk-scale'], quick ? 5 : 20),
    buffersBytes: whole('buffers-mib', values['buffers-mib'], defaultBuffersMib(scale, clients)) * MIB,
    log,
  }
}
