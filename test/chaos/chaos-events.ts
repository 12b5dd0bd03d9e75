/**
 * What happens to a cluster: processes are killed and stand still, zones are lost and cut off, roles change, code is
 * replaced, the region itself dies; several of it at once, but never more of the storage than one zone.
 */
import { join } from 'node:path'
import type { Random } from '../../sim/random.ts'
import type { InstanceStatus, RegionStatus } from '../../src/cli/region-status.ts'
import type { ProcessIdentity } from '../../src/cluster/host/process-identity.ts'
import type { NodeFault } from '../../src/storage/node-faults.ts'
import { askZone } from '../../src/storage/real-zone-client.ts'
import { engineProcesses, identities, instanceProcesses, signalAll } from '../instance-processes.ts'
import type { RegionHome } from '../region-home.ts'
import { pause } from '../waiting.ts'

/** How often each is chosen. */
const EVENTS = {
  killInstance: 5,
  killEngine: 2,
  killFileServer: 2,
  /** All processes of an instance at once, as when its machine is lost. */
  killAll: 3,
  freezeInstance: 3,
  freezeEngine: 2,
  freezeFileServer: 2,
  freezeAll: 2,
  killZone: 3,
  freezeZone: 3,
  faultZone: 3,
  killRegion: 2,
  freezeRegion: 1,
  /** The balancer of the readers' endpoint. */
  killGateway: 1,
  failover: 4,
  /** The region dies while it carries out what it has just decided. */
  failoverAndKillRegion: 2,
  reboot: 1,
  patch: 1,
} as const
type EventName = keyof typeof EVENTS

/** The writer, more often than it would be by chance. */
const WRITER_CHANCE = 0.6
/** Longer than it takes to be given up, and shorter. */
const FREEZE_MS = { min: 100, max: 9000 }
const ZONE_MS_MAX = 5000
const REGION_DOWN_MS_MAX = 2500
const ZONES = ['a', 'b', 'c'] as const

export class ChaosEvents {
  readonly #home: RegionHome
  readonly #cluster: string
  readonly #random: Random
  readonly #say: (line: string) => void
  readonly #pending = new Set<Promise<void>>()
  #isZoneHurt = false
  #isRegionHurt = false
  readonly counts: Partial<Record<EventName, number>> = {}
  /** What commands said that could not do what they were told. */
  readonly refusals: string[] = []

  constructor(home: RegionHome, cluster: string, random: Random, say: (line: string) => void) {
    this.#home = home
    this.#cluster = cluster
    this.#random = random
    this.#say = say
  }

