/** What a sync would take if driver and nodes did nothing: a message to six nodes in three processes, four answers. */
import { TcpFabric } from '../../src/volume/tcp-fabric.ts'
import { StorageHost } from '../../test/fleet-hosts.ts'
import { Rounds } from '../wire/rounds.ts'
import { processorTime, since } from './processor-time.ts'
import { median, quantile, type Round } from './samples.ts'

const MODULE = new URL('../../test/echo-node.ts', import.meta.url).href

export class WireFloor {
  readonly #hosts: readonly StorageHost[]
  readonly #fabric = new TcpFabric()
  readonly #rounds: Rounds

  private constructor(hosts: readonly StorageHost[], messageBytes: number) {
    this.#hosts = hosts
    const addresses = hosts.flatMap(({ nodes }) => nodes.map(({ address }) => address))
    this.#rounds = new Rounds(this.#fabric, addresses, messageBytes)
  }

  /** @param folder where the echo nodes write their page: on tmpfs, to have no disk in it */
  static async start(folder: string, messageBytes: number): Promise<WireFloor> {
    const zones = ['x', 'y', 'z']
    const hosts = await Promise.all(zones.map((zone) => StorageHost.start({ zone, folder, module: MODULE })))
    return new WireFloor(hosts, messageBytes)
  }

  async round(outstanding: number, ms: number): Promise<Round> {
    const pids = this.#hosts.map(({ process }) => process.pid as number)
    const before = processorTime(pids)
    const cpu = process.cpuUsage()
    const from = performance.now()
    const times = await this.#rounds.run(outstanding, ms)
    const seconds = (performance.now() - from) / 1000
    const { user, system } = process.cpuUsage(cpu)
    const spent = since(before, processorTime(pids))
    const count = times.length
    return {
      p50: median(times),
      p99: quantile(times, 0.99),
      rate: count / seconds,
      driver: (user + system) / count,
      nodes: spent.runUs / count,
      waiting: spent.waitUs / count,
      switches: spent.switches / count,
    }
  }

  async stop(): Promise<void> {
    this.#fabric.close()
    await Promise.all(this.#hosts.map((host) => host.stop()))
  }
}
