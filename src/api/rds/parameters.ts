/** Operations on the parameters in groups. */
import type {
  DBClusterParameterGroupDetails,
  DBClusterParameterGroupNameMessage,
  DBParameterGroupDetails,
  DBParameterGroupNameMessage,
  DescribeDBClusterParametersMessage,
  DescribeDBParametersMessage,
  DescribeEngineDefaultClusterParametersMessage,
  DescribeEngineDefaultClusterParametersResult,
  DescribeEngineDefaultParametersMessage,
  DescribeEngineDefaultParametersResult,
  ModifyDBClusterParameterGroupMessage,
  ModifyDBParameterGroupMessage,
  Parameter,
  ResetDBClusterParameterGroupMessage,
  ResetDBParameterGroupMessage,
} from '@aws-sdk/client-rds'
import { recordEvent } from '../../cluster/events.ts'
import type { ParameterDefinition, ParameterDefinitions } from '../../cluster/parameter-definitions.ts'
import {
  DEFAULT_GROUP,
  type GroupKind,
  type ParameterGroup,
  type ParameterValue,
  parameterValues,
  resetParameters,
  setParameters,
} from '../../cluster/parameter-groups.ts'
import { valueProblem } from '../../cluster/parameter-values.ts'
import { fault, invalidCombination, invalidValue, missingParameter } from '../api-error.ts'
import { arn, type Call, type Operation, type Paged } from './call.ts'
import { families } from './engine-versions.ts'
import { filtered, type Page, page } from './pages.ts'
import { groupNamed } from './parameter-groups.ts'

/** In one request, as with AWS. */
const PARAMETERS_MAX = 20

const SOURCES = ['user', 'system', 'engine-default']

/** An instance's group has what instances of one cluster may differ in. */
const shownIn = (kind: GroupKind, { level }: ParameterDefinition): boolean => kind === 'cluster' || level === 'any'

function shown(definition: ParameterDefinition, set: ParameterValue | undefined): Parameter {
  return {
    ParameterName: definition.name,
    ParameterValue: set?.value ?? definition.defaultValue ?? undefined,
    Description: definition.description,
    Source: set === undefined ? definition.source : 'user',
    ApplyType: definition.applyType,
    DataType: definition.dataType,
    AllowedValues: definition.allowedValues ?? undefined,
    IsModifiable: definition.fixed === null,
    ApplyMethod: set?.applyMethod ?? 'pending-reboot',
    SupportedEngineModes: ['provisioned'],
  }
}

function pageOf(
  kind: GroupKind,
  definitions: ParameterDefinitions,
  values: ReadonlyMap<string, ParameterValue>,
  paged: Paged,
  source?: string,
): Page<Parameter> {
  if (source !== undefined && !SOURCES.includes(source))
    throw invalidValue(`Invalid parameter source: ${source}. Valid are ${SOURCES.join(', ')}.`)
  const all = [...definitions.values()]
    .filter((definition) => shownIn(kind, definition))
    .map((definition) => shown(definition, values.get(definition.name)))
    .filter(({ Source }) => source === undefined || Source === source)
  const named = filtered(all, paged, { 'parameter-name': ({ ParameterName = '' }) => ParameterName })
  return page(named, paged, ({ ParameterName = '' }) => ParameterName)
}

const NONE: ReadonlyMap<string, ParameterValue> = new Map()

async function defaults(call: Call, kind: GroupKind, family: string | undefined, paged: Paged) {
  if (family === undefined || !families().includes(family))
    throw invalidValue(`ParameterGroupFamily ${family} is not a valid parameter group family`)
  const { items, marker } = pageOf(kind, await call.parameterDefinitions(family), NONE, paged)
  return { EngineDefaults: { DBParameterGroupFamily: family, Marker: marker, Parameters: [...items] } }
}

export const describeEngineDefaultParameters: Operation<
  DescribeEngineDefaultParametersMessage,
  DescribeEngineDefaultParametersResult
> = (input, call) => defaults(call, 'instance', input.DBParameterGroupFamily, input)

export const describeEngineDefaultClusterParameters: Operation<
  DescribeEngineDefaultClusterParametersMessage,
  DescribeEngineDefaultClusterParametersResult
> = (input, call) => defaults(call, 'cluster', input.DBParameterGroupFamily, input)

async function describe(call: Call, kind: GroupKind, given: string | undefined, paged: Paged, source?: string) {
  const { family } = groupNamed(call, kind, given)
  const definitions = await call.parameterDefinitions(family)
  // Once more: it may be gone by now.
  const { name } = groupNamed(call, kind, given)
  const { items, marker } = pageOf(kind, definitions, parameterValues(call.plane.database, kind, name), paged, source)
  return { Marker: marker, Parameters: [...items] }
}

export const describeDBParameters: Operation<DescribeDBParametersMessage, DBParameterGroupDetails> = (input, call) =>
  describe(call, 'instance', input.DBParameterGroupName, input, input.Source)

export const describeDBClusterParameters: Operation<
  DescribeDBClusterParametersMessage,
  DBClusterParameterGroupDetails
> = (input, call) => describe(call, 'cluster', input.DBClusterParameterGroupName, input, input.Source)

