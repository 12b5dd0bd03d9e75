/** What a node is, for life; written when its disk is formatted. */
import { VolumeError } from '../protocol/errors.ts'
import type { NodeId } from '../protocol/lsn.ts'
import type { Disk } from './disk.ts'
import { readState, writeState } from './durable-state.ts'
import type { NodeConfig, NodeEnv } from './node-port.ts'

export interface NodeIdentity {
  readonly node: NodeId
  readonly zone: string
  /** 128 random bits in hexadecimal: an emptied disk is another node. */
  readonly incarnation: string
}

const IDENTITY_FOLDER = 'node'
const IDENTITY = 'identity'

/**
 * The identity on a disk; an empty disk is given one.
 * @throws VolumeError `Corrupt` when it is lost, `BadRequest` when the disk is another node's
 */
export function loadIdentity(env: NodeEnv, disk: Disk, config: NodeConfig): NodeIdentity {
  disk.makeFolder(IDENTITY_FOLDER)
  disk.syncFolder('')
  const read = readState(disk, IDENTITY_FOLDER, IDENTITY)
  if (read.status === 'damaged') throw new VolumeError('Corrupt', 'this node does not know who it is: replace it')
  if (read.status === 'present') {
    const identity = read.value as NodeIdentity
    if (identity.node === config.node) return identity
    throw new VolumeError('BadRequest', `this disk belongs to node ${identity.node}, not ${config.node}`)
  }
  const incarnation = Array.from({ length: 4 }, () =>
    Math.floor(env.random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  ).join('')
  const identity: NodeIdentity = { node: config.node, zone: config.zone, incarnation }
  writeState(disk, IDENTITY_FOLDER, IDENTITY, identity)
  return identity
}
