/** Where a volume is, seen from outside of its writer: between what its nodes know to be durable and what they hold. */
import type { Lsn, VolumeId } from '../src/protocol/lsn.ts'
import { maxLsn, ZERO_LSN } from '../src/protocol/lsn.ts'
import { gather } from '../src/volume/gather.ts'
import { readGroup, readVolume } from '../src/volume/registry-cells.ts'
import type { Fleet } from '../src/volume/tcp-fleet.ts'

export interface Bounds {
  /** All of this was durable before the answer. */
  readonly durable: Lsn
  /** Nothing that was durable before the question is above. */
  readonly reached: Lsn
}

/** Any four of six have a member in common with every write quorum: 4 of 6, or all 3 full. */
const ANSWERS_MIN = 4

/** Undefined when too few nodes answer. */
export async function durableBounds({ context }: Fleet, volume: VolumeId): Promise<Bounds | undefined> {
  const { record } = await readVolume(context.registry, volume)
  const bounds = { durable: record.base, reached: ZERO_LSN }
  for (const group of record.groups.keys()) {
    const { record: config } = await readGroup(context.registry, record.placement, group)
    const { answers } = await gather(
      config.members,
      async ({ address }) => (await context.client.call(address, 'head', { volume })).value,
      () => false,
    )
    let held = 0
    for (const { vdl, segments } of answers.values()) {
      const report = segments.find((segment) => segment.group === group)
      if (report === undefined || report.suspect) continue
      held++
      bounds.durable = maxLsn(bounds.durable, vdl)
      bounds.reached = maxLsn(bounds.reached, report.scl)
    }
    if (held < ANSWERS_MIN) return undefined
  }
  return bounds
}
