/**
 * Faults that people inject into a storage node, each for a time: what its disk does wrong, and whether it is cut off.
 * They stand on a board of numbers that the process writes and the node's thread, which never yields, reads: for a node
 * without faults one load for an operation of its disk (measured: 20 ns with what wraps it).
 */
import { VolumeError } from '../protocol/errors.ts'

export type NodeFault =
  /** A share of the disk's operations fails, as with EIO. */
  | { readonly kind: 'failing-disk'; readonly percent: number; readonly untilMs: number }
  /** A share of them takes longer. */
  | {
      readonly kind: 'slow-disk'
      readonly percent: number
      readonly msMin: number
      readonly msMax: number
      readonly untilMs: number
    }
  /** Nothing comes from anybody, and nothing goes to anybody; connections stay, as in a network that lost its way. */
  | { readonly kind: 'cut'; readonly untilMs: number }

const FAULT_KINDS = ['failing-disk', 'slow-disk', 'cut'] as const

/** Faults are for tests: a longer one is a mistake in the unit. */
export const FAULT_SECONDS_MAX = 86_400
/** A node that waits longer for its disk is as good as gone; `cut` says so. */
export const DELAY_MS_MAX = 10_000

const FAIL_PERCENT = 0
const FAIL_UNTIL = 1
const SLOW_PERCENT = 2
const SLOW_MIN = 3
const SLOW_MAX = 4
const SLOW_UNTIL = 5
const CUT_UNTIL = 6
const CELLS = 7

/** Numbers are of wall clocks, in ms since 1970: threads have no other clock in common. */
export class FaultBoard {
  readonly shared: SharedArrayBuffer
  readonly #cells: Float64Array

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(CELLS * Float64Array.BYTES_PER_ELEMENT)) {
    this.shared = shared
    this.#cells = new Float64Array(shared)
  }

  /** Takes the place of one of its kind. */
  set(fault: NodeFault): void {
    const cells = this.#cells
    if (fault.kind === 'cut') cells[CUT_UNTIL] = fault.untilMs
    else if (fault.kind === 'failing-disk') {
      cells[FAIL_PERCENT] = fault.percent
      cells[FAIL_UNTIL] = fault.untilMs
    } else {
      cells[SLOW_PERCENT] = fault.percent
      cells[SLOW_MIN] = fault.msMin
      cells[SLOW_MAX] = fault.msMax
      cells[SLOW_UNTIL] = fault.untilMs
    }
  }

  heal(): void {
    for (const until of [FAIL_UNTIL, SLOW_UNTIL, CUT_UNTIL]) this.#cells[until] = 0
  }

  current(nowMs: number): NodeFault[] {
    const cell = (at: number): number => this.#cells[at] as number
    const all: NodeFault[] = [
      { kind: 'failing-disk', percent: cell(FAIL_PERCENT), untilMs: cell(FAIL_UNTIL) },
      {
        kind: 'slow-disk',
        percent: cell(SLOW_PERCENT),
        msMin: cell(SLOW_MIN),
        msMax: cell(SLOW_MAX),
        untilMs: cell(SLOW_UNTIL),
      },
      { kind: 'cut', untilMs: cell(CUT_UNTIL) },
    ]
    return all.filter(({ untilMs }) => untilMs > nowMs)
  }

  /** Of how many percent of the operations, now. */
  failing(now: () => number): number {
    return this.#isOn(FAIL_UNTIL, now) ? (this.#cells[FAIL_PERCENT] as number) : 0
  }

  slow(now: () => number): { readonly percent: number; readonly msMin: number; readonly msMax: number } | undefined {
    if (!this.#isOn(SLOW_UNTIL, now)) return undefined
    const cells = this.#cells
    return {
      percent: cells[SLOW_PERCENT] as number,
      msMin: cells[SLOW_MIN] as number,
      msMax: cells[SLOW_MAX] as number,
    }
  }

  isCut(now: () => number): boolean {
    return this.#isOn(CUT_UNTIL, now)
  }

  /** Hot path: no clock is read for what was never set. */
  #isOn(until: number, now: () => number): boolean {
    const untilMs = this.#cells[until] as number
    return untilMs !== 0 && now() < untilMs
  }
}

const within = (value: unknown, min: number, max: number): value is number =>
  typeof value === 'number' && value >= min && value <= max

/** @throws VolumeError `BadRequest` with what is wrong */
export function parseFault(raw: unknown): NodeFault {
  const fault = (typeof raw === 'object' && raw !== null ? raw : {}) as Readonly<Record<string, unknown>>
  const kind = FAULT_KINDS.find((each) => each === fault.kind)
  const { percent, msMin, msMax, untilMs } = fault
  const wrong = (what: string): VolumeError => new VolumeError('BadRequest', `a fault of a storage node: ${what}`)
  if (kind === undefined) throw wrong(`it is ${FAULT_KINDS.join(', ')}`)
  if (!within(untilMs, 0, Number.MAX_SAFE_INTEGER)) throw wrong('untilMs is a time')
  if (kind === 'cut') return { kind, untilMs }
  if (!within(percent, 0, 100)) throw wrong('percent is between 0 and 100')
  if (kind === 'failing-disk') return { kind, percent, untilMs }
  if (!within(msMin, 0, DELAY_MS_MAX) || !within(msMax, msMin, DELAY_MS_MAX))
    throw wrong(`msMin and msMax are between 0 and ${DELAY_MS_MAX}, the lesser first`)
  return { kind, percent, msMin, msMax, untilMs }
}
