/** Whether a request was signed by the owner of one of our access keys, now, and for this region and service. */
import { createHash, createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { SignatureV4 } from '@smithy/signature-v4'
import { ApiError } from '../api-error.ts'
import { readSignature, type Signed, unsignedQuery } from './credentials.ts'

export interface ReceivedRequest {
  readonly method: string
  /** As it came, with its query. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
}

export interface SignatureContext {
  readonly nowMs: number
  readonly region: string
  readonly services: readonly string[]
  /** @returns the secret of an access key; undefined when there is no such key */
  readonly secretOf: (accessKey: string) => string | undefined
}

export interface Caller {
  readonly accessKey: string
  /** Which service the request is for, as its signature says: `rds`, `sts`, `monitoring`. */
  readonly service: string
}

/** AWS's: a signature is refused this long before and after its time. */
const LATE_MINUTES = 15
const EARLY_MINUTES = 5
const MINUTE_MS = 60_000

/** What the library signs with: Node's hash, or its keyed form. */
class Sha256 {
  readonly #hash: { update(bytes: Uint8Array): unknown; digest(): Buffer }
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret))
  }
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {
    throw new Error('a hash is used once')
  }
}

function bytesOf(secret: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof secret === 'string') return Buffer.from(secret)
  return secret instanceof ArrayBuffer
    ? new Uint8Array(secret)
    : new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength)
}

const doesNotMatch = (message: string): ApiError => new ApiError('SignatureDoesNotMatch', 403, message)
const WRONG_SIGNATURE =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.'

/** `20261120T144606Z` */
const basicFormat = (ms: number): string => new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '')

function checkTime({ date, dateMs, expiresSeconds, scope }: Signed, nowMs: number): void {
  if (scope.day !== date.slice(0, 8))
    throw doesNotMatch(
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${scope.day.slice(0, 16)}' != '${date.slice(0, 8)}', from '${date}'.`,
    )
  const now = basicFormat(nowMs)
  if (dateMs > nowMs + EARLY_MINUTES * MINUTE_MS)
    throw doesNotMatch(
      `Signature not yet current: ${date} is still later than ${basicFormat(nowMs + EARLY_MINUTES * MINUTE_MS)} (${now} + ${EARLY_MINUTES} min.)`,
    )
  if (expiresSeconds !== null) {
    if (dateMs + expiresSeconds * 1000 < nowMs) throw new ApiError('RequestExpired', 403, 'Request has expired.')
    return
  }
  if (dateMs < nowMs - LATE_MINUTES * MINUTE_MS)
    throw doesNotMatch(
      `Signature expired: ${date} is now earlier than ${basicFormat(nowMs - LATE_MINUTES * MINUTE_MS)} (${now} - ${LATE_MINUTES} min.)`,
    )
}

function checkScope({ scope, signedHeaders }: Signed, { region, services }: SignatureContext): void {
  if (scope.region !== region) throw doesNotMatch(`Credential should be scoped to a valid region: '${region}'.`)
  if (!services.includes(scope.service))
    throw doesNotMatch(`Credential should be scoped to correct service: one of ${services.join(', ')}.`)
  // Or it could be sent to another host.
  if (!signedHeaders.includes('host'))
    throw doesNotMatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
}

/** Of what was signed: names in lower case, with what came under them. */
function headersOf({ signedHeaders }: Signed, headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    signedHeaders.map((name) => {
      const value = headers[name]
      return [name, Array.isArray(value) ? value.join(',') : (value ?? '')]
    }),
  )
}

/** One name may come several times. */
function queryOf(query: URLSearchParams): Record<string, string | string[]> {
  const names = new Set(query.keys())
  return Object.fromEntries(
    [...names].map((name) => {
      const [first = '', ...rest] = query.getAll(name)
      return [name, rest.length === 0 ? first : [first, ...rest]]
    }),
  )
}

const EMPTY: ReadonlySet<string> = new Set()

async function expectedSignature(request: ReceivedRequest, signed: Signed, secret: string): Promise<string> {
  const { scope, signedHeaders, expiresSeconds } = signed
  const signer = new SignatureV4({
    credentials: { accessKeyId: signed.accessKey, secretAccessKey: secret },
    region: scope.region,
    service: scope.service,
    sha256: Sha256,
    applyChecksum: false,
  })
  const { pathname, searchParams } = new URL(request.url, 'http://host')
  const toSign = {
    method: request.method,
    protocol: 'http:',
    hostname: 'host',
    path: pathname,
    query: queryOf(expiresSeconds === null ? searchParams : unsignedQuery(searchParams)),
    headers: headersOf(signed, request.headers),
    body: request.body,
  }
  const options = {
    signingDate: new Date(signed.dateMs),
    // Those that the sender signed, and no others.
    signableHeaders: new Set(signedHeaders),
    unsignableHeaders: EMPTY as Set<string>,
  }
  if (expiresSeconds !== null) {
    const presigned = await signer.presign(toSign, {
      ...options,
      expiresIn: expiresSeconds,
      unhoistableHeaders: new Set(signedHeaders),
    })
    return String(presigned.query?.['X-Amz-Signature'])
  }
  const { headers } = await signer.sign(toSign, options)
  return /Signature=([0-9a-f]+)/.exec(headers.authorization ?? '')?.[1] ?? ''
}

function same(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/** @throws ApiError as AWS refuses what is unsigned, wrongly signed, too old, or not for us */
export async function verifyRequest(request: ReceivedRequest, context: SignatureContext): Promise<Caller> {
  const signed = readSignature(request.headers, new URL(request.url, 'http://host').searchParams)
  const secret = context.secretOf(signed.accessKey)
  if (secret === undefined)
    throw new ApiError('InvalidClientTokenId', 403, 'The security token included in the request is invalid.')
  checkScope(signed, context)
  checkTime(signed, context.nowMs)
  // The library takes this header's word for what the body's hash is.
  const claimed = request.headers['x-amz-content-sha256']
  if (claimed !== undefined && claimed !== hash('sha256', request.body)) throw doesNotMatch(WRONG_SIGNATURE)
  if (!same(await expectedSignature(request, signed, secret), signed.signature)) throw doesNotMatch(WRONG_SIGNATURE)
  return { accessKey: signed.accessKey, service: signed.scope.service }
}
