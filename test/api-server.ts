/** The API on a port of its own over a control plane in memory, with AWS's client for it. */
import { RDSClient } from '@aws-sdk/client-rds'
import { ApiServer } from '../src/api/server.ts'
import { accessKeys } from '../src/cluster/account.ts'
import { MetricHistory } from '../src/cluster/metric-history.ts'
import { type ParameterDefinitions, parameterDefinitions } from '../src/cluster/parameter-definitions.ts'
import type { EngineParameter } from '../src/engine/postgres/parameter-catalog.ts'
import { MemoryControlPlane, type MemoryOptions } from './memory-control-plane.ts'
import type { Signing } from './signed-request.ts'

const parameter = (name: string, rest: Partial<EngineParameter>): EngineParameter => ({
  name,
  description: `About ${name}.`,
  type: 'integer',
  unit: null,
  context: 'user',
  least: null,
  most: null,
  choices: null,
  defaultValue: null,
  ...rest,
})

/** A few of PostgreSQL's, and enough of no meaning to fill more than a page. */
const PARAMETERS: readonly EngineParameter[] = [
  parameter('fsync', { type: 'bool', context: 'sighup', defaultValue: 'on' }),
  parameter('log_statement', { type: 'enum', choices: ['none', 'ddl', 'mod', 'all'], defaultValue: 'none' }),
  parameter('max_connections', { context: 'postmaster', least: '1', most: '262143', defaultValue: '100' }),
  parameter('work_mem', { unit: 'kB', least: '64', most: '2147483647', defaultValue: '4096' }),
  ...Array.from({ length: 150 }, (_, i) => parameter(`x${`${i}`.padStart(3, '0')}`, { least: '0', most: '9' })),
]

const definitions = async (family: string): Promise<ParameterDefinitions> =>
  parameterDefinitions(family.endsWith('16') ? 16 : 17, PARAMETERS)

export interface TestApi extends Signing, AsyncDisposable {
  readonly plane: MemoryControlPlane
  readonly metrics: MetricHistory
  readonly server: ApiServer
  readonly client: RDSClient
  /** What the server wrote to its log: nothing goes wrong on its side. */
  readonly log: readonly string[]
}

export async function startApi(options: MemoryOptions = {}): Promise<TestApi> {
  const plane = new MemoryControlPlane(options)
  const metrics = new MetricHistory()
  const log: string[] = []
  const server = await ApiServer.start({
    plane,
    parameterDefinitions: definitions,
    metrics,
    host: '127.0.0.1',
    port: 0,
    log: (line) => log.push(line),
    ...(options.now === undefined ? {} : { now: options.now }),
  })
  const key = accessKeys(plane.database)[0] ?? { id: '', secret: '' }
  const credentials = { accessKeyId: key.id, secretAccessKey: key.secret }
  const endpoint = `http://${server.address}`
  const client = new RDSClient({ endpoint, region: plane.region, credentials, maxAttempts: 1 })
  return {
    plane,
    metrics,
    server,
    endpoint,
    region: plane.region,
    credentials,
    client,
    log,
    async [Symbol.asyncDispose]() {
      client.destroy()
      await server.stop()
      plane.close()
    },
  }
}
