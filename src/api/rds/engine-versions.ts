/** Engine versions as the API names them, and what goes with each. */
import { familyOf } from '../../cluster/parameter-definitions.ts'
import { availableVersions, DEFAULT_MAJOR, type PostgresVersion } from '../../engine/postgres/versions.ts'
import { invalidCombination, invalidValue } from '../api-error.ts'

export const ENGINE = 'aurora-postgresql'

export const families = (): string[] => availableVersions().map(({ major }) => familyOf(major))

export const isDefault = ({ major }: PostgresVersion): boolean => major === DEFAULT_MAJOR

export function checkEngine(engine: string | undefined): void {
  if (engine !== ENGINE) throw invalidValue(`Invalid DB engine: ${engine}. Supported here: ${ENGINE}.`)
}

/** @param wanted `17`, `17.10`, or nothing: the default */
export function engineVersion(wanted: string | undefined): PostgresVersion {
  const found = availableVersions().find((version) =>
    wanted === undefined ? isDefault(version) : wanted === version.name || wanted === `${version.major}`,
  )
  if (found === undefined) throw invalidCombination(`Cannot find version ${wanted} for ${ENGINE}`)
  return found
}

export function familyOfVersion(version: string): string {
  return familyOf(Number.parseInt(version, 10))
}
