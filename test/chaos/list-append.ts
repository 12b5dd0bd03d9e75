/**
 * Whether a history of transactions that read lists and append to them can have come from a serializable database.
 *
 * Every value is appended once, so a list that was read tells the order in which its values were written, and by whom:
 * from that follow the dependencies between transactions, and a cycle among them is an anomaly (Adya's G0, G1c,
 * G-single, G2; what Elle does). What was read of transactions that did not commit, or in their middle, is G1a and G1b.
 */
import { cycleIn, type Dependencies, type Dependency, knots, pathBetween } from './dependency-cycles.ts'

export type Operation =
  | { readonly kind: 'append'; readonly key: number; readonly value: number }
  | { readonly kind: 'read'; readonly key: number; readonly values: readonly number[] }

export interface Transaction {
  readonly id: number
  /** `unknown`: its client was told nothing. */
  readonly outcome: 'committed' | 'failed' | 'unknown'
  readonly operations: readonly Operation[]
}

export type AnomalyName =
  | 'lost append'
  | 'phantom'
  | 'duplicate'
  | 'other order'
  | 'internal'
  | 'G0'
  | 'G1a'
  | 'G1b'
  | 'G1c'
  | 'G-single'
  | 'G2'

export interface Anomaly {
  readonly name: AnomalyName
  readonly text: string
}

export type Lists = ReadonlyMap<number, readonly number[]>

interface Write {
  readonly transaction: Transaction
  /** The last that its transaction appended to that list: others may see it. */
  readonly isLast: boolean
}

/** Who wrote what, by list and value. */
type Writes = ReadonlyMap<number, ReadonlyMap<number, Write>>

function writesOf(transactions: readonly Transaction[]): Writes {
  const writes = new Map<number, Map<number, Write>>()
  for (const transaction of transactions) {
    const lastOf = new Map<number, number>()
    for (const each of transaction.operations) if (each.kind === 'append') lastOf.set(each.key, each.value)
    for (const each of transaction.operations) {
      if (each.kind !== 'append') continue
      const ofList = writes.get(each.key) ?? new Map<number, Write>()
      writes.set(each.key, ofList)
      ofList.set(each.value, { transaction, isLast: lastOf.get(each.key) === each.value })
    }
  }
  return writes
}

export const isPrefix = (part: readonly number[], whole: readonly number[]): boolean =>
  part.length <= whole.length && part.every((value, i) => value === whole[i])

/** What is in the lists at the end, held against who wrote what. */
function finalAnomalies(final: Lists, writes: Writes): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const [key, values] of final) {
    if (new Set(values).size < values.length) anomalies.push({ name: 'duplicate', text: `list ${key}: ${values}` })
    for (const value of values) {
      const writer = writes.get(key)?.get(value)?.transaction
      if (writer === undefined)
        anomalies.push({ name: 'phantom', text: `list ${key} has ${value}, which nobody appended` })
      else if (writer.outcome === 'failed')
        anomalies.push({ name: 'G1a', text: `list ${key} has ${value} of ${writer.id}, which failed` })
    }
  }
  for (const [key, ofList] of writes) {
    const there = new Set(final.get(key))
    for (const [value, { transaction }] of ofList)
      if (transaction.outcome === 'committed' && !there.has(value))
        anomalies.push({ name: 'lost append', text: `${value} of ${transaction.id} to list ${key}, which committed` })
  }
  return anomalies
}

interface ListRead {
  readonly key: number
  /** As the database had it when the transaction began, without what it appended itself. */
  readonly values: readonly number[]
}

/** The first read of each list, and whatever its own operations contradict. */
function readsOf({ id, operations }: Transaction, anomalies: Anomaly[]): ListRead[] {
  const reads: ListRead[] = []
  const expected = new Map<number, readonly number[]>()
  const appended = new Map<number, number[]>()
  for (const { key, ...operation } of operations) {
    const own = appended.get(key) ?? []
    if (operation.kind === 'append') {
      appended.set(key, [...own, operation.value])
      continue
    }
    const { values } = operation
    const before = values.slice(0, Math.max(0, values.length - own.length))
    const known = expected.get(key) ?? before
    const wanted = [...known, ...own]
    if (wanted.length !== values.length || !isPrefix(wanted, values))
      anomalies.push({ name: 'internal', text: `${id} read ${values} of list ${key}, not ${wanted}` })
    if (!expected.has(key)) {
      expected.set(key, before)
      reads.push({ key, values: before })
    }
  }
  return reads
}

