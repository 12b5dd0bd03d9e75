/** What the services on the one port have in common. */
import type { ControlPlane } from '../cluster/control-plane.ts'
import type { MetricHistory } from '../cluster/metric-history.ts'
import type { ParameterDefinitions } from '../cluster/parameter-definitions.ts'
import type { ApiError } from './api-error.ts'
import type { Caller, ReceivedRequest } from './signature/verify.ts'

export interface Answer {
  readonly status: number
  readonly contentType: string
  /** Besides. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

export interface ServiceContext {
  readonly plane: ControlPlane
  /** For CloudWatch. */
  readonly metrics: MetricHistory
  readonly nowMs: number
  readonly requestId: string
  readonly caller: Caller
  readonly parameterDefinitions: (family: string) => Promise<ParameterDefinitions>
}

export interface Service {
  /** The name in the scope of signatures. */
  readonly name: string
  /** @throws ApiError */
  answer(request: ReceivedRequest, context: ServiceContext): Promise<Answer>
  /** An error in the form that the service's clients read. */
  refuse(error: ApiError, requestId: string, request: ReceivedRequest): Answer
}
