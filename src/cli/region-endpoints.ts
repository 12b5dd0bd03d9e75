/** Which endpoints a region's clusters have, and where each leads just now. */

import { isAvailable, type Seen } from '../cluster/cluster-views.ts'
import type { ControlStore } from '../cluster/control-store.ts'
import type { Endpoint } from '../gateway/endpoint.ts'
import { customMembers, readerMembers } from '../gateway/endpoint-members.ts'
import { type EndpointType, endpointName, type NameSpace } from '../gateway/endpoint-name.ts'

export interface RegionEndpoint extends Endpoint {
  readonly name: string
  readonly cluster: string
}

const placesOf = (members: readonly { readonly address: string }[]): string[] => members.map(({ address }) => address)

export function regionEndpoints(store: ControlStore, seen: Seen, space: NameSpace): RegionEndpoint[] {
  return store.clusters().flatMap((cluster) => {
    const instances = store.instancesOf(cluster.name).filter(({ stage }) => stage === 'live')
    const members = instances.map((each) => ({
      name: each.name,
      role: each.name === cluster.writer ? ('writer' as const) : ('reader' as const),
      available: isAvailable(each, seen),
      address: each.address,
    }))
    const endpoint = (
      type: EndpointType,
      name: string,
      addresses: readonly string[],
      balancer: string | null,
    ): RegionEndpoint => ({
      name,
      cluster: cluster.name,
      type,
      dnsName: endpointName(type, name, space),
      port: cluster.settings.port,
      addresses,
      balancer,
    })
    const writer = members.find(({ role }) => role === 'writer')
    return [
      // Also while it is not available: it is about to be.
      endpoint('writer', cluster.name, writer === undefined ? [] : [writer.address], null),
      endpoint('reader', cluster.name, placesOf(readerMembers(members)), cluster.readerAddress),
      ...store
        .endpointsOf(cluster.name)
        .map((custom) => endpoint('custom', custom.name, placesOf(customMembers(custom, members)), custom.address)),
      ...instances.map(({ name, address }) => endpoint('instance', name, [address], null)),
    ]
  })
}

/** All names and addresses by which clients know an instance: any of its cluster's endpoints may lead to it. */
export function certificateNames(store: ControlStore, instance: string, space: NameSpace): [string, ...string[]] {
  const record = store.instance(instance)
  const cluster = store.cluster(record?.cluster ?? '')
  if (record === undefined || cluster === undefined) throw new Error(`there is no instance ${instance}`)
  const custom = store.endpointsOf(cluster.name)
  return [
    endpointName('instance', instance, space),
    endpointName('writer', cluster.name, space),
    endpointName('reader', cluster.name, space),
    ...custom.map(({ name }) => endpointName('custom', name, space)),
    record.address,
    cluster.readerAddress,
    ...custom.map(({ address }) => address),
  ]
}
