/** Amazon Resource Names of what is here, shaped as AWS's. */
export interface ArnPlace {
  readonly region: string
  readonly account: string
}

/** As they stand in an ARN of the service `rds`. */
export type ArnType = 'cluster' | 'db' | 'cluster-endpoint' | 'cluster-pg' | 'pg' | 'subgrp' | 'es' | 'cluster-snapshot'

export const arnOf = ({ region, account }: ArnPlace, type: ArnType, name: string): string =>
  `arn:aws:rds:${region}:${account}:${type}:${name}`

/** @returns undefined for what is no ARN of this account and region */
export function parseArn({ region, account }: ArnPlace, arn: string): { type: string; name: string } | undefined {
  const prefix = `arn:aws:rds:${region}:${account}:`
  if (!arn.startsWith(prefix)) return undefined
  const rest = arn.slice(prefix.length)
  const at = rest.indexOf(':')
  return at < 0 ? undefined : { type: rest.slice(0, at), name: rest.slice(at + 1) }
}
