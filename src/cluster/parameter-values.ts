/** Whether a value may be given to a parameter, and what an engine runs with in the end. */
import { parameterProblem } from '../engine/postgres/parameters.ts'
import { type ParameterDefinition, type ParameterDefinitions, SAME_ON_ALL } from './parameter-definitions.ts'
import { evaluateFormula, type FormulaVariables, isFormula } from './parameter-formula.ts'

/** Something to try a formula with. */
const SAMPLE: FormulaVariables = { DBInstanceClassMemory: 2 ** 34, DBInstanceVCPU: 2, EndPointPort: 5432 }

function inRange(allowedValues: string, value: number): boolean {
  const [, least, most] = /^(-?[\d.e+]+)-(-?[\d.e+]+)$/.exec(allowedValues) ?? []
  return least === undefined || (value >= Number(least) && value <= Number(most))
}

function numberProblem({ allowedValues, dataType }: ParameterDefinition, value: string): string | undefined {
  let number = Number(value)
  if (isFormula(value)) {
    try {
      number = evaluateFormula(value, SAMPLE)
    } catch {
      return `${value} is no formula`
    }
    // Its value depends on the instance: the engine is given what is nearest in the range.
    return undefined
  }
  if (!/^-?\d+(\.\d+)?$/.test(value) || (dataType === 'integer' && !Number.isInteger(number)))
    return `it takes a number of type ${dataType}`
  return allowedValues === null || inRange(allowedValues, number) ? undefined : `allowed are ${allowedValues}`
}

/** @returns why a value cannot be; undefined when it can */
export function valueProblem(definition: ParameterDefinition, value: string): string | undefined {
  const { name, dataType, allowedValues, fixed } = definition
  if (fixed !== null) return fixed
  if (dataType === 'integer' || dataType === 'float') return numberProblem(definition, value)
  if (allowedValues !== null && !allowedValues.split(',').includes(value)) return `allowed are ${allowedValues}`
  return name.startsWith('rds.') ? undefined : parameterProblem(name, value)
}

export type Values = ReadonlyMap<string, string>

/** What an engine is configured with: parameters of its own, and what those of Aurora come to. */
export interface EffectiveParameters {
  readonly parameters: Readonly<Record<string, string>>
}

export interface Capacity extends FormulaVariables {
  /** Memory of the largest instance of the cluster, for what must be the same on all. */
  readonly largestMemory: number
}

function evaluated(definition: ParameterDefinition, value: string, capacity: Capacity): string {
  if (!isFormula(value) || definition.dataType === 'string' || definition.dataType === 'boolean') return value
  const memory = SAME_ON_ALL.includes(definition.name) ? capacity.largestMemory : capacity.DBInstanceClassMemory
  const number = evaluateFormula(value, { ...capacity, DBInstanceClassMemory: memory })
  const [, least = '-Infinity', most = 'Infinity'] =
    /^(-?[\d.e+]+)-(-?[\d.e+]+)$/.exec(definition.allowedValues ?? '') ?? []
  return `${Math.min(Math.max(number, Number(least)), Number(most))}`
}

/**
 * Only what differs from how instances are set up anyway. An instance's own group wins over its cluster's.
 * @param cluster values that were set in the cluster's group
 * @param instance those of the instance's group
 */
export function effectiveParameters(
  definitions: ParameterDefinitions,
  cluster: Values,
  instance: Values,
  capacity: Capacity,
): EffectiveParameters {
  const values = new Map(cluster)
  for (const [name, value] of instance) if (definitions.get(name)?.level === 'any') values.set(name, value)
  // The same number of sessions on all, also where instances are of different sizes.
  const sessions = definitions.get('max_connections')
  if (sessions?.defaultValue != null && !values.has(sessions.name)) values.set(sessions.name, sessions.defaultValue)
  const parameters: Record<string, string> = {}
  for (const [name, value] of values) {
    const definition = definitions.get(name)
    if (definition === undefined || name.startsWith('rds.')) continue
    parameters[name] = evaluated(definition, value, capacity)
  }
  if (values.get('rds.logical_replication') === '1') parameters.wal_level = 'logical'
  return { parameters }
}
