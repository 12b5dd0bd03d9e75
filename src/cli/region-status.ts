import type { StorageNodeStatus } from '../cluster/host/storage-zone.ts'
import type { EndpointType } from '../gateway/endpoint-name.ts'
import type { NamesStatus } from '../gateway/published-names.ts'

/** What `borealis status` shows. These names are a contract: more may be added. */
export interface ClusterStatus {
  readonly name: string
  readonly engine: string
  readonly engineVersion: string
  readonly status: string
  readonly volume: {
    readonly id: string | null
    readonly epoch: number | null
    readonly vdl: number | null
    readonly bytesUsed: number | null
  }
  readonly storage: string
  readonly master: string
  /** The cluster that it was branched from, which may be gone, and where. */
  readonly branchOf: { readonly cluster: string; readonly volume: string; readonly lsn: number } | null
}

export interface InstanceStatus {
  readonly name: string
  readonly cluster: string
  readonly role: 'writer' | 'reader'
  readonly zone: string
  readonly state: string
  /** Why it is recovering, or has failed. */
  readonly reason: string | null
  /** Of its supervisor. */
  readonly pid: number | null
  /** Of the process that serves its files. */
  readonly serverPid: number | null
  readonly enginePid: number | null
  readonly host: string
  readonly port: number
  /** How far a reader is behind; null when nobody knows. */
  readonly lagMs: number | null
  /** 0 to 15: who is promoted first. */
  readonly tier: number
  readonly instanceClass: string
  /** Which start of it this is. */
  readonly run: number
  /** What a reader has written on the local disk. */
  readonly overlayBytes: number | null
  /** Of clients. */
  readonly connections: number | null
}

export interface EndpointStatus {
  readonly name: string
  readonly cluster: string
  readonly type: EndpointType
  /** To connect to, from this machine: its name in DNS where that resolves, otherwise the address. */
  readonly host: string
  readonly port: number
  /** The same for life, whether it resolves or not. */
  readonly dnsName: string
  /** null while there is nobody to lead to. */
  readonly address: string | null
}

export interface RegionStatus {
  /** Where it listens. */
  readonly api: string | null
  readonly home: string
  readonly pid: number
  readonly state: string
  readonly clusters: readonly ClusterStatus[]
  readonly instances: readonly InstanceStatus[]
  readonly storageNodes: readonly StorageNodeStatus[]
  readonly endpoints: readonly EndpointStatus[]
  readonly names: NamesStatus
}

type Cell = string | number | null

const MIB = 1 << 20

/** Columns as wide as what is in them. */
export function columns(rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => row.map((cell) => (cell === null ? '-' : `${cell}`)))
  const widths = (texts[0] ?? []).map((_, column) => Math.max(...texts.map((row) => (row[column] ?? '').length)))
  return texts
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function namesText({ hostsFile, dns, advice }: NamesStatus): string {
  if (advice !== null) return advice
  const file = hostsFile === null ? '' : ` (${hostsFile})`
  return `names resolve on this machine${file}${dns === null ? '' : `; DNS server ${dns}`}`
}

export function statusText({
  home,
  pid,
  state,
  clusters,
  instances,
  storageNodes,
  endpoints,
  names,
}: RegionStatus): string {
  const mebibytes = (bytes: number | null): string => (bytes === null ? '-' : `${Math.ceil(bytes / MIB)} MiB`)
  const tables = [
    `region: ${state}, process ${pid}, ${home}`,
    columns([
      ['CLUSTER', 'ENGINE', 'STATUS', 'STORAGE', 'VOLUME', 'EPOCH', 'VDL', 'USED'],
      ...clusters.map(({ name, engine, engineVersion, status, storage, volume }) => [
        name,
        `${engine} ${engineVersion}`,
        status,
        storage,
        volume.id,
        volume.epoch,
        volume.vdl,
        mebibytes(volume.bytesUsed),
      ]),
    ]),
    columns([
      ['INSTANCE', 'ROLE', 'TIER', 'ZONE', 'STATE', 'LAG MS', 'PID', 'SERVER', 'ENGINE', 'ADDRESS'],
      ...instances.map(
        ({ name, role, tier, zone, state: now, lagMs, pid: process, serverPid, enginePid, host, port }) => [
          name,
          role,
          tier,
          zone,
          now,
          role === 'writer' || lagMs === null ? null : Math.round(lagMs),
          process,
          serverPid,
          enginePid,
          `${host}:${port}`,
        ],
      ),
    ]),
    columns([['ENDPOINT', 'TYPE', 'NAME'], ...endpoints.map(({ name, type, dnsName }) => [name, type, dnsName])]),
    columns([
      ['STORAGE NODE', 'ZONE', 'STATE', 'PID', 'ADDRESS'],
      ...storageNodes.map(({ id, zone, state: now, pid: process, address }) => [id, zone, now, process, address]),
    ]),
  ]
  tables.push(namesText(names))
  const reasons = instances.flatMap(({ name, reason }) => (reason === null ? [] : [`${name}: ${reason}`]))
  return [...tables, ...(reasons.length > 0 ? [reasons.join('\n')] : [])].join('\n\n')
}