  /** Makes something happen. What is undone later is undone by itself. */
  async happen(): Promise<void> {
    const name = this.#random.weighted(EVENTS)
    // Both have another source of chance, so that what is left out changes nothing of what comes after.
    const random = this.#random.fork(name)
    const status = await this.#home.status().catch(() => undefined)
    const what = this.#begin(name, random, status)
    if (what === undefined) return
    this.counts[name] = (this.counts[name] ?? 0) + 1
    this.#say(`${name}${what.of === '' ? '' : ` ${what.of}`}`)
    const done = what.done.catch((error: unknown) => this.#say(`${name}: ${error}`))
    this.#pending.add(done)
    void done.finally(() => this.#pending.delete(done))
  }

  /** Resolves when everything is undone and every command has ended. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  #begin(
    name: EventName,
    random: Random,
    status: RegionStatus | undefined,
  ): { readonly of: string; readonly done: Promise<void> } | undefined {
    const instances = status?.instances.filter(({ cluster }) => cluster === this.#cluster) ?? []
    const writer = instances.find(({ role }) => role === 'writer')
    const some =
      writer !== undefined && random.chance(WRITER_CHANCE) ? writer : instances.at(random.below(instances.length))
    const freezeMs = random.magnitude(FREEZE_MS.min, FREEZE_MS.max)
    const zone = random.pick(ZONES)
    const toInstance = (act: (instance: InstanceStatus) => Promise<void>) =>
      some && { of: `${some.name} (${some.role}, ${some.state})`, done: act(some) }
    const kill = (processes: readonly ProcessIdentity[]) => Promise.resolve(signalAll(processes, 'SIGKILL'))
    const freeze = (processes: readonly ProcessIdentity[]) => this.#freeze(processes, freezeMs)
    switch (name) {
      case 'killInstance':
        return toInstance(({ pid }) => kill(identities([pid])))
      case 'killEngine':
        return toInstance(({ enginePid }) => kill(identities([enginePid])))
      case 'killFileServer':
        return toInstance(({ serverPid }) => kill(identities([serverPid])))
      case 'killAll':
        return toInstance((each) => kill(instanceProcesses(each)))
      case 'freezeInstance':
        return toInstance(({ pid }) => freeze(identities([pid])))
      case 'freezeEngine':
        return toInstance(({ enginePid }) => freeze(engineProcesses(enginePid)))
      case 'freezeFileServer':
        return toInstance(({ serverPid }) => freeze(identities([serverPid])))
      case 'freezeAll':
        return toInstance((each) => freeze(instanceProcesses(each)))
      case 'killZone':
      case 'freezeZone':
      case 'faultZone': {
        const pid = status?.storageNodes.find((node) => node.zone === zone)?.pid ?? null
        if (this.#isZoneHurt || pid === null) return undefined
        return { of: zone, done: this.#hurtZone(name, zone, identities([pid]), random) }
      }
      case 'killRegion':
      case 'freezeRegion': {
        if (this.#isRegionHurt || status === undefined) return undefined
        const region = identities([status.pid])
        return { of: '', done: name === 'killRegion' ? this.#killRegion(region, random) : freeze(region) }
      }
      case 'killGateway':
        return { of: '', done: kill(identities(this.#home.processes('gateway-main.ts'))) }
      case 'failover':
        return { of: '', done: this.#failover(random, instances) }
      case 'failoverAndKillRegion': {
        if (this.#isRegionHurt || status === undefined) return undefined
        void this.#failover(random, instances)
        const killed = pause(random.below(1500)).then(() => this.#killRegion(identities([status.pid]), random))
        return { of: '', done: killed }
      }
      case 'reboot':
        return some && { of: some.name, done: this.#command('instance', 'reboot', some.name) }
      case 'patch':
        return { of: '', done: this.#command('patch', this.#cluster) }
    }
  }

  async #freeze(processes: readonly ProcessIdentity[], ms: number): Promise<void> {
    signalAll(processes, 'SIGSTOP')
    await pause(ms)
    signalAll(processes, 'SIGCONT')
  }

  async #hurtZone(
    name: 'killZone' | 'freezeZone' | 'faultZone',
    zone: string,
    processes: readonly ProcessIdentity[],
    random: Random,
  ): Promise<void> {
    this.#isZoneHurt = true
    const ms = random.between(FREEZE_MS.min, ZONE_MS_MAX)
    try {
      if (name === 'killZone') signalAll(processes, 'SIGKILL')
      else if (name === 'freezeZone') return await this.#freeze(processes, ms)
      else await this.#fault(zone, ms, random)
      // It is started again, and gets what it has missed.
      await pause(ms)
    } finally {
      this.#isZoneHurt = false
    }
  }

  /** Of the links or the disks of all nodes of a zone. */
  async #fault(zone: string, ms: number, random: Random): Promise<void> {
    const untilMs = Date.now() + ms
    const faults: readonly NodeFault[] = [
      { kind: 'cut', untilMs },
      { kind: 'slow-disk', percent: 50, msMin: 1, msMax: 40, untilMs },
      { kind: 'failing-disk', percent: 2, untilMs },
    ]
    const fault = random.pick(faults)
    this.#say(`  ${fault.kind} for ${ms} ms`)
    await askZone(join(this.#home.root, 'zones', zone, 'control.sock'), { do: 'fault', node: null, fault })
  }

  async #killRegion(region: readonly ProcessIdentity[], random: Random): Promise<void> {
    if (this.#isRegionHurt) return
    this.#isRegionHurt = true
    try {
      signalAll(region, 'SIGKILL')
      await pause(random.below(REGION_DOWN_MS_MAX))
      await this.#home.up()
    } finally {
      this.#isRegionHurt = false
    }
  }

  /** A region that is down or has no reader to spare refuses. */
  async #command(...args: readonly string[]): Promise<void> {
    const { status, output } = await this.#home.borealis(...args)
    if (status !== 0) this.refusals.push(`${args.join(' ')}: ${output.trim()}`)
  }

  #failover(random: Random, instances: readonly InstanceStatus[]): Promise<void> {
    const readers = instances.filter(({ role }) => role === 'reader')
    const to = readers.length > 0 && random.chance(0.5) ? ['--to', random.pick(readers).name] : []
    return this.#command('failover', this.#cluster, ...to)
  }
}
