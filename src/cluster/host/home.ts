/** The folder with everything that a region has on this machine, and what lies where in it. */
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { PlainError } from '../plain-error.ts'

export interface Home {
  readonly root: string
  /** Private: registry, keys, state. */
  readonly region: string
  readonly registry: string
  /** What is wanted of clusters. */
  readonly control: string
  readonly lock: string
  readonly socket: string
  readonly state: string
  readonly authorityCertificate: string
  readonly authorityKey: string
  /** What our processes say; engines have logs of their own. */
  readonly logs: string
  /** Storage nodes, by zone. */
  readonly zones: string
  /** Secrets, by cluster. */
  readonly clusters: string
  /** Mounts, sockets and logs, by instance. Engines pass through. */
  readonly instances: string
}

/** `sun_path` of unix(7) has 108 bytes, the last of them zero. */
const SOCKET_PATH_BYTES_MAX = 107

export function homeAt(root: string): Home {
  const region = join(root, 'region')
  return {
    root,
    region,
    registry: join(region, 'registry.sqlite'),
    control: join(region, 'control.sqlite'),
    lock: join(region, 'lock'),
    socket: join(region, 'control.sock'),
    state: join(region, 'processes.json'),
    // For clients: they verify servers by it.
    authorityCertificate: join(root, 'authority.crt'),
    authorityKey: join(region, 'authority.key'),
    logs: join(root, 'logs'),
    zones: join(root, 'zones'),
    clusters: join(root, 'clusters'),
    instances: join(root, 'instances'),
  }
}

export function ourHome(): Home {
  const given = process.env.BOREALIS_HOME
  return homeAt(resolve(given === undefined || given === '' ? join(homedir(), '.borealis') : given))
}

export function makeHome(home: Home): void {
  if (Buffer.byteLength(home.socket) > SOCKET_PATH_BYTES_MAX)
    throw new PlainError(`${home.root} is too long a path for sockets in it: choose a shorter BOREALIS_HOME`)
  try {
    mkdirSync(home.root, { recursive: true, mode: 0o755 })
    mkdirSync(home.instances, { recursive: true, mode: 0o711 })
    for (const folder of [home.region, home.logs, home.zones, home.clusters]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
    }
  } catch (cause) {
    throw new PlainError(`${home.root} cannot be made: choose another BOREALIS_HOME`, { cause })
  }
}

export const clusterFolder = (home: Home, cluster: string): string => join(home.clusters, cluster)
export const passwordFile = (home: Home, cluster: string): string =>
  join(clusterFolder(home, cluster), 'master-password')
export const instanceFolder = (home: Home, instance: string): string => join(home.instances, instance)
/** By which a zone's process is reached, and an instance's. */
export const zoneSocket = (home: Home, zone: string): string => join(home.zones, zone, 'control.sock')
export const instanceSocket = (home: Home, instance: string): string =>
  join(instanceFolder(home, instance), 'control.sock')
export const mountFolder = (home: Home, instance: string): string => join(instanceFolder(home, instance), 'mount')
export const logFile = (home: Home, name: string): string => join(home.logs, `${name}.log`)
