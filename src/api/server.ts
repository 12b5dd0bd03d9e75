/**
 * The API over HTTP: one port for several services, told apart by what a request's signature is for. Its state is the
 * control plane's.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { secretOf } from '../cluster/account.ts'
import type { ControlPlane } from '../cluster/control-plane.ts'
import type { MetricHistory } from '../cluster/metric-history.ts'
import type { ParameterDefinitions } from '../cluster/parameter-definitions.ts'
import { ApiError, malformed } from './api-error.ts'
import { cloudWatchService } from './cloudwatch/cloudwatch-service.ts'
import { ApiMetrics } from './prometheus.ts'
import { rdsService } from './rds/rds-service.ts'
import type { Answer, Service } from './service.ts'
import { readSignature } from './signature/credentials.ts'
import { type ReceivedRequest, verifyRequest } from './signature/verify.ts'
import { stsService } from './sts/sts-service.ts'

const SERVICES: ReadonlyMap<string, Service> = new Map(
  [rdsService, stsService, cloudWatchService].map((service) => [service.name, service]),
)

export interface ApiOptions {
  readonly plane: ControlPlane
  /** Of a family; asks the engine when nobody has before. */
  readonly parameterDefinitions: (family: string) => Promise<ParameterDefinitions>
  /** What was measured, for CloudWatch. */
  readonly metrics: MetricHistory
  readonly host: string
  /** 0: one that is free. */
  readonly port: number
  readonly now?: () => number
  /** For what went wrong on our side. */
  readonly log: (line: string) => void
}

/** A request of twenty parameters with long values has some tens of kilobytes. */
const BODY_BYTES_MAX = 1 << 20
/** Of a client that sends nothing, or too slowly. */
const REQUEST_MS_MAX = 30_000

/** What is over the limit is read and dropped: a client sends all of it before it looks at its answer. */
function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let length = 0
    request.on('data', (chunk: Uint8Array) => {
      length += chunk.length
      if (length <= BODY_BYTES_MAX) chunks.push(chunk)
    })
    request.once('end', () => {
      if (length <= BODY_BYTES_MAX) resolve(Buffer.concat(chunks))
      else reject(new ApiError('RequestEntityTooLarge', 413, 'Request size exceeded the limit.'))
    })
    request.once('error', reject)
  })
}

const NOTHING = new Uint8Array()

/** Who a request is for, as it says itself: in which form an error is told. Nobody is trusted for that. */
function serviceMeant({ headers, url }: ReceivedRequest): Service {
  try {
    const { scope } = readSignature(headers, new URL(url, 'http://host').searchParams)
    return SERVICES.get(scope.service) ?? rdsService
  } catch {
    return rdsService
  }
}

export class ApiServer {
  readonly #options: ApiOptions
  readonly #metrics: ApiMetrics
  readonly #server: Server

  private constructor(options: ApiOptions) {
    this.#options = options
    this.#metrics = new ApiMetrics(options.plane)
    this.#server = createServer(
      { requestTimeout: REQUEST_MS_MAX, keepAliveTimeout: REQUEST_MS_MAX },
      (request, response) => {
        void this.#respond(request, response)
      },
    )
  }

  /** Resolves when it listens. */
  static async start(options: ApiOptions): Promise<ApiServer> {
    const api = new ApiServer(options)
    await new Promise<void>((resolve, reject) => {
      api.#server.once('error', reject)
      api.#server.listen(options.port, options.host, () => {
        api.#server.removeListener('error', reject)
        resolve()
      })
    })
    return api
  }

  /** `127.0.0.1:8200` */
  get address(): string {
    const { address, port, family } = this.#server.address() as AddressInfo
    return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
  }

  /** Requests that are under way get their answers. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
    })
  }

  async #respond(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedMs = performance.now()
    const requestId = randomUUID()
    const { method = '', url = '/', headers } = incoming
    const head = { method, url, headers }
    let answer: Answer
    let service = ''
    try {
      const body = await bodyOf(incoming)
      if (method === 'GET' && url === '/metrics') answer = await this.#measured()
      else {
        const request = { ...head, body }
        service = serviceMeant(request).name
        answer = await this.#answer(request, requestId)
      }
    } catch (error) {
      // The connection was lost while the body came: there is nobody to answer.
      if (incoming.destroyed && !incoming.complete) return
      answer = this.#refusal(error, requestId, { ...head, body: NOTHING })
    }
    response.writeHead(answer.status, {
      ...answer.headers,
      'content-type': answer.contentType,
      'content-length': Buffer.byteLength(answer.body),
      'x-amzn-requestid': requestId,
    })
    response.end(answer.body)
    if (service !== '') this.#metrics.observe(service, answer.status, (performance.now() - startedMs) / 1000)
  }

  async #answer(request: ReceivedRequest, requestId: string): Promise<Answer> {
    if (!URL.canParse(request.url, 'http://host')) throw malformed('The address of the request is no address.')
    const { plane, parameterDefinitions, metrics, now = Date.now } = this.#options
    const caller = await verifyRequest(request, {
      nowMs: now(),
      region: plane.region,
      services: [...SERVICES.keys()],
      secretOf: (accessKey) => secretOf(plane.database, accessKey),
    })
    const service = SERVICES.get(caller.service) ?? rdsService
    return service.answer(request, { plane, parameterDefinitions, metrics, nowMs: now(), requestId, caller })
  }

  #refusal(error: unknown, requestId: string, request: ReceivedRequest): Answer {
    const service = serviceMeant(request)
    if (error instanceof ApiError) return service.refuse(error, requestId, request)
    this.#options.log(`API request ${requestId} failed: ${(error as Error).stack ?? error}`)
    const told = new ApiError('InternalFailure', 500, 'An internal error has occurred.', { cause: error })
    return service.refuse(told, requestId, request)
  }

  async #measured(): Promise<Answer> {
    return { status: 200, contentType: this.#metrics.contentType, body: await this.#metrics.text() }
  }
}
