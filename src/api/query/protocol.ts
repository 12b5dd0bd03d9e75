/** The query protocol over HTTP: a form comes in, XML goes out. */
import { ApiError } from '../api-error.ts'
import type { Answer } from '../service.ts'
import type { ReceivedRequest } from '../signature/verify.ts'
import { type FormNode, formValue, parseForm } from './form.ts'
import { parseInput } from './parse.ts'
import { answerXml, errorXml } from './serialize.ts'
import type { OperationShape } from './shapes.ts'

export interface QueryApi {
  /** `2014-10-31` */
  readonly version: string
  readonly namespace: string
  readonly shapes: ReadonlyMap<string, OperationShape>
}

const answer = (status: number, body: string): Answer => ({ status, contentType: 'text/xml', body })

export const refusal = ({ namespace }: QueryApi, error: ApiError, requestId: string): Answer =>
  answer(error.status, errorXml(error, { namespace, requestId }))

/** A form in the body, or behind the address: that is how presigned requests come. */
function formOf({ method, url, headers, body }: ReceivedRequest): FormNode {
  const query = new URL(url, 'http://host').search.slice(1)
  const type = headers['content-type'] ?? ''
  const isForm = type === '' || type.startsWith('application/x-www-form-urlencoded')
  if (method === 'GET') return parseForm(query)
  if (method !== 'POST') throw new ApiError('InvalidAction', 405, `${method} is no method of this service.`)
  if (!isForm) throw new ApiError('InvalidAction', 400, `A form is expected, not ${type.slice(0, 80)}.`)
  return parseForm([query, Buffer.from(body).toString('utf8')].filter((part) => part !== '').join('&'))
}

/** @param run does the operation; what it gives has the form of the operation's output */
export async function answerQuery(
  api: QueryApi,
  request: ReceivedRequest,
  requestId: string,
  run: (operation: string, input: Readonly<Record<string, unknown>>) => Promise<object | undefined>,
): Promise<Answer> {
  const form = formOf(request)
  const action = formValue(form, 'Action')
  if (action === undefined) throw new ApiError('MissingAction', 400, 'The request must contain the parameter Action.')
  const version = formValue(form, 'Version')
  const shape = api.shapes.get(action)
  if (shape === undefined || (version !== undefined && version !== api.version))
    throw new ApiError(
      'InvalidAction',
      400,
      `Could not find operation ${action.slice(0, 128)} for version ${(version ?? api.version).slice(0, 32)}`,
    )
  const output = await run(action, parseInput(shape.input, form))
  const { namespace } = api
  return answer(200, answerXml(action, shape.output, { ...output }, { namespace, requestId }))
}
