/** A zone: one process with two storage nodes, on ports that are theirs for life. */
import { join } from 'node:path'
import { nodeId } from '../../protocol/lsn.ts'
import { fleetNodes, registerNode } from '../../volume/fleet-nodes.ts'
import type { Registry } from '../../volume/registry.ts'
import { PlainError } from '../plain-error.ts'
import { freeNodePort, isFree } from './free-address.ts'
import { type Home, logFile, zoneSocket } from './home.ts'
import type { ListedProcess, ProcessList } from './process-list.ts'
import { SupervisedProcess } from './supervised-process.ts'

export const ZONES = ['a', 'b', 'c'] as const
const NODES_PER_ZONE = 2
const PROGRAM = join(import.meta.dirname, '..', '..', 'storage', 'host-main.ts')
const STOP_MS_MAX = 10_000
const HOST = '127.0.0.1'

export interface StorageNodeStatus {
  readonly id: string
  readonly zone: string
  readonly state: string
  readonly pid: number | null
  readonly address: string
}

interface ZonePlace {
  readonly home: Home
  readonly registry: Registry
  readonly list: ProcessList
  /** NAME=NUMBER, for its nodes (`node-options.ts`). */
  readonly settings: readonly string[]
  readonly say: (line: string) => void
  /** What the last region has left running. */
  readonly left: readonly ListedProcess[]
}

interface Ready {
  readonly ready: true
  readonly nodes: readonly { readonly node: string; readonly address: string; readonly incarnation: string }[]
}

const namesOf = (zone: string): string[] => Array.from({ length: NODES_PER_ZONE }, (_, i) => `${zone}${i + 1}`)
const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))

/** The ports of all nodes: those that are registered keep theirs, the others get some. */
export async function nodePorts(registry: Registry): Promise<ReadonlyMap<string, number>> {
  const ports = new Map<string, number>()
  for (const { node, address } of await fleetNodes(registry)) ports.set(node, portOf(address))
  for (const node of ZONES.flatMap(namesOf)) {
    if (!ports.has(node)) ports.set(node, await freeNodePort(new Set(ports.values())))
  }
  return ports
}

export class StorageZone {
  readonly zone: string
  readonly #place: ZonePlace
  readonly #ports: ReadonlyMap<string, number>
  readonly #process: SupervisedProcess
  readonly #firstReady = Promise.withResolvers<void>()

  constructor(zone: string, ports: ReadonlyMap<string, number>, place: ZonePlace) {
    this.zone = zone
    this.#place = place
    this.#ports = ports
    const { home, list, say, left } = place
    this.#process = new SupervisedProcess({
      adopt: () => left.find((each) => each.kind === 'zone' && each.name === zone),
      onAdopted: () => this.#isReady(),
      command: () => this.#command(),
      log: logFile(home, `zone-${zone}`),
      onLine: (line) => void this.#heard(line).catch((error: unknown) => say(`zone ${zone}: ${error}`)),
      onStart: (pid) =>
        list.add(
          'zone',
          zone,
          pid,
          this.#names.map((name) => this.#port(name)),
        ),
      onEnd: () => {
        list.remove('zone', zone)
        return 'later'
      },
      onTrouble: (what) => say(`zone ${zone}: ${what}; it is started again`),
    })
  }

  get #names(): string[] {
    return namesOf(this.zone)
  }

  #port(name: string): number {
    return this.#ports.get(name) ?? 0
  }

  async #command(): Promise<readonly [string, ...string[]]> {
    const folder = join(this.#place.home.zones, this.zone)
    const args = ['--zone', this.zone, '--host', HOST]
    args.push('--control', zoneSocket(this.#place.home, this.zone), '--faults', join(folder, 'faults.json'))
    for (const name of this.#names) {
      const port = this.#port(name)
      if (!(await isFree(HOST, port)))
        throw new PlainError(`port ${port} of storage node ${name} is in use: end the program that listens there`)
      args.push('--node', `${name}=${join(folder, name)}:${port}`)
    }
    for (const setting of this.#place.settings) args.push('--set', setting)
    return [process.execPath, PROGRAM, ...args]
  }

  async #heard(line: string): Promise<void> {
    const { nodes } = JSON.parse(line) as Ready
    for (const { node, address, incarnation } of nodes) {
      const known = { node: nodeId(node), incarnation, zone: this.zone, address, state: 'ready' } as const
      await registerNode(this.#place.registry, known)
    }
    this.#isReady()
  }

  #isReady(): void {
    this.#process.ready()
    this.#firstReady.resolve()
  }

  /** Resolves when it was ready for the first time. */
  get ready(): Promise<void> {
    return this.#firstReady.promise
  }

  start(): void {
    this.#process.start()
  }

  stop(): Promise<void> {
    return this.#process.stop(STOP_MS_MAX)
  }

  status(): StorageNodeStatus[] {
    return this.#names.map((id) => ({
      id,
      zone: this.zone,
      state: this.#process.state,
      pid: this.#process.pid ?? null,
      address: `${HOST}:${this.#port(id)}`,
    }))
  }
}
