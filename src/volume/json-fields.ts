/** Strict reading of JSON from the registry: every field is there, of its type, and there is no other. */
import { VolumeError } from '../protocol/errors.ts'
import { type Lsn, lsn, parseVolumeName, type VolumeId } from '../protocol/lsn.ts'

export function corrupt(path: string, expected: string): never {
  throw new VolumeError('Corrupt', `${path} is not ${expected}`)
}

/** @throws VolumeError `Corrupt` unless JSON, `UnsupportedFormat` unless its `format` is the one that is read here */
export function parseDocument(text: string, what: string, format: number): unknown {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (cause) {
    throw new VolumeError('Corrupt', `${what} is not JSON`, { cause })
  }
  const found = typeof document === 'object' && document !== null && 'format' in document ? document.format : undefined
  if (!Number.isSafeInteger(found) || (found as number) < 1) corrupt(`${what}.format`, 'a format number')
  if (found !== format)
    throw new VolumeError('UnsupportedFormat', `${what} has format ${found}; this version reads ${format}`)
  return document
}

/** An object with exactly these fields; those in `optional` may be missing. */
export function fields<K extends string, O extends string = never>(
  value: unknown,
  path: string,
  names: readonly K[],
  optional: readonly O[] = [],
): Record<K, unknown> & Partial<Record<O, unknown>> {
  const object = record(value, path)
  for (const name of names) if (!Object.hasOwn(object, name)) corrupt(`${path}.${name}`, 'there')
  const known: readonly string[] = [...names, ...optional]
  for (const name of Object.keys(object)) if (!known.includes(name)) corrupt(`${path}.${name}`, 'a known field')
  return object as Record<K, unknown> & Partial<Record<O, unknown>>
}

/** An object with any fields. */
export function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) corrupt(path, 'an object')
  return value as Record<string, unknown>
}

export function list<T>(value: unknown, path: string, item: (value: unknown, path: string) => T): T[] {
  if (!Array.isArray(value)) corrupt(path, 'a list')
  return value.map((each, index) => item(each, `${path}[${index}]`))
}

export function integer(value: unknown, path: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    corrupt(path, `a whole number from ${min} to ${max}`)
  }
  return value as number
}

export function text(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '') corrupt(path, 'a text')
  return value
}

export function oneOf<T extends string>(value: unknown, path: string, known: readonly T[]): T {
  if (!known.includes(value as T)) corrupt(path, `one of ${known.join(', ')}`)
  return value as T
}

export const lsnField = (value: unknown, path: string): Lsn => lsn(integer(value, path))

export function volumeField(value: unknown, path: string): VolumeId {
  return parseVolumeName(text(value, path)) ?? corrupt(path, 'the name of a volume')
}
