/**
 * Names of endpoints, shaped as Aurora's:
 *
 *   writer    demo.cluster-k3j9x0q2m4zt.local-1.rds.borealis.internal
 *   reader    demo.cluster-ro-k3j9x0q2m4zt.local-1.rds.borealis.internal
 *   custom    reports.cluster-custom-k3j9x0q2m4zt.local-1.rds.borealis.internal
 *   instance  demo-1.k3j9x0q2m4zt.local-1.rds.borealis.internal
 *
 * They are made of what never changes, so they never change.
 */
export type EndpointType = 'writer' | 'reader' | 'custom' | 'instance'

/** What all names of a region have in common. */
export interface NameSpace {
  /** The account in the region: letters and digits, so that it can be told from what stands in front of it. */
  readonly hash: string
  readonly region: string
  readonly domain: string
}

const PREFIXES: Readonly<Record<EndpointType, string>> = {
  writer: 'cluster-',
  reader: 'cluster-ro-',
  custom: 'cluster-custom-',
  instance: '',
}

/** RFC 1035: the length of a label has six bits; a name is 255 bytes with a length for each label and for the root. */
const LABEL_CHARS_MAX = 63
const NAME_CHARS_MAX = 253

const isLabel = (text: string): boolean =>
  /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(text) && text.length <= LABEL_CHARS_MAX

/** @param name of the cluster, the custom endpoint or the instance */
export function endpointName(type: EndpointType, name: string, { hash, region, domain }: NameSpace): string {
  if (!isLabel(name)) throw new TypeError(`${name} can be no part of a host name`)
  return `${name}.${PREFIXES[type]}${hash}.${region}.${domain}`
}

/** @returns why not every endpoint can have a name there; undefined when it can */
export function nameSpaceProblem({ hash, region, domain }: NameSpace): string | undefined {
  const labels = domain.split('.')
  if (!/^[a-z0-9]+$/.test(hash) || !isLabel(PREFIXES.custom + hash)) return `${hash} is no hash for host names`
  if (!isLabel(region)) return `${region} is no name of a region`
  if (!labels.every(isLabel))
    return `${domain} is no domain: labels of lower-case letters, digits and hyphens, ${LABEL_CHARS_MAX} each at most, with dots between them`
  // Programs take what ends like that for an address.
  if (/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) return `${domain} is no domain: its last label is a number`
  const longest = [LABEL_CHARS_MAX, PREFIXES.custom.length + hash.length, region.length, domain.length]
  const over = longest.reduce((sum, chars) => sum + 1 + chars, -1) - NAME_CHARS_MAX
  return over > 0
    ? `${domain} is too long a domain by ${over} characters: host names have ${NAME_CHARS_MAX}`
    : undefined
}
