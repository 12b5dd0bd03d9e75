/** The storage nodes of a fleet, as they are registered. */
import { VolumeError } from '../protocol/errors.ts'
import { nodeId } from '../protocol/lsn.ts'
import { fields, oneOf, parseDocument, text } from './json-fields.ts'
import type { FleetNode } from './placement.ts'
import { nodeKey, type Registry, update } from './registry.ts'

const FORMAT = 1

function parse(json: string): FleetNode {
  const raw = fields(parseDocument(json, 'node', FORMAT), 'node', [
    'format',
    'node',
    'incarnation',
    'zone',
    'address',
    'state',
  ])
  return {
    node: nodeId(text(raw.node, 'node.node')),
    incarnation: text(raw.incarnation, 'node.incarnation'),
    zone: text(raw.zone, 'node.zone'),
    address: text(raw.address, 'node.address'),
    state: oneOf(raw.state, 'node.state', ['ready', 'draining']),
  }
}

/** Makes a node known, or notes its new incarnation or address. */
export async function registerNode(registry: Registry, node: FleetNode): Promise<void> {
  await update(registry, nodeKey(node.node), () => JSON.stringify({ format: FORMAT, ...node }))
}

export async function fleetNodes(registry: Registry): Promise<FleetNode[]> {
  const nodes: FleetNode[] = []
  for (const key of await registry.list('node/')) {
    const cell = await registry.get(key)
    if (cell !== undefined) nodes.push(parse(cell.value))
  }
  return nodes
}

/** No segments are placed on a draining node any more. @throws VolumeError `NotFound` */
export async function setNodeState(registry: Registry, node: string, state: FleetNode['state']): Promise<void> {
  await update(registry, nodeKey(node), (value) => {
    if (value === undefined) throw new VolumeError('NotFound', `no node ${node}`)
    return JSON.stringify({ format: FORMAT, ...parse(value), state })
  })
}
