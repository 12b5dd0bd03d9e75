/** Custom endpoints, as they are wanted. */
import type { EndpointRecord } from './cluster-records.ts'
import { ControlPlaneError, type CustomEndpoint } from './control-plane.ts'
import type { ControlStore } from './control-store.ts'
import { newResourceId } from './resource-id.ts'

/** Of a cluster; AWS's quota. */
const CUSTOM_ENDPOINTS_MAX = 5

export type NewCustomEndpoint = Pick<CustomEndpoint, 'name' | 'cluster' | 'type' | 'staticMembers' | 'excludedMembers'>
export type CustomEndpointChange = Partial<Pick<CustomEndpoint, 'type' | 'staticMembers' | 'excludedMembers'>>

/** @throws ControlPlaneError `EndpointNotFound` */
export function findCustomEndpoint(store: ControlStore, name: string): EndpointRecord {
  const record = store.endpoint(name)
  if (record === undefined) throw new ControlPlaneError('EndpointNotFound', `DB cluster endpoint ${name} not found.`)
  return record
}

function checkMembers(store: ControlStore, cluster: string, names: readonly string[]): void {
  for (const name of names)
    if (store.instance(name)?.cluster !== cluster)
      throw new ControlPlaneError('InstanceNotFound', `DBInstance ${name} not found.`)
}

/** @throws ControlPlaneError `EndpointExists`, `EndpointQuota`, `InstanceNotFound` */
export function createCustomEndpoint(store: ControlStore, spec: NewCustomEndpoint, address: string): EndpointRecord {
  const { name, cluster, staticMembers, excludedMembers } = spec
  if (store.endpoint(name) !== undefined)
    throw new ControlPlaneError('EndpointExists', `DB cluster endpoint ${name} already exists.`)
  if (store.endpointsOf(cluster).length >= CUSTOM_ENDPOINTS_MAX)
    throw new ControlPlaneError('EndpointQuota', `DB cluster ${cluster} has ${CUSTOM_ENDPOINTS_MAX} custom endpoints.`)
  checkMembers(store, cluster, [...staticMembers, ...excludedMembers])
  return store.putEndpoint({
    ...spec,
    resourceId: newResourceId('cluster-endpoint'),
    createdMs: Date.now(),
    address,
  })
}

/** @throws ControlPlaneError `EndpointNotFound`, `InstanceNotFound` */
export function modifyCustomEndpoint(store: ControlStore, name: string, change: CustomEndpointChange): EndpointRecord {
  const record = findCustomEndpoint(store, name)
  checkMembers(store, record.cluster, [...(change.staticMembers ?? []), ...(change.excludedMembers ?? [])])
  return store.putEndpoint({ ...record, ...change })
}
