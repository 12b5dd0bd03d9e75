/**
 * The RDS API as AWS's own SDK describes it, walked once: what `parse.ts` and `serialize.ts` need of each shape, and
 * nothing of it typed by hand.
 */
import * as rds from '@aws-sdk/client-rds'
import { NormalizedSchema } from '@smithy/core/schema'

export type Shape =
  | { readonly kind: 'string' | 'number' | 'boolean' | 'timestamp' | 'blob' }
  | { readonly kind: 'list'; readonly item: Shape; readonly itemName: string }
  | { readonly kind: 'map'; readonly value: Shape; readonly keyName: string; readonly valueName: string }
  | Structure

export interface Structure {
  readonly kind: 'structure'
  readonly name: string
  readonly members: readonly Member[]
}

export interface Member {
  readonly name: string
  readonly shape: Shape
  readonly required: boolean
}

export interface OperationShape {
  readonly name: string
  readonly input: Structure
  /** null: it has none, and its answer has no `Result` element. */
  readonly output: Structure | null
}

/** Kinds of the SDK's runtime schemas, by their first element. */
const STRUCTURE = 3
const ERROR = -3
const OPERATION = 9

type Schemas = readonly unknown[]

const exported = (kind: number): Schemas[] =>
  (Object.values(rds) as unknown[]).filter((value): value is Schemas => Array.isArray(value) && value[0] === kind)

const structures = new Map<string, Structure>()

function structureOf(schema: NormalizedSchema): Structure {
  const name = schema.getName() ?? ''
  const known = structures.get(name)
  if (known !== undefined) return known
  const members: Member[] = []
  const structure: Structure = { kind: 'structure', name, members }
  // Before its members: some shapes contain themselves.
  structures.set(name, structure)
  const raw: unknown = schema.getSchema()
  // Required members come first; the last element of a structure's schema is how many there are.
  const required = Array.isArray(raw) && raw[0] === STRUCTURE ? Number(raw[6] ?? 0) : 0
  for (const [memberName, member] of schema.structIterator()) {
    members.push({ name: memberName, shape: shapeOf(member), required: members.length < required })
  }
  return structure
}

function shapeOf(schema: NormalizedSchema): Shape {
  if (schema.isStructSchema()) return structureOf(schema)
  if (schema.isListSchema()) {
    const item = schema.getValueSchema()
    return { kind: 'list', item: shapeOf(item), itemName: item.getMergedTraits().xmlName ?? 'member' }
  }
  if (schema.isMapSchema()) {
    const name = (of: NormalizedSchema, otherwise: string): string => of.getMergedTraits().xmlName ?? otherwise
    const value = schema.getValueSchema()
    return {
      kind: 'map',
      value: shapeOf(value),
      keyName: name(schema.getKeySchema(), 'key'),
      valueName: name(value, 'value'),
    }
  }
  if (schema.isTimestampSchema()) return { kind: 'timestamp' }
  if (schema.isBooleanSchema()) return { kind: 'boolean' }
  if (schema.isNumericSchema()) return { kind: 'number' }
  if (schema.isBlobSchema()) return { kind: 'blob' }
  return { kind: 'string' }
}

function operationOf([, , name, , input, output]: Schemas): OperationShape {
  const out = NormalizedSchema.of(output as never)
  return {
    name: String(name),
    input: structureOf(NormalizedSchema.of(input as never)),
    output: out.isUnitSchema() ? null : structureOf(out),
  }
}

/** All operations that AWS's API has, by name. */
export const OPERATION_SHAPES: ReadonlyMap<string, OperationShape> = new Map(
  exported(OPERATION).map((schema) => [String(schema[2]), operationOf(schema)]),
)

export interface FaultShape {
  /** As it goes over the wire, which for many is not the name of the shape. */
  readonly code: string
  readonly status: number
}

interface ErrorTraits {
  readonly awsQueryError?: readonly [string, number]
  readonly httpError?: number
}

/** All modelled errors by the names of their shapes, such as `DBInstanceNotFoundFault`. */
export const FAULT_SHAPES: ReadonlyMap<string, FaultShape> = new Map(
  exported(ERROR).map((schema) => {
    const name = String(schema[2])
    const { awsQueryError, httpError } = schema[3] as ErrorTraits
    return [name, { code: awsQueryError?.[0] ?? name, status: awsQueryError?.[1] ?? httpError ?? 400 }]
  }),
)
