/** Lists in pages, and what filters leave of them. */
import { invalidValue, missingParameter } from '../api-error.ts'
import type { Paged } from './call.ts'
import { numberWithin } from './identifiers.ts'

const RECORDS_MIN = 20
const RECORDS_MAX = 100

export interface Page<T> {
  readonly items: readonly T[]
  /** undefined: this was the last. */
  readonly marker: string | undefined
}

/**
 * A marker holds the key of the last item that was given, so that a list may change between pages and nothing that stays
 * is given twice or left out. Items come in the order of their keys.
 */
export function page<T>(
  items: readonly T[],
  { Marker, MaxRecords = RECORDS_MAX }: Paged,
  keyOf: (item: T) => string,
): Page<T> {
  const limit = numberWithin('MaxRecords', MaxRecords, RECORDS_MIN, RECORDS_MAX)
  const after = Marker === undefined || Marker === '' ? undefined : keyIn(Marker)
  const keyed = items.map((item) => ({ key: keyOf(item), item })).sort((a, b) => (a.key < b.key ? -1 : 1))
  const rest = after === undefined ? keyed : keyed.filter(({ key }) => key > after)
  const given = rest.slice(0, limit)
  const last = given.at(-1)
  const marker = rest.length > limit && last !== undefined ? Buffer.from(last.key).toString('base64url') : undefined
  return { items: given.map(({ item }) => item), marker }
}

function keyIn(marker: string): string {
  const key = Buffer.from(marker, 'base64url').toString()
  if (Buffer.from(key).toString('base64url') !== marker) throw invalidValue(`Invalid Marker: ${marker.slice(0, 80)}`)
  return key
}

/** By the name of a filter: what of an item has to be among its values. */
export type FilterFields<T> = Readonly<Record<string, (item: T) => string | readonly string[]>>

/** All filters have to hold, each with any of its values. */
export function filtered<T>(items: readonly T[], { Filters }: Paged, fields: FilterFields<T>): readonly T[] {
  return (Filters ?? []).reduce<readonly T[]>((left, { Name = '', Values }) => {
    const field = Object.hasOwn(fields, Name) ? fields[Name] : undefined
    if (field === undefined) throw invalidValue(`Unrecognized filter name: ${Name}`)
    if (Values === undefined || Values.length === 0) throw missingParameter(`Filters.Filter.Values`)
    const wanted = new Set(Values.map((value) => value.toLowerCase()))
    return left.filter((item) => [field(item)].flat().some((value) => wanted.has(value.toLowerCase())))
  }, items)
}
