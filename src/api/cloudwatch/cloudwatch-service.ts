/** CloudWatch, for reading: in the three protocols that its clients speak, the newest of which are JSON and CBOR. */
import * as cloudwatch from '@aws-sdk/client-cloudwatch'
import { ApiError } from '../api-error.ts'
import { answerQuery, type QueryApi, refusal } from '../query/protocol.ts'
import { operationShapes } from '../query/shapes.ts'
import { answerRpc, refuseRpc, rpcNamed } from '../rpc/protocol.ts'
import type { Service } from '../service.ts'
import { getMetricData, getMetricStatistics, listMetrics, type MetricsCall } from './operations.ts'

const TARGET = 'GraniteServiceVersion20100801'

const CLOUDWATCH: QueryApi = {
  version: '2010-08-01',
  namespace: 'http://monitoring.amazonaws.com/doc/2010-08-01/',
  shapes: operationShapes(cloudwatch),
}

const OPERATIONS: ReadonlyMap<string, (input: never, call: MetricsCall) => object> = new Map(
  Object.entries({ GetMetricData: getMetricData, GetMetricStatistics: getMetricStatistics, ListMetrics: listMetrics }),
)

export const cloudWatchService: Service = {
  name: 'monitoring',
  answer: (request, context) => {
    const run = async (name: string, input: Readonly<Record<string, unknown>>): Promise<object> => {
      const operation = OPERATIONS.get(name)
      if (operation === undefined)
        throw new ApiError('InvalidAction', 400, `The action ${name} is not supported in this region.`)
      return operation(input as never, context)
    }
    const rpc = rpcNamed(request, TARGET)
    return rpc === undefined
      ? answerQuery(CLOUDWATCH, request, context.requestId, run)
      : answerRpc(rpc, CLOUDWATCH.shapes, request, run)
  },
  refuse: (error, requestId, request) => {
    const rpc = rpcNamed(request, TARGET)
    return rpc === undefined ? refusal(CLOUDWATCH, error, requestId) : refuseRpc(rpc, error)
  },
}
