/** For the report of a failure: where every copy is. */
import { volumeName } from '../src/protocol/lsn.ts'
import { atlasName } from './registry-watch.ts'
import type { World } from './world.ts'

export function traceSegments(world: World): void {
  for (const record of world.watch.records.values()) {
    const { epoch, cutoff, groups, truncations } = record
    const { acknowledged } = world.oracle.volume(record.id)
    world.stage.trace.line(
      volumeName(record.id),
      JSON.stringify({ epoch, cutoff, acknowledged, groups: [...groups], truncations }),
    )
    for (const group of groups.keys()) {
      const config = world.watch.configOf(record, group)
      if (config === undefined) continue
      world.stage.trace.line(
        atlasName(record.id, group),
        `membership ${config.epoch}, sets ${JSON.stringify(config.sets)}`,
      )
      for (const member of config.members) {
        const host = world.fleet.hostOf(member.node)
        const node = world.fleet.nodeOf(host)
        const segment = node?.incarnation === member.incarnation ? node.table.get(record.id, group) : undefined
        const present = node === undefined ? host.state : node.incarnation === member.incarnation ? 'up' : 'another'
        world.stage.trace.line(
          `${atlasName(record.id, group)} on ${member.node}`,
          segment === undefined
            ? `${present}, no segment`
            : JSON.stringify({
                state: segment.state,
                kind: segment.kind,
                scl: segment.scl,
                flushed: segment.flushed,
                complete: segment.completeTo,
                waiting: segment.waiting,
                damage: [...segment.damage],
                lost: [...world.fleet.blocksLost({ volume: record.id, group, blockBytes: record.blockBytes }, member)],
                counters: node?.counters,
                log: segment.log.from,
                membership: segment.config.epoch,
                epoch: segment.volume.state.epoch,
                fenced: segment.volume.fencedEpoch,
                vdl: segment.volume.vdl,
                memory: segment.memory.bytes,
                below: segment.below,
                full: node?.full,
                good: world.atlas.isGood(atlasName(record.id, group), member),
              }),
        )
      }
    }
  }
}
