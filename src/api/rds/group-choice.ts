/** The groups that a cluster or an instance is to use: there, and of the right family. */
import { defaultGroupName, type GroupKind, parameterGroup } from '../../cluster/parameter-groups.ts'
import { DEFAULT_SUBNET_GROUP, subnetGroup } from '../../cluster/subnet-groups.ts'
import { fault, invalidCombination } from '../api-error.ts'
import type { Call } from './call.ts'
import { families, familyOfVersion } from './engine-versions.ts'

const NOT_FOUND = {
  cluster: ['DBClusterParameterGroupNotFoundFault', 'DBClusterParameterGroup'],
  instance: ['DBParameterGroupNotFoundFault', 'DBParameterGroup'],
} as const satisfies Record<GroupKind, readonly [string, string]>

/** @param given nothing: the default group of the version's family */
export function parameterGroupFor(
  { plane }: Call,
  kind: GroupKind,
  given: string | undefined,
  version: string,
): string {
  const family = familyOfVersion(version)
  if (given === undefined || given === '') return defaultGroupName(family)
  const name = given.toLowerCase()
  const group = parameterGroup(plane.database, kind, name, families())
  const [shape, what] = NOT_FOUND[kind]
  if (group === undefined) throw fault(shape, `${what} not found: ${name}`)
  if (group.family !== family)
    throw invalidCombination(
      `The Parameter Group ${name} with DBParameterGroupFamily ${group.family} cannot be used for this instance. Please use a Parameter Group with DBParameterGroupFamily ${family}`,
    )
  return name
}

export function subnetGroupFor({ plane }: Call, given: string | undefined): string {
  const name = (given ?? DEFAULT_SUBNET_GROUP).toLowerCase()
  if (subnetGroup(plane.database, name, plane.zones) === undefined)
    throw fault('DBSubnetGroupNotFoundFault', `DB subnet group '${name}' does not exist.`)
  return name
}
