/** Operations on the endpoints of clusters: the two that each has, and those that users make. */
import type {
  CreateDBClusterEndpointMessage,
  DBClusterEndpoint,
  DBClusterEndpointMessage,
  DeleteDBClusterEndpointMessage,
  DescribeDBClusterEndpointsMessage,
  ModifyDBClusterEndpointMessage,
} from '@aws-sdk/client-rds'
import type { Cluster, CustomEndpoint } from '../../cluster/control-plane.ts'
import { replaceTags } from '../../cluster/tags.ts'
import { fault, invalidCombination, invalidValue } from '../api-error.ts'
import { arn, type Call, nameGiven, type Operation, tagsGiven } from './call.ts'
import { clusterNamed } from './clusters.ts'
import { identifier } from './identifiers.ts'
import { instanceNotFound } from './instances.ts'
import { filtered, page } from './pages.ts'

const shownCustom = (call: Call, endpoint: CustomEndpoint): DBClusterEndpoint => ({
  DBClusterEndpointIdentifier: endpoint.name,
  DBClusterIdentifier: endpoint.cluster,
  DBClusterEndpointResourceIdentifier: endpoint.resourceId,
  Endpoint: endpoint.host,
  Status: endpoint.status,
  EndpointType: 'CUSTOM',
  CustomEndpointType: endpoint.type,
  StaticMembers: [...endpoint.staticMembers],
  ExcludedMembers: [...endpoint.excludedMembers],
  DBClusterEndpointArn: arn(call, 'cluster-endpoint', endpoint.name),
})

/** They are there as long as the cluster is. */
function shownBuiltIn({ name, status, writerEndpoint, readerEndpoint }: Cluster): DBClusterEndpoint[] {
  const state = status === 'creating' || status === 'deleting' ? status : 'available'
  return [
    { DBClusterIdentifier: name, Endpoint: writerEndpoint, Status: state, EndpointType: 'WRITER' },
    { DBClusterIdentifier: name, Endpoint: readerEndpoint, Status: state, EndpointType: 'READER' },
  ]
}

function endpointNamed(call: Call, given: string | undefined): CustomEndpoint {
  const name = nameGiven(call, 'cluster-endpoint', given ?? '')
  const endpoint = call.plane.customEndpoint(name)
  if (endpoint === undefined) throw fault('DBClusterEndpointNotFoundFault', `DBClusterEndpoint ${name} not found.`)
  return endpoint
}

function endpointType(given: string | undefined): CustomEndpoint['type'] {
  const type = given?.toUpperCase()
  if (type !== 'READER' && type !== 'ANY')
    throw invalidValue(`Invalid endpoint type: ${given}. Valid are READER and ANY.`)
  return type
}

function membersGiven(
  call: Call,
  cluster: string,
  names: readonly string[] | undefined,
): readonly string[] | undefined {
  return names?.map((given) => {
    const name = nameGiven(call, 'db', given)
    if (call.plane.instance(name)?.cluster !== cluster) throw instanceNotFound(name)
    return name
  })
}

function checkLists(staticMembers: readonly string[], excludedMembers: readonly string[]): void {
  if (staticMembers.length > 0 && excludedMembers.length > 0)
    throw invalidCombination('StaticMembers and ExcludedMembers cannot both be specified for an endpoint.')
}

export const createDBClusterEndpoint: Operation<CreateDBClusterEndpointMessage, DBClusterEndpoint> = (input, call) => {
  const name = identifier('DBClusterEndpointIdentifier', input.DBClusterEndpointIdentifier ?? '')
  const cluster = clusterNamed(call, input.DBClusterIdentifier)
  const staticMembers = membersGiven(call, cluster.name, input.StaticMembers) ?? []
  const excludedMembers = membersGiven(call, cluster.name, input.ExcludedMembers) ?? []
  checkLists(staticMembers, excludedMembers)
  const spec = { name, cluster: cluster.name, type: endpointType(input.EndpointType), staticMembers, excludedMembers }
  const tags = tagsGiven(input.Tags)
  if (call.plane.customEndpoint(name) !== undefined)
    throw fault('DBClusterEndpointAlreadyExistsFault', `DBClusterEndpoint ${name} already exists.`)
  return call.plane.transaction(() => {
    const endpoint = call.plane.createCustomEndpoint(spec)
    replaceTags(call.plane.database, arn(call, 'cluster-endpoint', name), tags)
    return shownCustom(call, endpoint)
  })
}

/** What a list of them is in the order of. */
const keyOf = (endpoint: DBClusterEndpoint): string =>
  [endpoint.DBClusterIdentifier, endpoint.EndpointType, endpoint.DBClusterEndpointIdentifier ?? ''].join('/')

export const describeDBClusterEndpoints: Operation<DescribeDBClusterEndpointsMessage, DBClusterEndpointMessage> = (
  input,
  call,
) => {
  const { DBClusterIdentifier: cluster, DBClusterEndpointIdentifier: name } = input
  const clusters = cluster === undefined ? call.plane.clusters() : [clusterNamed(call, cluster)]
  const names = new Set(clusters.map((each) => each.name))
  const custom = call.plane.customEndpoints().filter((endpoint) => names.has(endpoint.cluster))
  const all = [...clusters.flatMap(shownBuiltIn), ...custom.map((endpoint) => shownCustom(call, endpoint))]
  const wanted = name === undefined ? undefined : nameGiven(call, 'cluster-endpoint', name)
  const asked = wanted === undefined ? all : all.filter((each) => each.DBClusterEndpointIdentifier === wanted)
  const left = filtered(asked, input, {
    'db-cluster-endpoint-type': ({ EndpointType = '' }) => EndpointType,
    'db-cluster-endpoint-custom-type': ({ CustomEndpointType = '' }) => CustomEndpointType,
    'db-cluster-endpoint-id': ({ DBClusterEndpointIdentifier = '' }) => DBClusterEndpointIdentifier,
    'db-cluster-endpoint-status': ({ Status = '' }) => Status,
    'db-cluster-id': ({ DBClusterIdentifier = '' }) => DBClusterIdentifier,
  })
  const { items, marker } = page(left, input, keyOf)
  return { Marker: marker, DBClusterEndpoints: [...items] }
}

export const modifyDBClusterEndpoint: Operation<ModifyDBClusterEndpointMessage, DBClusterEndpoint> = (input, call) => {
  const endpoint = endpointNamed(call, input.DBClusterEndpointIdentifier)
  const given = {
    staticMembers: membersGiven(call, endpoint.cluster, input.StaticMembers),
    excludedMembers: membersGiven(call, endpoint.cluster, input.ExcludedMembers),
  }
  checkLists(given.staticMembers ?? [], given.excludedMembers ?? [])
  // One list replaces the other.
  const { staticMembers, excludedMembers } = {
    staticMembers: given.staticMembers ?? (given.excludedMembers?.length ? [] : undefined),
    excludedMembers: given.excludedMembers ?? (given.staticMembers?.length ? [] : undefined),
  }
  const changed = call.plane.modifyCustomEndpoint(endpoint.name, {
    ...(input.EndpointType !== undefined && { type: endpointType(input.EndpointType) }),
    ...(staticMembers !== undefined && { staticMembers }),
    ...(excludedMembers !== undefined && { excludedMembers }),
  })
  return shownCustom(call, changed)
}

export const deleteDBClusterEndpoint: Operation<DeleteDBClusterEndpointMessage, DBClusterEndpoint> = (input, call) => {
  const { name } = endpointNamed(call, input.DBClusterEndpointIdentifier)
  return shownCustom(call, call.plane.deleteCustomEndpoint(name))
}
