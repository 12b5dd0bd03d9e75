/** Operations on parameter groups, of clusters and of instances: the same, but for the names of their members. */
import type {
  CopyDBClusterParameterGroupMessage,
  CopyDBClusterParameterGroupResult,
  CopyDBParameterGroupMessage,
  CopyDBParameterGroupResult,
  CreateDBClusterParameterGroupMessage,
  CreateDBClusterParameterGroupResult,
  CreateDBParameterGroupMessage,
  CreateDBParameterGroupResult,
  DBClusterParameterGroup,
  DBClusterParameterGroupsMessage,
  DBParameterGroup,
  DBParameterGroupsMessage,
  DeleteDBClusterParameterGroupMessage,
  DeleteDBParameterGroupMessage,
  DescribeDBClusterParameterGroupsMessage,
  DescribeDBParameterGroupsMessage,
  Tag,
} from '@aws-sdk/client-rds'
import type { ArnType } from '../../cluster/arn.ts'
import {
  createParameterGroup,
  DEFAULT_GROUP,
  deleteParameterGroup,
  type GroupKind,
  type ParameterGroup,
  parameterGroup,
  parameterGroups,
  parameterValues,
  setParameters,
} from '../../cluster/parameter-groups.ts'
import { replaceTags } from '../../cluster/tags.ts'
import { fault, invalidValue } from '../api-error.ts'
import { arn, type Call, nameGiven, type Operation, type Paged, tagsGiven } from './call.ts'
import { families } from './engine-versions.ts'
import { groupName } from './identifiers.ts'
import { filtered, page } from './pages.ts'

/** As many of each kind as AWS allows an account. */
const GROUPS_MAX = 50

const TRAITS = {
  cluster: { arn: 'cluster-pg', what: 'DBClusterParameterGroup', member: 'DBClusterParameterGroupName' },
  instance: { arn: 'pg', what: 'DBParameterGroup', member: 'DBParameterGroupName' },
} as const satisfies Record<GroupKind, { arn: ArnType; what: string; member: string }>

const shownCluster = (call: Call, { name, family, description }: ParameterGroup): DBClusterParameterGroup => ({
  DBClusterParameterGroupName: name,
  DBParameterGroupFamily: family,
  Description: description,
  DBClusterParameterGroupArn: arn(call, 'cluster-pg', name),
})

const shownInstance = (call: Call, { name, family, description }: ParameterGroup): DBParameterGroup => ({
  DBParameterGroupName: name,
  DBParameterGroupFamily: family,
  Description: description,
  DBParameterGroupArn: arn(call, 'pg', name),
})

/** @throws ApiError `DBParameterGroupNotFound` */
export function groupNamed(call: Call, kind: GroupKind, given: string | undefined): ParameterGroup {
  const name = nameGiven(call, TRAITS[kind].arn, given ?? '')
  const group = parameterGroup(call.plane.database, kind, name, families())
  // The same code for both kinds, unlike where a cluster is told to use one.
  if (group === undefined) throw fault('DBParameterGroupNotFoundFault', `${TRAITS[kind].what} not found: ${name}`)
  return group
}

function make(call: Call, group: ParameterGroup, tags: readonly Tag[] | undefined): ParameterGroup {
  const { database } = call.plane
  const { kind, name } = group
  const given = tagsGiven(tags)
  if (parameterGroup(database, kind, name, families()) !== undefined)
    throw fault('DBParameterGroupAlreadyExistsFault', `Parameter group ${name} already exists`)
  if (parameterGroups(database, kind, []).length >= GROUPS_MAX)
    throw fault('DBParameterGroupQuotaExceededFault', `There are ${GROUPS_MAX} parameter groups, which is the quota.`)
  createParameterGroup(database, group)
  replaceTags(database, arn(call, TRAITS[kind].arn, name), given)
  return group
}

function familyGiven(family: string | undefined): string {
  if (family === undefined || !families().includes(family))
    throw invalidValue(`ParameterGroupFamily ${family} is not a valid parameter group family`)
  return family
}

interface NewGroup {
  readonly name: string | undefined
  readonly family: string | undefined
  readonly description: string | undefined
  readonly tags: readonly Tag[] | undefined
}

const create = (call: Call, kind: GroupKind, { name, family, description = '', tags }: NewGroup): ParameterGroup => {
  const own = { kind, name: groupName(TRAITS[kind].member, name ?? ''), family: familyGiven(family), description }
  return call.plane.transaction(() => make(call, own, tags))
}

export const createDBClusterParameterGroup: Operation<
  CreateDBClusterParameterGroupMessage,
  CreateDBClusterParameterGroupResult
