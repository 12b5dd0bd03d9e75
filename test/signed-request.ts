/** Requests signed by hand, so that each part of a signature can be wrong. */
import { createHash, createHmac } from 'node:crypto'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { SignatureV4 } from '@smithy/signature-v4'

class Sha256 {
  readonly #hash
  constructor(secret?: unknown) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as string | Uint8Array)
  }
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {}
}

/** Where requests go, and with what they are signed. */
export interface Signing {
  readonly endpoint: string
  readonly region: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

export interface SigningOptions {
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  readonly region?: string
  readonly service?: string
  readonly atMs?: number
  readonly headers?: Readonly<Record<string, string>>
}

export const signer = ({ credentials, region }: Signing, options: SigningOptions = {}): SignatureV4 =>
  new SignatureV4({
    credentials: { ...credentials, ...options },
    region: options.region ?? region,
    service: options.service ?? 'rds',
    sha256: Sha256,
    applyChecksum: false,
  })

const FORM = 'application/x-www-form-urlencoded; charset=utf-8'

/** The headers of a request that sends a body to `/`. */
export async function signedHeaders(
  api: Signing,
  body: string | Uint8Array,
  options: SigningOptions = {},
): Promise<Record<string, string>> {
  const { host, hostname } = new URL(api.endpoint)
  const signed = await signer(api, options).sign(
    {
      method: 'POST',
      protocol: 'http:',
      hostname,
      path: '/',
      headers: { host, 'content-type': FORM, ...options.headers },
      body,
    },
    { signingDate: new Date(options.atMs ?? Date.now()) },
  )
  // `fetch` has its own idea of this one, which is the same.
  const { host: _, ...headers } = signed.headers
  return headers
}

export interface Answered {
  readonly status: number
  readonly text: string
  /** Of an error, where it is one in XML. */
  readonly code: string | undefined
  readonly message: string | undefined
}

export async function answered(response: Response): Promise<Answered> {
  const body = await response.text()
  return {
    status: response.status,
    text: body,
    code: /<Code>(.*?)<\/Code>/.exec(body)?.[1],
    message: /<Message>(.*?)<\/Message>/s.exec(body)?.[1],
  }
}

/**
 * Sends a form, signed, over a connection of its own: on a busy machine a test may stand still for longer than a server
 * keeps one that nobody uses.
 */
export async function send(
  api: Signing,
  form: string | Uint8Array<ArrayBuffer>,
  options: SigningOptions = {},
): Promise<Answered> {
  const headers = await signedHeaders(api, form, options)
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request(api.endpoint, { method: 'POST', headers, agent: false }, resolve).once('error', reject).end(form)
  const response = await promise
  return answered(new Response(await text(response), { status: response.statusCode ?? 0 }))
}