/** @param final of all lists, read when nobody wrote any more */
export function listAppendAnomalies(transactions: readonly Transaction[], final: Lists): Anomaly[] {
  const writes = writesOf(transactions)
  const anomalies = finalAnomalies(final, writes)
  const dependencies = new Map<number, Dependency[]>()
  const depends = (from: Transaction | undefined, to: Transaction | undefined, kind: Dependency['kind']): void => {
    if (from === undefined || to === undefined || from === to) return
    const known = dependencies.get(from.id)
    if (known === undefined) dependencies.set(from.id, [{ to: to.id, kind }])
    else known.push({ to: to.id, kind })
  }
  const writerOf = (key: number, value: number | undefined) =>
    value === undefined ? undefined : writes.get(key)?.get(value)?.transaction

  for (const [key, values] of final)
    for (const [i, value] of values.entries())
      if (i > 0) depends(writerOf(key, values[i - 1]), writerOf(key, value), 'ww')

  for (const transaction of transactions) {
    if (transaction.outcome !== 'committed') continue
    for (const { key, values } of readsOf(transaction, anomalies)) {
      const order = final.get(key) ?? []
      const last = values.at(-1)
      const write = last === undefined ? undefined : writes.get(key)?.get(last)
      const where = `${transaction.id} read ${last} as the last of list ${key}`
      if (write?.transaction.outcome === 'failed')
        anomalies.push({ name: 'G1a', text: `${where}, which ${write.transaction.id} failed to write` })
      if (write !== undefined && !write.isLast && write.transaction !== transaction)
        anomalies.push({ name: 'G1b', text: `${where}, in the middle of ${write.transaction.id}` })
      if (last !== undefined && write === undefined)
        anomalies.push({ name: 'phantom', text: `${where}, which nobody appended` })
      if (isPrefix(values, order)) {
        depends(write?.transaction, transaction, 'wr')
        depends(transaction, writerOf(key, order[values.length]), 'rw')
      } else anomalies.push({ name: 'other order', text: `${transaction.id} read ${values} of list ${key}: ${order}` })
    }
  }
  return [...anomalies, ...cyclicAnomalies(dependencies)]
}

const shown = (cycle: readonly number[]): string => [...cycle, cycle[0]].join(' -> ')

/** The worst kind of each knot of transactions that depend on each other. */
function cyclicAnomalies(dependencies: Dependencies): Anomaly[] {
  const anomalies: Anomaly[] = []
  for (const knot of knots(dependencies, ['ww', 'wr', 'rw'])) {
    const written = cycleIn(dependencies, knot, ['ww'])
    const informed = cycleIn(dependencies, knot, ['ww', 'wr'])
    if (written !== undefined) anomalies.push({ name: 'G0', text: shown(written) })
    else if (informed !== undefined) anomalies.push({ name: 'G1c', text: shown(informed) })
    else {
      const single = cycleWithOneOverwrite(dependencies, knot)
      const any = single ?? cycleIn(dependencies, knot, ['ww', 'wr', 'rw']) ?? []
      anomalies.push({ name: single === undefined ? 'G2' : 'G-single', text: shown(any) })
    }
  }
  return anomalies
}

/** A cycle in which one transaction, and no other, overlooked what another wrote. */
function cycleWithOneOverwrite(dependencies: Dependencies, knot: ReadonlySet<number>): number[] | undefined {
  for (const from of knot) {
    for (const { to, kind } of dependencies.get(from) ?? []) {
      if (kind !== 'rw' || !knot.has(to)) continue
      const back = pathBetween(dependencies, knot, ['ww', 'wr'], to, from)
      if (back !== undefined) return back
    }
  }
  return undefined
}