> = (input, call) => {
  const { DBClusterParameterGroupName: name, DBParameterGroupFamily: family, Description: description, Tags } = input
  return {
    DBClusterParameterGroup: shownCluster(call, create(call, 'cluster', { name, family, description, tags: Tags })),
  }
}

export const createDBParameterGroup: Operation<CreateDBParameterGroupMessage, CreateDBParameterGroupResult> = (
  { DBParameterGroupName: name, DBParameterGroupFamily: family, Description: description, Tags },
  call,
) => ({ DBParameterGroup: shownInstance(call, create(call, 'instance', { name, family, description, tags: Tags })) })

function list(call: Call, kind: GroupKind, named: string | undefined, paged: Paged) {
  const groups =
    named === undefined ? parameterGroups(call.plane.database, kind, families()) : [groupNamed(call, kind, named)]
  return page(filtered(groups, paged, {}), paged, ({ name }) => name)
}

export const describeDBClusterParameterGroups: Operation<
  DescribeDBClusterParameterGroupsMessage,
  DBClusterParameterGroupsMessage
> = (input, call) => {
  const { items, marker } = list(call, 'cluster', input.DBClusterParameterGroupName, input)
  return { Marker: marker, DBClusterParameterGroups: items.map((group) => shownCluster(call, group)) }
}

export const describeDBParameterGroups: Operation<DescribeDBParameterGroupsMessage, DBParameterGroupsMessage> = (
  input,
  call,
) => {
  const { items, marker } = list(call, 'instance', input.DBParameterGroupName, input)
  return { Marker: marker, DBParameterGroups: items.map((group) => shownInstance(call, group)) }
}

/** Who uses a group: the name of one of them. */
function userOf({ plane }: Call, kind: GroupKind, name: string): string | undefined {
  const users = kind === 'cluster' ? plane.clusters() : plane.instances()
  return users.find(({ settings }) => settings.parameterGroup === name)?.name
}

function remove(call: Call, kind: GroupKind, given: string | undefined): undefined {
  call.plane.transaction(() => {
    const { name } = groupNamed(call, kind, given)
    if (name.startsWith(DEFAULT_GROUP))
      throw fault('InvalidDBParameterGroupStateFault', `Default parameter groups cannot be deleted.`)
    if (userOf(call, kind, name) !== undefined)
      throw fault(
        'InvalidDBParameterGroupStateFault',
        `One or more database ${kind === 'cluster' ? 'clusters' : 'instances'} are still members of this parameter group ${name}, so the group cannot be deleted`,
      )
    deleteParameterGroup(call.plane.database, kind, name)
  })
}

export const deleteDBClusterParameterGroup: Operation<DeleteDBClusterParameterGroupMessage, undefined> = (
  input,
  call,
) => remove(call, 'cluster', input.DBClusterParameterGroupName)

export const deleteDBParameterGroup: Operation<DeleteDBParameterGroupMessage, undefined> = (input, call) =>
  remove(call, 'instance', input.DBParameterGroupName)

interface Copied {
  readonly source: string | undefined
  readonly name: string | undefined
  readonly description: string | undefined
  readonly tags: readonly Tag[] | undefined
}

function copy(call: Call, kind: GroupKind, { source, name, description = '', tags }: Copied): ParameterGroup {
  const target = groupName(`Target${TRAITS[kind].what}Identifier`, name ?? '')
  const { database } = call.plane
  return call.plane.transaction(() => {
    const from = groupNamed(call, kind, source)
    if (from.name.startsWith(DEFAULT_GROUP))
      throw invalidValue(
        `The parameter group ${from.name} is a default one: create one of its family instead of a copy.`,
      )
    const made = make(call, { ...from, name: target, description }, tags)
    setParameters(database, kind, target, parameterValues(database, kind, from.name).values())
    return made
  })
}

export const copyDBClusterParameterGroup: Operation<
  CopyDBClusterParameterGroupMessage,
  CopyDBClusterParameterGroupResult
> = (input, call) => {
  const made = copy(call, 'cluster', {
    source: input.SourceDBClusterParameterGroupIdentifier,
    name: input.TargetDBClusterParameterGroupIdentifier,
    description: input.TargetDBClusterParameterGroupDescription,
    tags: input.Tags,
  })
  return { DBClusterParameterGroup: shownCluster(call, made) }
}

export const copyDBParameterGroup: Operation<CopyDBParameterGroupMessage, CopyDBParameterGroupResult> = (
  input,
  call,
) => {
  const made = copy(call, 'instance', {
    source: input.SourceDBParameterGroupIdentifier,
    name: input.TargetDBParameterGroupIdentifier,
    description: input.TargetDBParameterGroupDescription,
    tags: input.Tags,
  })
  return { DBParameterGroup: shownInstance(call, made) }
}
