/** Where a request carries its signature (Signature Version 4), in the `Authorization` header or in its address. */
import type { IncomingHttpHeaders } from 'node:http'
import { ApiError } from '../api-error.ts'

const ALGORITHM = 'AWS4-HMAC-SHA256'

/** Parameters of a presigned address. */
const PRESIGNED = {
  algorithm: 'X-Amz-Algorithm',
  credential: 'X-Amz-Credential',
  date: 'X-Amz-Date',
  expires: 'X-Amz-Expires',
  signedHeaders: 'X-Amz-SignedHeaders',
  signature: 'X-Amz-Signature',
} as const

/** Seven days, which is what AWS allows. */
const EXPIRES_SECONDS_MAX = 604_800

export interface Signed {
  readonly accessKey: string
  /** `20261120`, the region and the service that the signature is for. */
  readonly scope: { readonly day: string; readonly region: string; readonly service: string }
  /** `20261120T144606Z`, as it was written. */
  readonly date: string
  readonly dateMs: number
  readonly signedHeaders: readonly string[]
  readonly signature: string
  /** null: it stands in the header. */
  readonly expiresSeconds: number | null
}

const incomplete = (message: string): ApiError => new ApiError('IncompleteSignature', 400, message)

function scopeOf(credential: string): Pick<Signed, 'accessKey' | 'scope'> {
  const parts = credential.split('/')
  const [accessKey = '', day = '', region = '', service = '', end] = parts
  if (parts.length !== 5 || end !== 'aws4_request')
    throw incomplete(
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '${credential.slice(0, 128)}'`,
    )
  return { accessKey, scope: { day, region, service } }
}

function milliseconds(date: string): number {
  const [, year, month, day, hours, minutes, seconds] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? []
  const ms = Date.parse(`${year}-${month}-${day}T${hours}:${minutes}:${seconds}Z`)
  if (Number.isNaN(ms))
    throw incomplete(
      `Date must be in ISO-8601 'basic format'. Got '${date.slice(0, 64)}'. See http://en.wikipedia.org/wiki/ISO_8601`,
    )
  return ms
}

function headerFields(authorization: string): ReadonlyMap<string, string> {
  const [algorithm = ''] = authorization.split(/\s/, 1)
  if (algorithm !== ALGORITHM) throw incomplete(`Unsupported AWS 'algorithm': '${algorithm.slice(0, 64)}'`)
  const fields = authorization.slice(algorithm.length).split(',')
  return new Map(
    fields.map((field) => {
      const at = field.indexOf('=')
      return [field.slice(0, at).trim(), field.slice(at + 1).trim()]
    }),
  )
}

function fromHeader(authorization: string, headers: IncomingHttpHeaders): Signed {
  const fields = headerFields(authorization)
  const missing = ['Credential', 'Signature', 'SignedHeaders'].filter((name) => !fields.get(name))
  if (missing.length > 0)
    throw incomplete(missing.map((name) => `Authorization header requires '${name}' parameter.`).join(' '))
  const date = headers['x-amz-date']
  if (typeof date !== 'string')
    throw incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
  return {
    ...scopeOf(fields.get('Credential') ?? ''),
    date,
    dateMs: milliseconds(date),
    signedHeaders: (fields.get('SignedHeaders') ?? '').split(';'),
    signature: fields.get('Signature') ?? '',
    expiresSeconds: null,
  }
}

function fromQuery(query: URLSearchParams): Signed {
  const { algorithm, expires, signedHeaders, signature, credential, date: dateName } = PRESIGNED
  const missing = Object.values(PRESIGNED).filter((name) => !query.get(name))
  if (missing.length > 0)
    throw incomplete(missing.map((name) => `AWS query-string parameters must include '${name}'.`).join(' '))
  if (query.get(algorithm) !== ALGORITHM)
    throw incomplete(`Unsupported AWS 'algorithm': '${query.get(algorithm)?.slice(0, 64)}'`)
  const expiresSeconds = Number(query.get(expires))
  if (!Number.isInteger(expiresSeconds) || expiresSeconds < 1 || expiresSeconds > EXPIRES_SECONDS_MAX)
    throw incomplete(`${expires} must be a number of seconds from 1 to ${EXPIRES_SECONDS_MAX}`)
  const date = query.get(dateName) ?? ''
  return {
    ...scopeOf(query.get(credential) ?? ''),
    date,
    dateMs: milliseconds(date),
    signedHeaders: (query.get(signedHeaders) ?? '').split(';'),
    signature: query.get(signature) ?? '',
    expiresSeconds,
  }
}

/** The query of a presigned address, without what its signature added. */
export function unsignedQuery(query: URLSearchParams): URLSearchParams {
  const added: readonly string[] = Object.values(PRESIGNED)
  return new URLSearchParams([...query].filter(([name]) => !added.includes(name)))
}

/** @throws ApiError `MissingAuthenticationToken`, `IncompleteSignature` */
export function readSignature(headers: IncomingHttpHeaders, query: URLSearchParams): Signed {
  const { authorization } = headers
  if (authorization !== undefined) return fromHeader(authorization, headers)
  if (query.has(PRESIGNED.signature) || query.has(PRESIGNED.algorithm)) return fromQuery(query)
  throw new ApiError('MissingAuthenticationToken', 403, 'Request is missing Authentication Token')
}
