/** What the command line of the benchmark says. */
import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BUFFERS_SHARE } from '../../src/engine/postgres/settings.ts'

export interface FailoverSettings {
  readonly folder: string
  readonly scale: number
  readonly rounds: number
  readonly hungRounds: number
  readonly plainRounds: number
  readonly clients: number
  readonly memoryMib: number
  readonly buffersBytes: number
  readonly log: (line: string) => void
}

const USAGE =
  'npm run bench -- failover [--quick] [--scale N] [--rounds N] [--hung-rounds N] [--plain-rounds N] [--clients N] [--memory-mib N]'
const MIB = 1 << 20

function whole(name: string, text: string | undefined, otherwise: number, least: number): number {
  const value = Number(text ?? otherwise)
  if (!Number.isSafeInteger(value) || value < least)
    throw new Error(`--${name} ${text}: a whole number; usage: ${USAGE}`)
  return value
}

/** @throws Error that says how it is used. The folder is made, and is the caller's to remove. */
export function settingsOf(args: readonly string[], log: (line: string) => void): FailoverSettings {
  const text = { type: 'string' } as const
  const options = {
    quick: { type: 'boolean', default: false },
    scale: text,
    rounds: text,
    'hung-rounds': text,
    'plain-rounds': text,
    clients: text,
    'memory-mib': text,
  } as const
  const { values } = parseArgs({ args: [...args], options })
  const { quick } = values
  const memoryMib = whole('memory-mib', values['memory-mib'], quick ? 512 : 2048, 64)
  const folder = mkdtempSync(join(process.env.BOREALIS_BENCH_FOLDER ?? tmpdir(), 'failover-'))
  chmodSync(folder, 0o711)
  return {
    folder,
    scale: whole('scale', values.scale, quick ? 20 : 100, 1),
    rounds: whole('rounds', values.rounds, quick ? 5 : 20, 1),
    hungRounds: whole('hung-rounds', values['hung-rounds'], quick ? 1 : 3, 0),
    plainRounds: whole('plain-rounds', values['plain-rounds'], 2, 0),
    clients: whole('clients', values.clients, 8, 1),
    memoryMib,
    buffersBytes: memoryMib * MIB * BUFFERS_SHARE,
    log,
  }
}