function definitionNamed(definitions: ParameterDefinitions, kind: GroupKind, given: string): ParameterDefinition {
  const definition = definitions.get(given.toLowerCase())
  if (definition === undefined || !shownIn(kind, definition))
    throw invalidValue(
      `Could not find parameter with name: ${given}${definition === undefined ? '' : '. It is one of DB cluster parameter groups.'}`,
    )
  return definition
}

function methodGiven(given: string | undefined): ParameterValue['applyMethod'] {
  if (given !== 'immediate' && given !== 'pending-reboot')
    throw invalidValue(`Invalid apply method: ${given}. Valid are immediate and pending-reboot.`)
  return given
}

function valueGiven(definitions: ParameterDefinitions, kind: GroupKind, given: Parameter): ParameterValue {
  if (given.ParameterName === undefined) throw missingParameter('Parameters.Parameter.ParameterName')
  if (given.ParameterValue === undefined) throw missingParameter('Parameters.Parameter.ParameterValue')
  const definition = definitionNamed(definitions, kind, given.ParameterName)
  const { name } = definition
  if (definition.fixed !== null) throw invalidValue(`The parameter ${name} cannot be modified: ${definition.fixed}.`)
  const applyMethod = methodGiven(given.ApplyMethod)
  if (definition.applyType === 'static' && applyMethod === 'immediate')
    throw invalidCombination(`cannot use immediate apply method for static parameter: ${name}`)
  const value = given.ParameterValue
  const problem = valueProblem(definition, value)
  if (problem !== undefined) throw invalidValue(`Invalid parameter value: ${value} for: ${name}: ${problem}`)
  return { name, value, applyMethod }
}

function checkCount(count: number): void {
  if (count === 0) throw missingParameter('Parameters')
  if (count > PARAMETERS_MAX)
    throw invalidValue(`A maximum of ${PARAMETERS_MAX} parameters can be modified in a single request.`)
}

/** Groups that may be changed; the defaults may not. */
function changeable(call: Call, kind: GroupKind, given: string | undefined): ParameterGroup {
  const group = groupNamed(call, kind, given)
  if (group.name.startsWith(DEFAULT_GROUP))
    throw fault('InvalidDBParameterGroupStateFault', 'Default parameter groups cannot be modified.')
  return group
}

function tell(call: Call, { kind, name }: ParameterGroup, values: readonly ParameterValue[]): void {
  const source = { name, arn: arn(call, kind === 'cluster' ? 'cluster-pg' : 'pg', name) }
  for (const { name: parameter, value, applyMethod } of values) {
    const details = { name: parameter, value, method: applyMethod }
    recordEvent(call.plane.database, call.nowMs, 'parameterChanged', source, details)
  }
}

async function modify(call: Call, kind: GroupKind, given: string | undefined, parameters: readonly Parameter[]) {
  const definitions = await call.parameterDefinitions(changeable(call, kind, given).family)
  checkCount(parameters.length)
  return call.plane.transaction(() => {
    const group = changeable(call, kind, given)
    const values = parameters.map((parameter) => valueGiven(definitions, kind, parameter))
    setParameters(call.plane.database, kind, group.name, values)
    tell(call, group, values)
    call.plane.parameterGroupChanged(
      kind,
      group.name,
      values.some(({ applyMethod }) => applyMethod === 'pending-reboot'),
    )
    return group.name
  })
}

export const modifyDBParameterGroup: Operation<ModifyDBParameterGroupMessage, DBParameterGroupNameMessage> = async (
  input,
  call,
) => ({ DBParameterGroupName: await modify(call, 'instance', input.DBParameterGroupName, input.Parameters ?? []) })

export const modifyDBClusterParameterGroup: Operation<
  ModifyDBClusterParameterGroupMessage,
  DBClusterParameterGroupNameMessage
> = async (input, call) => ({
  DBClusterParameterGroupName: await modify(call, 'cluster', input.DBClusterParameterGroupName, input.Parameters ?? []),
})

interface Reset {
  readonly ResetAllParameters?: boolean | undefined
  readonly Parameters?: readonly Parameter[] | undefined
}

async function reset(call: Call, kind: GroupKind, given: string | undefined, input: Reset) {
  const { ResetAllParameters: all = false, Parameters: parameters = [] } = input
  if (all && parameters.length > 0)
    throw invalidCombination('Parameters must not be specified when ResetAllParameters is true.')
  const definitions = await call.parameterDefinitions(changeable(call, kind, given).family)
  if (!all) checkCount(parameters.length)
  return call.plane.transaction(() => {
    const group = changeable(call, kind, given)
    const { database } = call.plane
    const names = all
      ? [...parameterValues(database, kind, group.name).keys()]
      : parameters.map(({ ParameterName = '' }) => definitionNamed(definitions, kind, ParameterName).name)
    resetParameters(database, kind, group.name, names)
    call.plane.parameterGroupChanged(
      kind,
      group.name,
      names.some((name) => definitions.get(name)?.applyType === 'static'),
    )
    return group.name
  })
}

export const resetDBParameterGroup: Operation<ResetDBParameterGroupMessage, DBParameterGroupNameMessage> = async (
  input,
  call,
) => ({ DBParameterGroupName: await reset(call, 'instance', input.DBParameterGroupName, input) })

export const resetDBClusterParameterGroup: Operation<
  ResetDBClusterParameterGroupMessage,
  DBClusterParameterGroupNameMessage
> = async (input, call) => ({
  DBClusterParameterGroupName: await reset(call, 'cluster', input.DBClusterParameterGroupName, input),
})
