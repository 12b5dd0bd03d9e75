/** What the command line of the benchmark says. */
import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BUFFERS_SHARE } from '../../src/engine/postgres/settings.ts'

const PARTS = ['lag', 'attach'] as const
type Part = (typeof PARTS)[number]

export interface ReplicasSettings {
  readonly folder: string
  readonly parts: readonly Part[]
  readonly scale: number
  readonly clients: number
  readonly readers: number
  /** Of each slice. */
  readonly seconds: number
  readonly rounds: number
  /** Of the cluster to which a reader is added. */
  readonly gib: number
  readonly memoryMib: number
  readonly buffersBytes: number
  readonly log: (line: string) => void
}

const USAGE = `npm run bench -- replicas [--quick] [--only ${PARTS.join(',')}] [--scale N] [--clients N] [--readers N] [--seconds N] [--rounds N] [--gib N] [--memory-mib N]`
const MIB = 1 << 20

function whole(name: string, text: string | undefined, otherwise: number): number {
  const value = Number(text ?? otherwise)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} ${text}: a whole number; usage: ${USAGE}`)
  return value
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  const value = Number(text ?? otherwise)
  if (!(value > 0 && value < 1000)) throw new Error(`--${name} ${text}: a number; usage: ${USAGE}`)
  return value
}

/** @throws Error that says how it is used. The folder is made, and is the caller's to remove. */
export function settingsOf(args: readonly string[], log: (line: string) => void): ReplicasSettings {
  const text = { type: 'string' } as const
  const options = {
    quick: { type: 'boolean', default: false },
    only: text,
    scale: text,
    clients: text,
    readers: text,
    seconds: text,
    rounds: text,
    gib: text,
    'memory-mib': text,
  } as const
  const { values } = parseArgs({ args: [...args], options })
  const { quick } = values
  const only = values.only?.split(',') ?? PARTS
  const parts = PARTS.filter((part) => only.includes(part))
  if (parts.length < only.length) throw new Error(`--only takes some of ${PARTS.join(', ')}; usage: ${USAGE}`)
  const memoryMib = whole('memory-mib', values['memory-mib'], 512)
  const folder = mkdtempSync(join(process.env.BOREALIS_BENCH_FOLDER ?? tmpdir(), 'replicas-'))
  chmodSync(folder, 0o711)
  return {
    folder,
    parts,
    scale: whole('scale', values.scale, quick ? 5 : 20),
    clients: whole('clients', values.clients, 8),
    readers: whole('readers', values.readers, 4),
    seconds: whole('seconds', values.seconds, quick ? 5 : 10),
    rounds: whole('rounds', values.rounds, quick ? 1 : 3),
    gib: positive('gib', values.gib, quick ? 0.25 : 1),
    memoryMib,
    buffersBytes: memoryMib * MIB * BUFFERS_SHARE,
    log,
  }
}
