/** What a region that was killed left running, and the mounts that nobody serves any more. */
import { existsSync, readdirSync } from 'node:fs'
import { mountsAt, placeOf, unmountHere } from '../../fuse/real-mount.ts'
import { endProcessesIn } from '../../instance/left-processes.ts'
import { type Home, instanceSocket, mountFolder } from './home.ts'
import { endAll } from './process-identity.ts'
import { ProcessList } from './process-list.ts'
import { endUnlisted } from './unlisted-instance.ts'

/** An instance writes a checkpoint when it stops. */
const INSTANCE_MS_MAX = 40_000
/** A server that is alive ends by itself when its instance is gone. */
const SERVER_MS_MAX = 5000
const ZONE_MS_MAX = 10_000

/**
 * Ends and unmounts it. The caller holds the lock of the home, so none of it belongs to a region that runs.
 * @returns how many processes and mounts there were
 */
export async function clearLeftovers(home: Home): Promise<number> {
  const processes = ProcessList.read(home.state)
  const of = (kind: string) => processes.filter((each) => each.kind === kind)
  // In this order: an instance that stops needs its storage.
  let count = await endAll(of('instance'), INSTANCE_MS_MAX)
  const instances = existsSync(home.instances) ? readdirSync(home.instances) : []
  for (const name of instances) count += await endUnlisted(instanceSocket(home, name), INSTANCE_MS_MAX)
  count += await endAll(of('server'), SERVER_MS_MAX)
  count += await endAll(of('gateway'), SERVER_MS_MAX)
  count += await endAll(of('zone'), ZONE_MS_MAX)
  for (const name of instances) {
    const place = placeOf(mountFolder(home, name))
    const mounts = mountsAt(place)
    if (mounts === 0) continue
    await endProcessesIn(place)
    for (let i = 0; i < mounts; i++) unmountHere(place, 'cut')
    count += mounts
  }
  return count
}
