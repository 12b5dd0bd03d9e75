/** The names of this region's endpoints: what makes them its own, what people may set, and where they are made known. */
import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { isIPv4, isIPv6 } from 'node:net'
import type { Home } from '../cluster/host/home.ts'
import { PlainError } from '../cluster/plain-error.ts'
import type { DnsPlace } from '../gateway/dns-server.ts'
import { type NameSpace, nameSpaceProblem } from '../gateway/endpoint-name.ts'
import { writeHosts } from '../gateway/hosts-file.ts'
import { PublishedNames } from '../gateway/published-names.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type Registry, update } from '../volume/registry.ts'
import { SqliteRegistry } from '../volume/sqlite-registry.ts'

const IDENTITY = 'region/identity'
const FORMAT = 1

export type RegionIdentity = Pick<NameSpace, 'hash' | 'region'>

/** All regions of one machine have the same, as their accounts differ. */
export const REGION = 'local-1'
/** As many as Aurora's: 62 bits. */
const HASH_CHARS = 12

const newHash = (): string => Array.from({ length: HASH_CHARS }, () => randomInt(36).toString(36)).join('')

/** Made once for a home, wherever that is moved. */
export async function regionIdentity(registry: Registry): Promise<RegionIdentity> {
  await update(
    registry,
    IDENTITY,
    (value) => value ?? JSON.stringify({ format: FORMAT, hash: newHash(), region: REGION }),
  )
  const raw = JSON.parse((await registry.get(IDENTITY))?.value ?? '{}') as RegionIdentity & { readonly format: number }
  if (raw.format !== FORMAT)
    throw new VolumeError('UnsupportedFormat', `the region's identity has format ${raw.format}`)
  return { hash: raw.hash, region: raw.region }
}

export interface NameSettings {
  readonly domain: string
  readonly hostsFile: string | null
  readonly dnsPlaces: readonly DnsPlace[]
}

const HOSTS_FILE = '/etc/hosts'
/** Instances have the addresses after it. Ports that need no rights; several for regions side by side. */
const DNS_ADDRESS = '127.20.0.1'
const DNS_PORTS = Array.from({ length: 10 }, (_, i) => 5300 + i)

function dnsPlacesFrom(text: string | undefined): readonly DnsPlace[] {
  if (text === undefined || text === '') return DNS_PORTS.map((port) => ({ address: DNS_ADDRESS, port }))
  if (text === 'none') return []
  const [, four = '', six = '', digits] = /^(?:([\d.]+)|\[([\da-f:]+)\]):(\d{1,5})$/i.exec(text) ?? []
  const port = Number(digits)
  if (!(isIPv4(four) || isIPv6(six)) || !(port > 0 && port < 65_536))
    throw new PlainError(`BOREALIS_DNS=${text}: it is ADDRESS:PORT, such as ${DNS_ADDRESS}:53, or none`)
  return [{ address: four + six, port }]
}

/**
 * BOREALIS_DOMAIN, BOREALIS_HOSTS_FILE and BOREALIS_DNS.
 * @throws PlainError
 */
export function nameSettings(env: Readonly<Record<string, string | undefined>> = process.env): NameSettings {
  const { BOREALIS_DOMAIN: domain, BOREALIS_HOSTS_FILE: hostsFile, BOREALIS_DNS: dns } = env
  const settings = {
    domain: (domain || 'rds.borealis.internal').toLowerCase(),
    hostsFile: hostsFile === 'none' ? null : hostsFile || HOSTS_FILE,
    dnsPlaces: dnsPlacesFrom(dns),
  }
  const problem = nameSpaceProblem({ hash: '0'.repeat(HASH_CHARS), region: REGION, domain: settings.domain })
  if (problem !== undefined) throw new PlainError(`BOREALIS_DOMAIN: ${problem}`)
  return settings
}

export async function openNames(
  home: Home,
  registry: Registry,
  { domain, hostsFile, dnsPlaces }: NameSettings,
  say: (line: string) => void,
): Promise<PublishedNames> {
  const space = { ...(await regionIdentity(registry)), domain }
  return PublishedNames.open({ space, home: home.root, hostsFile, dnsPlaces, say })
}

/** Those that a region has left in the hosts file because it was killed. The caller holds the lock of the home. */
export async function removeNames(home: Home, { hostsFile }: NameSettings): Promise<void> {
  if (hostsFile === null || !existsSync(hostsFile) || !existsSync(home.registry)) return
  const registry = SqliteRegistry.open(home.registry)
  try {
    const { hash } = await regionIdentity(registry)
    await writeHosts(hostsFile, { hash, home: home.root }, [])
  } catch (cause) {
    throw new PlainError(`the region's names are still in ${hostsFile}: remove what stands between its markers`, {
      cause,
    })
  } finally {
    registry.close()
  }
}
