/** Clusters of regions from before there was a control plane: cells of the registry, taken over once. */
import { readFileSync, rmSync } from 'node:fs'
import type { ControlStore } from '../cluster/control-store.ts'
import { defaultClusterSettings, defaultInstanceSettings } from '../cluster/defaults.ts'
import { newAddress } from '../cluster/host/free-address.ts'
import { clusterFolder, type Home, passwordFile } from '../cluster/host/home.ts'
import { newResourceId } from '../cluster/resource-id.ts'
import { generatePassword } from '../engine/postgres/passwords.ts'
import { parseVolumeName } from '../protocol/lsn.ts'
import { type Registry, update } from '../volume/registry.ts'

const PREFIX = 'cluster/'

interface OldCluster {
  readonly name: string
  readonly engineVersion: string
  readonly stage: 'creating' | 'live' | 'deleting'
  readonly volume: string | null
  readonly branchOf?: { readonly cluster: string; readonly volume: string; readonly lsn: number } | null
  readonly master: string
  readonly writer: { readonly name: string; readonly zone: string; readonly address: string; readonly port: number }
}

function importCluster(home: Home, store: ControlStore, old: OldCluster): void {
  const volume = old.volume === null ? undefined : parseVolumeName(old.volume)
  // One that had no volume yet had no data.
  if (volume === undefined || store.cluster(old.name) !== undefined) return
  const origin = old.branchOf == null ? undefined : parseVolumeName(old.branchOf.volume)
  const { name, engineVersion, writer } = old
  const createdMs = Date.now()
  store.putCluster({
    name,
    resourceId: newResourceId('cluster'),
    createdMs,
    engineVersion,
    masterUser: old.master,
    masterPassword: readFileSync(passwordFile(home, name), 'utf8').trim(),
    replicationPassword: generatePassword(),
    databaseName: null,
    settings: defaultClusterSettings(engineVersion, writer.port),
    pending: {},
    volume,
    branchOf: old.branchOf == null || origin === undefined ? null : { ...old.branchOf, volume: origin },
    stage: old.stage === 'deleting' ? 'deleting' : 'live',
    hasData: true,
    wanted: 'running',
    stoppedMs: null,
    writer: writer.name,
    term: 1,
    failover: null,
    readerAddress: newAddress(new Set([...store.addresses(), writer.address])),
  })
  store.putInstance({
    name: writer.name,
    resourceId: newResourceId('db'),
    cluster: name,
    createdMs,
    zone: writer.zone,
    address: writer.address,
    settings: defaultInstanceSettings(engineVersion),
    pending: {},
    stage: old.stage === 'deleting' ? 'deleting' : 'live',
    run: 1,
    reason: 'started',
    ending: 'kill',
    wasAvailable: true,
    availableRun: 0,
    pendingReboot: [],
  })
}

export async function importClusters(home: Home, registry: Registry, store: ControlStore): Promise<void> {
  for (const key of await registry.list(PREFIX)) {
    const cell = await registry.get(key)
    if (cell === undefined) continue
    const old = JSON.parse(cell.value) as OldCluster
    store.transaction(() => importCluster(home, store, old))
    await update(registry, key, () => null)
    rmSync(clusterFolder(home, old.name), { recursive: true, force: true })
  }
}
