/** The one operation of the Security Token Service that clients start with: who am I? */
import { answerQuery, type QueryApi, refusal } from '../query/protocol.ts'
import type { OperationShape, Shape } from '../query/shapes.ts'
import type { Service } from '../service.ts'

const text: Shape = { kind: 'string' }
const member = (name: string) => ({ name, shape: text, required: false })

const GET_CALLER_IDENTITY: OperationShape = {
  name: 'GetCallerIdentity',
  input: { kind: 'structure', name: 'GetCallerIdentityRequest', members: [] },
  output: {
    kind: 'structure',
    name: 'GetCallerIdentityResponse',
    members: ['UserId', 'Account', 'Arn'].map(member),
  },
}

const STS: QueryApi = {
  version: '2011-06-15',
  namespace: 'https://sts.amazonaws.com/doc/2011-06-15/',
  shapes: new Map([[GET_CALLER_IDENTITY.name, GET_CALLER_IDENTITY]]),
}

export const stsService: Service = {
  name: 'sts',
  answer: (request, { plane: { account }, requestId }) =>
    answerQuery(STS, request, requestId, async () => ({
      UserId: account,
      Account: account,
      Arn: `arn:aws:iam::${account}:root`,
    })),
  refuse: (error, requestId) => refusal(STS, error, requestId),
}
