/**
 * From the tree of a form to the input of an operation, by its shape. Names that the shape does not have are passed
 * over, as AWS does: a newer client may know more than this version of the API.
 */
import { invalidValue, malformed, missingParameter } from '../api-error.ts'
import type { FormNode } from './form.ts'
import type { Shape, Structure } from './shapes.ts'

export type Input = Readonly<Record<string, unknown>>

/** @throws ApiError `MissingParameter`, `InvalidParameterValue`, `MalformedInput` */
export const parseInput = (shape: Structure, form: FormNode): Input => structure(shape, form, '')

function structure(shape: Structure, node: FormNode, path: string): Input {
  const input: Record<string, unknown> = {}
  for (const { name, shape: of, required } of shape.members) {
    const given = node.get(name)
    if (given !== undefined) input[name] = memberValue(of, given, path + name)
    else if (required) throw missingParameter(path + name)
  }
  return input
}

function memberValue(shape: Shape, node: FormNode | string, path: string): unknown {
  switch (shape.kind) {
    case 'structure':
      // An empty structure has no parts to be named: clients send its name with nothing.
      return structure(shape, branch(node, path), `${path}.`)
    case 'list':
      return list(branch(node, path), path).map(([name, item]) => memberValue(shape.item, item, name))
    case 'map': {
      const entries = list(branch(node, path), path).map(([name, entry]) => {
        const pair = branch(entry, name)
        const key = pair.get(shape.keyName)
        const value = pair.get(shape.valueName)
        if (typeof key !== 'string' || value === undefined) throw malformed(`${name} is no pair of key and value.`)
        return [key, memberValue(shape.value, value, `${path}.${key}`)] as const
      })
      return Object.fromEntries(entries)
    }
    default:
      if (typeof node !== 'string') throw malformed(`${path} has parts, but it is a single value.`)
      return scalar(shape.kind, node, path)
  }
}

function branch(node: FormNode | string, path: string): FormNode {
  if (typeof node !== 'string') return node
  if (node === '') return new Map()
  throw malformed(`${path} has parts, but is given as a single value.`)
}

/**
 * `Name.1` or, as the protocol has it, `Name.<item>.1`, whatever the item is called. In the order of their numbers,
 * which need not be without gaps.
 */
function list(node: FormNode, path: string): [string, FormNode | string][] {
  const numbered = (of: FormNode, name: string) => [...of].map(([part, value]) => numberedItem(part, value, name))
  const items = [...node].flatMap(([part, value]) =>
    typeof value !== 'string' && !/^\d+$/.test(part)
      ? numbered(value, `${path}.${part}`)
      : [numberedItem(part, value, path)],
  )
  return items.sort((a, b) => a.number - b.number).map(({ name, value }) => [name, value])
}

function numberedItem(part: string, value: FormNode | string, path: string) {
  if (!/^\d{1,9}$/.test(part)) throw malformed(`${path}.${part} is no numbered item of a list.`)
  return { number: Number(part), name: `${path}.${part}`, value }
}

const BOOLEANS: Readonly<Record<string, boolean>> = { true: true, false: false, 1: true, 0: false }

function scalar(kind: Exclude<Shape['kind'], 'structure' | 'list' | 'map'>, text: string, path: string): unknown {
  switch (kind) {
    case 'string':
      // SQLite, file names and engines end a text there.
      if (text.includes('\0')) throw invalidValue(`Invalid value for ${path}: it has a NUL character.`)
      return text
    case 'boolean': {
      const value = BOOLEANS[text.toLowerCase()]
      if (value === undefined)
        throw malformed(`Invalid value '${text.slice(0, 80)}' for ${path}: true or false expected.`)
      return value
    }
    case 'number': {
      const value = Number(text)
      if (!/^[+-]?\d{1,15}(\.\d{1,15})?$/.test(text) || !Number.isFinite(value))
        throw malformed(`Invalid value '${text.slice(0, 80)}' for ${path}: a number expected.`)
      return value
    }
    case 'timestamp': {
      const value = new Date(/^\d{1,12}(\.\d+)?$/.test(text) ? Number(text) * 1000 : text)
      if (Number.isNaN(value.getTime()))
        throw malformed(`Invalid value '${text.slice(0, 80)}' for ${path}: a time as of ISO 8601 expected.`)
      return value
    }
    case 'blob':
      return Buffer.from(text, 'base64')
  }
}
