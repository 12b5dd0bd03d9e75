/** The agents of several machines as one: each has the instances of some zones. */
import type { InstanceCommand } from '../instance/instance-command.ts'
import type { Ending } from './cluster-records.ts'
import type { HostAgent, HostLogFile, InstanceOrder, SeenInstance } from './host-agent.ts'

export class HostAgents implements HostAgent {
  readonly #byZone: ReadonlyMap<string, HostAgent>
  readonly #zoneOf: (instance: string) => string | undefined

  /** @param zoneOf where an instance is wanted */
  constructor(byZone: ReadonlyMap<string, HostAgent>, zoneOf: (instance: string) => string | undefined) {
    this.#byZone = byZone
    this.#zoneOf = zoneOf
  }

  /** @throws Error for an instance of a zone that has no host */
  #of(name: string): HostAgent {
    const zone = this.#zoneOf(name)
    const agent = this.#byZone.get(zone ?? '')
    if (agent === undefined) throw new Error(`no host has instance ${name} of zone ${zone}`)
    return agent
  }

  seen(): ReadonlyMap<string, SeenInstance> {
    return new Map([...new Set(this.#byZone.values())].flatMap((agent) => [...agent.seen()]))
  }

  onChange(listener: (name: string) => void): void {
    for (const agent of new Set(this.#byZone.values())) agent.onChange(listener)
  }

  async start(order: InstanceOrder): Promise<void> {
    await this.#of(order.name).start(order)
  }

  async end(name: string, how: Ending): Promise<void> {
    await this.#of(name).end(name, how)
  }

  async remove(name: string): Promise<void> {
    await this.#of(name).remove(name)
  }

  tell(name: string, command: InstanceCommand): void {
    this.#of(name).tell(name, command)
  }

  async logFiles(name: string): Promise<readonly HostLogFile[]> {
    return this.#of(name).logFiles(name)
  }

  async readLogFile(name: string, file: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#of(name).readLogFile(name, file, offset, length)
  }
}
