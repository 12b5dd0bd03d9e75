/** The RDS API. */
import { ApiError } from '../api-error.ts'
import { answerQuery, type QueryApi, refusal } from '../query/protocol.ts'
import { OPERATION_SHAPES } from '../query/shapes.ts'
import type { Service } from '../service.ts'
import { controlPlaneFault } from './control-plane-faults.ts'
import { OPERATIONS } from './operations.ts'

const RDS: QueryApi = {
  version: '2014-10-31',
  namespace: 'http://rds.amazonaws.com/doc/2014-10-31/',
  shapes: OPERATION_SHAPES,
}

export const rdsService: Service = {
  name: 'rds',
  answer: (request, context) =>
    answerQuery(RDS, request, context.requestId, async (name, input) => {
      const operation = OPERATIONS.get(name)
      if (operation === undefined)
        throw new ApiError('InvalidAction', 400, `The action ${name} is not supported in this region.`)
      try {
        return await operation(input, context)
      } catch (error) {
        throw controlPlaneFault(error) ?? error
      }
    }),
  refuse: (error, requestId) => refusal(RDS, error, requestId),
}
