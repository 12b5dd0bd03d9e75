/** What the control plane refuses, in the API's words. */
import { ControlPlaneError, type ControlPlaneErrorCode } from '../../cluster/control-plane.ts'
import { type ApiError, fault, invalidCombination } from '../api-error.ts'

const FAULTS: Readonly<Record<Exclude<ControlPlaneErrorCode, 'DeletionProtected'>, string>> = {
  ClusterNotFound: 'DBClusterNotFoundFault',
  ClusterExists: 'DBClusterAlreadyExistsFault',
  ClusterState: 'InvalidDBClusterStateFault',
  ClusterQuota: 'DBClusterQuotaExceededFault',
  InstanceNotFound: 'DBInstanceNotFoundFault',
  InstanceExists: 'DBInstanceAlreadyExistsFault',
  InstanceState: 'InvalidDBInstanceStateFault',
  InstanceQuota: 'InstanceQuotaExceededFault',
  EndpointNotFound: 'DBClusterEndpointNotFoundFault',
  EndpointExists: 'DBClusterEndpointAlreadyExistsFault',
  EndpointState: 'InvalidDBClusterEndpointStateFault',
  EndpointQuota: 'DBClusterEndpointQuotaExceededFault',
  LogFileNotFound: 'DBLogFileNotFoundFault',
  Unreachable: 'DBInstanceNotReadyFault',
}

/** @returns undefined for what is no refusal of the control plane */
export function controlPlaneFault(error: unknown): ApiError | undefined {
  if (!(error instanceof ControlPlaneError)) return undefined
  const { code, message } = error
  return code === 'DeletionProtected'
    ? invalidCombination('Cannot delete protected Cluster, please disable deletion protection and try again.')
    : fault(FAULTS[code], message, { cause: error })
}
