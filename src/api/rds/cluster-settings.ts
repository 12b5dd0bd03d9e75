/** From the members that creating and modifying a cluster have in common to its settings. */
import type { CreateDBClusterMessage, ModifyDBClusterMessage } from '@aws-sdk/client-rds'
import type { ClusterSettings } from '../../cluster/control-plane.ts'
import { fault, invalidValue } from '../api-error.ts'
import { refuse } from './call.ts'
import { certificateAuthority } from './certificates.ts'
import { numberWithin } from './identifiers.ts'
import { backupWindow, maintenanceWindow } from './windows.ts'

type Given = Pick<
  CreateDBClusterMessage & ModifyDBClusterMessage,
  Extract<keyof CreateDBClusterMessage, keyof ModifyDBClusterMessage>
>

const PORT_MIN = 1150
const PORT_MAX = 65_535
const RETENTION_DAYS_MAX = 35
const STORAGE_TYPES = ['aurora', 'aurora-iopt1'] as const

/** What neither can be asked for. */
export function refuseUnsupported(given: Given): void {
  refuse({
    AllocatedStorage: given.AllocatedStorage,
    BacktrackWindow: given.BacktrackWindow,
    DBClusterInstanceClass: given.DBClusterInstanceClass,
    Domain: given.Domain,
    EnableGlobalWriteForwarding: given.EnableGlobalWriteForwarding,
    EnableHttpEndpoint: given.EnableHttpEndpoint,
    EnableIAMDatabaseAuthentication: given.EnableIAMDatabaseAuthentication,
    EnableLimitlessDatabase: given.EnableLimitlessDatabase,
    EnableLocalWriteForwarding: given.EnableLocalWriteForwarding,
    EnablePerformanceInsights: given.EnablePerformanceInsights,
    'EngineMode other than provisioned': given.EngineMode !== undefined && given.EngineMode !== 'provisioned',
    Iops: given.Iops,
    'IAM authentication of the master user': given.MasterUserAuthenticationType === 'iam-db-auth',
    ManageMasterUserPassword: given.ManageMasterUserPassword,
    MonitoringInterval: given.MonitoringInterval,
    'NetworkType other than IPV4': given.NetworkType !== undefined && given.NetworkType !== 'IPV4',
    'DatabaseInsightsMode other than standard':
      given.DatabaseInsightsMode !== undefined && given.DatabaseInsightsMode !== 'standard',
    ScalingConfiguration: given.ScalingConfiguration,
    ServerlessV2ScalingConfiguration: given.ServerlessV2ScalingConfiguration,
  })
}

function storageType(given: string): ClusterSettings['storageType'] {
  const found = STORAGE_TYPES.find((type) => type === given)
  if (found === undefined) throw fault('StorageTypeNotSupportedFault', `Invalid storage type: ${given}`)
  return found
}

function securityGroups(given: readonly string[]): readonly string[] {
  const wrong = given.find((id) => !/^sg-[\w-]+$/.test(id))
  if (wrong !== undefined) throw invalidValue(`Invalid security group, groupId= ${wrong}`)
  return given
}

/** Only what was given. */
export function settingsGiven(given: Given): Partial<ClusterSettings> {
  const { BackupRetentionPeriod: days, Port: port } = given
  if (days !== undefined && (!Number.isInteger(days) || days < 1 || days > RETENTION_DAYS_MAX))
    throw invalidValue(`Invalid backup retention period: ${days}. Must be between 1 and ${RETENTION_DAYS_MAX}.`)
  return {
    ...(days !== undefined && { backupRetentionDays: days }),
    ...(port !== undefined && { port: numberWithin('Port', port, PORT_MIN, PORT_MAX) }),
    ...(given.PreferredBackupWindow && { backupWindow: backupWindow(given.PreferredBackupWindow) }),
    ...(given.PreferredMaintenanceWindow && { maintenanceWindow: maintenanceWindow(given.PreferredMaintenanceWindow) }),
    ...(given.VpcSecurityGroupIds?.length && { securityGroups: securityGroups(given.VpcSecurityGroupIds) }),
    ...(given.DeletionProtection !== undefined && { deletionProtection: given.DeletionProtection }),
    ...(given.CopyTagsToSnapshot !== undefined && { copyTagsToSnapshot: given.CopyTagsToSnapshot }),
    ...(given.StorageType && { storageType: storageType(given.StorageType) }),
    ...(given.CACertificateIdentifier && { caIdentifier: certificateAuthority(given.CACertificateIdentifier) }),
  }
}
