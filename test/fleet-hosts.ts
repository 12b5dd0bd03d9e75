/**
 * The storage hosts of a fleet as processes of their own, for process tests and benchmarks: three zones with two nodes
 * each, registered, on folders that outlive them.
 *
 *   const hosts = await startFleetHosts({ folder, registry })
 *   const fleet = openFleet(registry)
 *   ...
 *   await hosts.stop()
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { nodeId } from '../src/protocol/lsn.ts'
import type { NodeOptions } from '../src/storage/node-options.ts'
import { registerNode } from '../src/volume/fleet-nodes.ts'
import type { Registry } from '../src/volume/registry.ts'
import { endWithUs } from './child-processes.ts'

const PROGRAM = fileURLToPath(new URL('../src/storage/host-main.ts', import.meta.url))

export interface HostNode {
  readonly node: string
  readonly address: string
  readonly incarnation: string
  readonly folder: string
}

export interface HostSettings {
  readonly zone: string
  /** Each node has its folder in here, named like the node: zone `a` has `a1` and `a2`. */
  readonly folder: string
  /** Nodes of the host; 2. */
  readonly nodes?: number
  /** Names of its nodes, when they are not to be numbered from 1. */
  readonly names?: readonly string[]
  /** Settings of its nodes that are not the defaults. */
  readonly options?: Partial<NodeOptions>
  /** Takes what the host says on stderr, instead of ours. */
  readonly complaint?: (text: string) => void
  /** Ports to listen on, one for each node; 0, which is the default, picks one. */
  readonly ports?: readonly number[]
  /** URL of another module that exports `createStorageNode`. */
  readonly module?: string
}

/** One host process with the nodes of a zone. */
export class StorageHost {
  readonly zone: string
  readonly process: ChildProcess
  readonly nodes: readonly HostNode[]
  /** The path of its control socket. */
  readonly control: string

  private constructor(zone: string, process: ChildProcess, nodes: readonly HostNode[], control: string) {
    this.zone = zone
    this.process = process
    this.nodes = nodes
    this.control = control
  }

  /** Resolves when all its nodes listen. Its complaints go to our stderr. */
  static async start(settings: HostSettings): Promise<StorageHost> {
    const { zone, folder, nodes = 2, ports = [], module, options = {}, complaint } = settings
    const names = settings.names ?? Array.from({ length: nodes }, (_, i) => `${zone}${i + 1}`)
    const args = ['--zone', zone, ...(module === undefined ? [] : ['--module', module])]
    for (const [name, value] of Object.entries(options)) args.push('--set', `${name}=${value}`)
    const control = join(folder, `${names[0]}.control`)
    args.push('--control', control, '--faults', join(folder, `${names[0]}.faults`))
    for (const [i, name] of names.entries()) args.push('--node', `${name}=${join(folder, name)}:${ports[i] ?? 0}`)
    const stderr = complaint === undefined ? 'inherit' : 'pipe'
    const process_ = endWithUs(spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', stderr] }))
    if (complaint !== undefined) process_.stderr?.setEncoding('utf8').on('data', complaint)
    const lines = createInterface({ input: process_.stdout as Readable })
    const line = await Promise.race([once(lines, 'line'), once(process_, 'exit').then(() => undefined)])
    if (line === undefined) throw new Error(`the host of zone ${zone} stopped before it was ready`)
    const ready = JSON.parse(String(line[0])) as { nodes: Omit<HostNode, 'folder'>[] }
    return new StorageHost(
      zone,
      process_,
      ready.nodes.map((node) => ({ ...node, folder: join(folder, node.node) })),
      control,
    )
  }

  async register(registry: Registry): Promise<void> {
    for (const { node, incarnation, address } of this.nodes) {
      await registerNode(registry, { node: nodeId(node), incarnation, zone: this.zone, address, state: 'ready' })
    }
  }

  /** Ends the process, in order unless another signal is given; resolves when it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const { process } = this
    if (process.exitCode !== null || process.signalCode !== null) return
    const exit = once(process, 'exit')
    process.kill(signal)
    await exit
  }
}

export interface FleetHosts {
  readonly hosts: readonly StorageHost[]
  stop(): Promise<void>
}

/** Starts a host for each zone and registers their nodes. */
export async function startFleetHosts({
  folder,
  registry,
  zones = ['a', 'b', 'c'],
}: {
  readonly folder: string
  readonly registry: Registry
  readonly zones?: readonly string[]
}): Promise<FleetHosts> {
  const started = await Promise.allSettled(zones.map((zone) => StorageHost.start({ zone, folder })))
  const hosts = started.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const stop = async () => {
    await Promise.all(hosts.map((host) => host.stop()))
  }
  const failure = started.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) {
    await stop()
    throw failure.reason
  }
  for (const host of hosts) await host.register(registry)
  return { hosts, stop }
}
