/** Two protocols that name an operation beside a document: AWS JSON (in a header), and Smithy RPC v2 with CBOR (in the path). */
import { cbor, dateToTag } from '@smithy/core/cbor'
import { ApiError, malformed } from '../api-error.ts'
import type { OperationShape } from '../query/shapes.ts'
import type { Answer } from '../service.ts'
import type { ReceivedRequest } from '../signature/verify.ts'
import { readDocument, writeDocument } from './document.ts'

interface Codec {
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  decode(bytes: Uint8Array): unknown
  encode(value: object): string | Uint8Array
}

const JSON_CODEC: Codec = {
  contentType: 'application/x-amz-json-1.0',
  headers: {},
  decode: (bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')),
  encode: (value) => JSON.stringify(writeDocument(value, (date) => date.getTime() / 1000)),
}

const CBOR_CODEC: Codec = {
  contentType: 'application/cbor',
  headers: { 'smithy-protocol': 'rpc-v2-cbor' },
  decode: (bytes) => cbor.deserialize(bytes),
  // Its buffer is used again for the next one.
  encode: (value) => Buffer.from(cbor.serialize(writeDocument(value, dateToTag))),
}

interface Named {
  readonly codec: Codec
  readonly operation: string
}

/** @returns undefined when the request is of neither protocol */
export function rpcNamed({ url, headers }: ReceivedRequest, service: string): Named | undefined {
  const target = headers['x-amz-target']
  if (typeof target === 'string') {
    const [name, operation = ''] = target.split('.')
    return name === service ? { codec: JSON_CODEC, operation } : undefined
  }
  const path = new URL(url, 'http://host').pathname
  const [, name, operation = ''] = /^\/service\/([^/]+)\/operation\/([^/]+)$/.exec(path) ?? []
  return headers['smithy-protocol'] === 'rpc-v2-cbor' && name === service ? { codec: CBOR_CODEC, operation } : undefined
}

const answer = ({ contentType, headers, encode }: Codec, status: number, value: object): Answer => ({
  status,
  contentType,
  headers,
  body: encode(value),
})

export async function answerRpc(
  { codec, operation }: Named,
  shapes: ReadonlyMap<string, OperationShape>,
  { body }: ReceivedRequest,
  run: (operation: string, input: Readonly<Record<string, unknown>>) => Promise<object | undefined>,
): Promise<Answer> {
  const shape = shapes.get(operation)
  if (shape === undefined) throw new ApiError('InvalidAction', 400, `There is no operation ${operation.slice(0, 128)}.`)
  return answer(codec, 200, { ...(await run(operation, readDocument(shape.input, decoded(codec, body)))) })
}

function decoded(codec: Codec, body: Uint8Array): unknown {
  if (body.length === 0) return {}
  try {
    return codec.decode(body)
  } catch {
    throw malformed(`The body is no document of type ${codec.contentType}.`)
  }
}

export function refuseRpc({ codec }: Named, { code, status, message }: ApiError): Answer {
  const refused = answer(codec, status, { __type: code, message })
  // For clients that know the codes of the query protocol.
  return {
    ...refused,
    headers: { ...refused.headers, 'x-amzn-query-error': `${code};${status < 500 ? 'Sender' : 'Receiver'}` },
  }
}
