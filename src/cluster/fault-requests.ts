/**
 * Does what SQL has asked an instance's supervisor for and only the region can do: faults of readers and of storage
 * (`aurora_inject_...`). A request stays in the instance's reports until it was answered, so it is looked at again and
 * again, and done once.
 */
import type { FaultRequest, RequestedFault } from '../engine/postgres/aurora-requests.ts'
import type { InstanceCommand } from '../instance/instance-command.ts'
import type { NodeFault } from '../storage/node-faults.ts'
import type { Seen } from './cluster-views.ts'
import { messageOf, PlainError } from './plain-error.ts'

export interface FaultWorld {
  tell(instance: string, command: InstanceCommand): void
  /** Names of the storage nodes, in the order of their numbers for SQL. */
  nodes(): readonly string[]
  /** Resolves when the node has it. */
  inject(node: string, fault: NodeFault): Promise<void>
}

/** Instances of one cluster, and who of them is the writer. */
export interface FaultMembers {
  readonly names: readonly string[]
  readonly writer: string | null
}

const MS = 1000

export class FaultRequests {
  readonly #world: FaultWorld
  /** Those that were done, while they are still reported. */
  #done: ReadonlySet<string> = new Set()

  constructor(world: FaultWorld) {
    this.#world = world
  }

  /** To be called now and then, with everything there is: whoever asked waits for seconds. */
  async look(clusters: readonly FaultMembers[], seen: Seen): Promise<void> {
    const asked = clusters.flatMap((members) =>
      members.names.flatMap((name) =>
        (seen.get(name)?.report?.requests ?? []).map((request) => ({ members, name, request })),
      ),
    )
    const before = this.#done
    this.#done = new Set(asked.map(({ request }) => request.id))
    const news = asked.filter(({ request }) => !before.has(request.id))
    await Promise.all(news.map(({ members, name, request }) => this.#answer(members, name, request)))
  }

  async #answer(members: FaultMembers, instance: string, { id, fault }: FaultRequest): Promise<void> {
    let problem: string | null = null
    try {
      await this.#make(members, fault)
    } catch (error) {
      problem = messageOf(error)
    }
    this.#world.tell(instance, { do: 'taken', id, problem })
  }

  async #make(members: FaultMembers, fault: RequestedFault): Promise<void> {
    switch (fault.kind) {
      case 'replica-failure':
        return this.#stall(members, fault)
      case 'disk-failure':
      case 'disk-congestion':
        return this.#world.inject(this.#nodeAt(fault.index), nodeFault(fault))
      case 'crash':
        throw new PlainError('an instance crashes by itself')
    }
  }

  #stall({ names, writer }: FaultMembers, fault: RequestedFault & { readonly kind: 'replica-failure' }): void {
    const readers = names.filter((name) => name !== writer && (fault.replica === null || fault.replica === name))
    if (readers.length === 0)
      throw new PlainError(fault.replica === null ? 'the cluster has no reader' : `there is no reader ${fault.replica}`)
    const { percent, seconds } = fault
    for (const name of readers) this.#world.tell(name, { do: 'stall', percent: Math.round(percent), seconds })
  }

  #nodeAt(index: number): string {
    const nodes = this.#world.nodes()
    const node = nodes[index]
    if (node === undefined) throw new PlainError(`index is between 0 and ${nodes.length - 1}`)
    return node
  }
}

function nodeFault(fault: RequestedFault & { readonly kind: 'disk-failure' | 'disk-congestion' }): NodeFault {
  const { percent, seconds } = fault
  const untilMs = Date.now() + seconds * MS
  return fault.kind === 'disk-failure'
    ? { kind: 'failing-disk', percent, untilMs }
    : { kind: 'slow-disk', percent, msMin: fault.msMin, msMax: fault.msMax, untilMs }
}
