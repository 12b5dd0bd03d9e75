/**
 * APIs as AWS's own SDK packages describe them, walked once: what reading requests and writing answers needs of each
 * shape, and nothing of it typed by hand.
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

export interface FaultShape {
  /** As it goes over the wire, which for many is not the name of the shape. */
  readonly code: string
  readonly status: number
}

/** Kinds of the SDK's runtime schemas, by their first element. */
const STRUCTURE = 3
const ERROR = -3
const OPERATION = 9

type Schemas = readonly unknown[]

/** What a client package of AWS exports besides its code. */
const exported = (client: object, kind: number): Schemas[] =>
  (Object.values(client) as unknown[]).filter((value): value is Schemas => Array.isArray(value) && value[0] === kind)

/** The shapes of one API, each made once. */
class Shapes {
  readonly #structures = new Map<string, Structure>()

  structure(schema: NormalizedSchema): Structure {
    const name = schema.getName() ?? ''
    const known = this.#structures.get(name)
    if (known !== undefined) return known
    const members: Member[] = []
    const structure: Structure = { kind: 'structure', name, members }
    // Before its members: some shapes contain themselves.
    this.#structures.set(name, structure)
    const raw: unknown = schema.getSchema()
    // Required members come first; the last element of a structure's schema is how many there are.
    const required = Array.isArray(raw) && raw[0] === STRUCTURE ? Number(raw[6] ?? 0) : 0
    for (const [memberName, member] of schema.structIterator()) {
      members.push({ name: memberName, shape: this.#shape(member), required: members.length < required })
    }
    return structure
  }

  #shape(schema: NormalizedSchema): Shape {
    if (schema.isStructSchema()) return this.structure(schema)
    if (schema.isListSchema()) {
      const item = schema.getValueSchema()
      return { kind: 'list', item: this.#shape(item), itemName: item.getMergedTraits().xmlName ?? 'member' }
    }
    if (schema.isMapSchema()) {
      const name = (of: NormalizedSchema, otherwise: string): string => of.getMergedTraits().xmlName ?? otherwise
      const value = schema.getValueSchema()
      return {
        kind: 'map',
        value: this.#shape(value),
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

  operation([, , name, , input, output]: Schemas): OperationShape {
    const out = NormalizedSchema.of(output as never)
    return {
      name: String(name),
      input: this.structure(NormalizedSchema.of(input as never)),
      output: out.isUnitSchema() ? null : this.structure(out),
    }
  }
}

/** All operations of an API, by name. @param client the module of AWS's package for it */
export function operationShapes(client: object): ReadonlyMap<string, OperationShape> {
  const shapes = new Shapes()
  return new Map(exported(client, OPERATION).map((schema) => [String(schema[2]), shapes.operation(schema)]))
}

interface ErrorTraits {
  readonly awsQueryError?: readonly [string, number]
  readonly httpError?: number
}

/** Of the RDS API. */
export const OPERATION_SHAPES = operationShapes(rds)

/** All modelled errors of the RDS API by the names of their shapes, such as `DBInstanceNotFoundFault`. */
export const FAULT_SHAPES: ReadonlyMap<string, FaultShape> = new Map(
  exported(rds, ERROR).map((schema) => {
    const name = String(schema[2])
    const { awsQueryError, httpError } = schema[3] as ErrorTraits
    return [name, { code: awsQueryError?.[0] ?? name, status: awsQueryError?.[1] ?? httpError ?? 400 }]
  }),
)
