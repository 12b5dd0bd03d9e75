/** What RDS gives to clusters and instances whose maker did not say. */
import { totalmem } from 'node:os'
import { selectVersion } from '../engine/postgres/versions.ts'
import type { ClusterSettings, InstanceSettings } from './control-plane.ts'
import { familyOf } from './parameter-definitions.ts'
import { defaultGroupName } from './parameter-groups.ts'
import { DEFAULT_SUBNET_GROUP } from './subnet-groups.ts'

/** Of the region's own authority: named as AWS names its authorities, for the key that ours has. */
export const CERTIFICATE_AUTHORITY = 'rds-ca-ecc256-g1'
/** Eight hours of the night of most regions: one half hour in it, by chance, so that not all have the same. */
const NIGHT_HOUR = 3
const GIB = 1 << 30

/** A machine with less is a small one: several engines share it with six storage nodes. */
const SMALL_MACHINE_BYTES = 16 * GIB

/** For instances made without a class. */
export const defaultInstanceClass = (): string => (totalmem() < SMALL_MACHINE_BYTES ? 'db.t4g.micro' : 'db.t4g.small')

export const defaultClusterSettings = (engineVersion: string, port: number): ClusterSettings => ({
  parameterGroup: defaultGroupName(familyOf(selectVersion(engineVersion).major)),
  subnetGroup: DEFAULT_SUBNET_GROUP,
  securityGroups: [],
  port,
  backupRetentionDays: 1,
  backupWindow: `0${NIGHT_HOUR}:00-0${NIGHT_HOUR}:30`,
  maintenanceWindow: `sun:0${NIGHT_HOUR + 1}:00-sun:0${NIGHT_HOUR + 1}:30`,
  deletionProtection: false,
  copyTagsToSnapshot: false,
  iamAuthentication: false,
  logExports: [],
  storageType: 'aurora',
  caIdentifier: CERTIFICATE_AUTHORITY,
})

export const defaultInstanceSettings = (engineVersion: string): InstanceSettings => ({
  instanceClass: defaultInstanceClass(),
  parameterGroup: defaultGroupName(familyOf(selectVersion(engineVersion).major)),
  promotionTier: 1,
  maintenanceWindow: `sun:0${NIGHT_HOUR + 1}:00-sun:0${NIGHT_HOUR + 1}:30`,
  autoMinorVersionUpgrade: true,
  publiclyAccessible: false,
  copyTagsToSnapshot: false,
  caIdentifier: CERTIFICATE_AUTHORITY,
  monitoringIntervalSeconds: 0,
})
