/** Inputs and outputs as documents (JSON, CBOR): the same values, but for times, which have no form of their own there. */
import { malformed, missingParameter } from '../api-error.ts'
import type { Shape, Structure } from '../query/shapes.ts'

type Members = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)

const DEPTH_MAX = 16

/** @throws ApiError when a value is not what the shape says, or is missing */
export function readDocument(shape: Structure, value: unknown): Members {
  return structure(shape, value, '', 0)
}

function structure(shape: Structure, value: unknown, path: string, depth: number): Members {
  if (!isObject(value) || depth > DEPTH_MAX) throw malformed(`${path || 'The request'} is no structure.`)
  const input: Record<string, unknown> = {}
  for (const { name, shape: of, required } of shape.members) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined
    if (given !== undefined && given !== null) input[name] = read(of, given, `${path}${name}`, depth + 1)
    else if (required) throw missingParameter(`${path}${name}`)
  }
  return input
}

function read(shape: Shape, value: unknown, path: string, depth: number): unknown {
  switch (shape.kind) {
    case 'structure':
      return structure(shape, value, `${path}.`, depth)
    case 'list':
      if (!Array.isArray(value)) throw malformed(`${path} is no list.`)
      return value.map((item, index) => read(shape.item, item, `${path}.${index + 1}`, depth + 1))
    case 'map':
      if (!isObject(value)) throw malformed(`${path} is no map.`)
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, read(shape.value, item, `${path}.${key}`, depth + 1)]),
      )
    case 'timestamp':
      return time(value, path)
    case 'blob':
      return value instanceof Uint8Array ? value : Buffer.from(String(value), 'base64')
    default:
      if (typeof value !== shape.kind) throw malformed(`${path} is no ${shape.kind}.`)
      return value
  }
}

/** Seconds, a text as of ISO 8601, or CBOR's tag 1. */
function time(value: unknown, path: string): Date {
  const raw = isObject(value) && value.tag === 1 ? value.value : value
  const date = new Date(typeof raw === 'number' ? raw * 1000 : typeof raw === 'string' ? raw : Number.NaN)
  if (Number.isNaN(date.getTime())) throw malformed(`${path} is no time.`)
  return date
}

/** @param time how the document writes one */
export function writeDocument(value: unknown, time: (date: Date) => unknown): unknown {
  if (value instanceof Date) return time(value)
  if (Array.isArray(value)) return value.map((item) => writeDocument(item, time))
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => (item === undefined ? [] : [[name, writeDocument(item, time)]])),
  )
}
