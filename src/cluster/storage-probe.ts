/** Whether storage answers the control plane: asked only while some instance says that it does not answer it. */
import { setTimeout as pause } from 'node:timers/promises'
import { VolumeError } from '../protocol/errors.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import { fleetNodes } from '../volume/fleet-nodes.ts'
import type { Fleet } from '../volume/tcp-fleet.ts'

/** Of six copies. */
const WRITE_QUORUM = 4
const ANSWER_MS_MAX = 1000

/** Any answer counts, also one that says no. */
async function answers({ context }: Fleet, address: string, volume: VolumeId): Promise<boolean> {
  const asked = context.client.call(address, 'head', { volume }).then(
    () => true,
    (error: unknown) => error instanceof VolumeError && error.code !== 'Unreachable' && error.code !== 'TimedOut',
  )
  return Promise.race([asked, pause(ANSWER_MS_MAX, false, { ref: false })])
}

export async function storageAnswers(fleet: Fleet, volume: VolumeId): Promise<boolean> {
  const nodes = await fleetNodes(fleet.context.registry)
  const all = await Promise.all(nodes.map(({ address }) => answers(fleet, address, volume)))
  return all.filter(Boolean).length >= WRITE_QUORUM
}
