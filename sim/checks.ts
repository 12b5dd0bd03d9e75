/**
 * The rules that every run is held to, beside those that the oracle watches by itself. Each is stated as the volume's
 * users would: nothing here knows how the protocol works.
 */
import type { GroupIndex, Lsn, VolumeId } from '../src/protocol/lsn.ts'
import { volumeName } from '../src/protocol/lsn.ts'
import { type Timeline, Violation, type VolumeModel } from './oracle.ts'

/** A run that broke a rule, with what is needed to look into it. */
export class SimFailure extends Error {
  readonly seed: number
  readonly virtualMs: number
  readonly trace: readonly string[]
  constructor(seed: number, virtualMs: number, trace: readonly string[], cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.name = 'SimFailure'
    this.seed = seed
    this.virtualMs = virtualMs
    this.trace = trace
  }
}

const shown = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 16)).toString('hex')

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i
  return -1
}

function requireEqual(rule: string, where: string, found: Uint8Array, expected: Uint8Array): void {
  const at = firstDifference(found, expected)
  if (at < 0) return
  throw new Violation(
    rule,
    `${where} differs from byte ${at} on: ${shown(found.subarray(at))} instead of ${shown(expected.subarray(at))}`,
  )
}

/** What a read came to. `data` of no bytes stands for a block of zeros. */
export type ReadOutcome = { readonly data: Uint8Array } | { readonly refused: string }

export interface ReadCheck {
  readonly model: VolumeModel
  /** The timeline of the writer that read at its own head; undefined for all who read what is durable. */
  readonly timeline?: Timeline
  readonly block: number
  readonly at: Lsn
  readonly who: string
}

/** A read that was answered must be right, whoever asked whomever, and at an LSN that exists. */
export function checkRead({ model, timeline, block, at, who }: ReadCheck, outcome: ReadOutcome): void {
  if ('refused' in outcome) return
  const where = `${volumeName(model.id)} block ${block} at ${at}, read by ${who},`
  const may = timeline === undefined ? model.readable(at) : 'must'
  if (may === 'never') throw new Violation('no future LSN is answered with data', where)
  const content = timeline === undefined ? model.block(block, at) : timeline.block(block, at)
  const expected = content ?? new Uint8Array(model.blockBytes)
  const found = outcome.data.length === 0 ? new Uint8Array(model.blockBytes) : outcome.data
  requireEqual('every read equals the model', where, found, expected)
}

/** A node that was granted a cutoff may have collected what is below it: it must refuse, not guess. */
export function checkCollected(
  grant: { readonly cutoff: Lsn; readonly pins: readonly Lsn[] },
  at: Lsn,
  outcome: ReadOutcome,
  who: string,
): void {
  if ('refused' in outcome || at >= grant.cutoff || grant.pins.includes(at)) return
  throw new Violation(
    'no collected LSN is answered with data',
    `${who} answered ${at}, below its cutoff ${grant.cutoff}`,
  )
}

/** Of two writers that open at the same time at most one has a given epoch acknowledged. */
export class WriterLedger {
  readonly #writers = new Map<string, string>()

  acknowledged(volume: VolumeId, epoch: number, writer: string): void {
    const key = `${volumeName(volume)} epoch ${epoch}`
    const other = this.#writers.get(key)
    if (other !== undefined && other !== writer) {
      throw new Violation('one writer per epoch', `${key} was acknowledged to ${other} and to ${writer}`)
    }
    this.#writers.set(key, writer)
  }
}

/** One full copy's answers, asked directly and not through a driver that could pick another. */
export interface FullCopy {
  readonly name: string
  read(block: number, at: Lsn): ReadOutcome
}

export interface GroupCopies {
  readonly model: VolumeModel
  readonly group: GroupIndex
  /** Blocks to look at, by their numbers in the volume. */
  readonly blocks: readonly number[]
  readonly points: readonly Lsn[]
  readonly copies: readonly FullCopy[]
}

/** After the faults: every full copy has every block at every retained LSN, as the model has it. */
export function checkCopies({ model, group, blocks, points, copies }: GroupCopies): void {
  for (const copy of copies) {
    for (const at of points) {
      if (model.readable(at) !== 'must') continue
      for (const block of blocks) {
        const outcome = copy.read(block, at)
        const where = `${volumeName(model.id)} group ${group} block ${block} at ${at} of ${copy.name}`
        if ('refused' in outcome)
          throw new Violation('every full copy serves what is retained', `${where}: ${outcome.refused}`)
        checkRead({ model, block, at, who: copy.name }, outcome)
      }
    }
  }
}

/** All members of a group end with the same log. */
export function checkSameScl(where: string, scls: ReadonlyMap<string, Lsn>): void {
  if (new Set(scls.values()).size <= 1) return
  const list = [...scls].map(([name, scl]) => `${name} ${scl}`).join(', ')
  throw new Violation('all members reach the same SCL', `${where}: ${list}`)
}

/** Operations that have to end once the faults stopped. */
export class Progress {
  readonly #open = new Map<number, { readonly what: string; readonly sinceMs: number }>()
  #next = 1

  began(what: string, nowMs: number): number {
    this.#open.set(this.#next, { what, sinceMs: nowMs })
    return this.#next++
  }

  ended(operation: number): void {
    this.#open.delete(operation)
  }

  get open(): number {
    return this.#open.size
  }

  /** @throws Violation naming what has not ended, oldest first. */
  requireNoneOpen(nowMs: number): void {
    if (this.#open.size === 0) return
    const oldest = [...this.#open.values()].slice(0, 5)
    const list = oldest.map(({ what, sinceMs }) => `${what} for ${Math.round(nowMs - sinceMs)} ms`).join(', ')
    throw new Violation('there is progress once faults stop', `${this.#open.size} operations did not end: ${list}`)
  }
}
