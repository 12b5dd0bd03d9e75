/**
 * Volumes of a fleet as a program uses them: over TCP, with a registry in SQLite.
 *
 *   const fleet = openFleet(SqliteRegistry.open('registry.sqlite'))
 *   const volume = await fleet.volumes.open(await fleet.volumes.create())
 *   await volume.write([{ block: blockNumber(7), bytes }])
 *   await volume.sync()
 */
import { BlockReads } from './block-reads.ts'
import type { Clock } from './clock.ts'
import { Membership } from './membership.ts'
import { NodeClient } from './node-client.ts'
import type { Registry } from './registry.ts'
import { TcpFabric } from './tcp-fabric.ts'
import type { VolumeContext } from './volume-context.ts'
import { Volumes } from './volumes.ts'

export interface Fleet {
  readonly volumes: Volumes
  readonly membership: Membership
  readonly context: VolumeContext
  /** Ends connections. Writers that are open stop as with a crash: `sync` them first. The registry stays open. */
  close(): void
}

/** While an answer is waited for: a read that is slow is hedged. */
const WAITING_TICK_MS = 2
/**
 * Else. Log that nobody waits for leaves with it: in a bulk load 2 ms made two and a half times as many frames, each of
 * which wakes six nodes; and an idle process was woken 500 times a second.
 */
const TICK_MS = 10

export function openFleet(registry: Registry): Fleet {
  const clock: Clock = { now: () => performance.now(), wallClock: () => Date.now() }
  const fabric = new TcpFabric()
  const client = new NodeClient(fabric, clock)
  const context: VolumeContext = {
    registry,
    client,
    reads: new BlockReads(client),
    clock,
    random: () => Math.random(),
    defer: (callback) => {
      setImmediate(callback)
    },
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }
  const volumes = new Volumes(context)
  let timer: NodeJS.Timeout
  const tick = (): void => {
    volumes.tick()
    timer = setTimeout(tick, client.isWaiting ? WAITING_TICK_MS : TICK_MS)
  }
  tick()
  return {
    volumes,
    membership: new Membership(context),
    context,
    close: () => {
      clearTimeout(timer)
      volumes.close()
      fabric.close()
    },
  }
}
