/** The API: how long describing takes, and how many requests a second one core answers */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { type Signing, signedHeaders } from '../test/signed-request.ts'
import type { Bench, BenchRow } from './table.ts'

const CLUSTERS = 40
const INSTANCES = 200
const CLIENTS = 16
const WARM_MS = 1500
const MEASURE_MS = 5000

const REQUESTS = [
  { name: 'one cluster', form: 'Action=DescribeDBClusters&Version=2014-10-31&DBClusterIdentifier=cluster-7' },
  { name: 'all 40 clusters', form: 'Action=DescribeDBClusters&Version=2014-10-31' },
  { name: 'one instance', form: 'Action=DescribeDBInstances&Version=2014-10-31&DBInstanceIdentifier=instance-7' },
  { name: '100 of 200 instances', form: 'Action=DescribeDBInstances&Version=2014-10-31' },
] as const

const answerOf = async <T>(server: ChildProcess): Promise<T> => (await once(server, 'message'))[0] as T

async function cpuMicros(server: ChildProcess): Promise<number> {
  const answer = answerOf<{ cpuMicros: number }>(server)
  server.send({})
  return (await answer).cpuMicros
}

/** @returns how long it took, in milliseconds */
function post(endpoint: string, agent: Agent, headers: Record<string, string>, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now()
    const sent = request(endpoint, { method: 'POST', agent, headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`the API answered ${response.statusCode}`))
      response.once('end', () => resolve(performance.now() - startedMs)).resume()
    })
    sent.once('error', reject).end(body)
  })
}

interface Load {
  readonly api: Signing
  readonly server: ChildProcess
  readonly agent: Agent
  readonly form: string
  readonly clients: number
}

interface Measured {
  readonly latenciesMs: readonly number[]
  readonly perSecond: number
  readonly cpuMs: number
}

async function measure({ api, server, agent, form, clients }: Load): Promise<Measured> {
  // One signature is good for fifteen minutes, and the server verifies it each time: what is measured is the server.
  const headers = await signedHeaders(api, form)
  const run = async (forMs: number): Promise<number[]> => {
    const end = performance.now() + forMs
    const latencies: number[] = []
    const client = async (): Promise<void> => {
      while (performance.now() < end) latencies.push(await post(api.endpoint, agent, headers, form))
    }
    await Promise.all(Array.from({ length: clients }, client))
    return latencies
  }
  await run(WARM_MS)
  const before = await cpuMicros(server)
  const startedMs = performance.now()
  const latenciesMs = (await run(MEASURE_MS)).sort((a, b) => a - b)
  const seconds = (performance.now() - startedMs) / 1000
  const cpuMs = ((await cpuMicros(server)) - before) / 1000 / latenciesMs.length
  return { latenciesMs, perSecond: latenciesMs.length / seconds, cpuMs }
}

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

export const run: Bench = async ({ log }) => {
  const server = fork(join(import.meta.dirname, 'api', 'server-main.ts'), [`${CLUSTERS}`, `${INSTANCES}`])
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
  try {
    const api = await answerOf<Signing>(server)
    const rows: BenchRow[] = []
    for (const clients of [1, CLIENTS]) {
      for (const { name, form } of REQUESTS) {
        log(`${name}, ${clients} clients`)
        const { latenciesMs, perSecond, cpuMs } = await measure({ api, server, agent, form, clients })
        const [p50, p99] = [quantile(latenciesMs, 0.5), quantile(latenciesMs, 0.99)]
        rows.push({
          name: `${name}, ${clients} client${clients > 1 ? 's' : ''}`,
          values: [p50, p99, perSecond, cpuMs, 1000 / cpuMs],
        })
      }
    }
    return [
      {
        title: `The API, with ${CLUSTERS} clusters and ${INSTANCES} instances`,
        compared: 'describing one thing with describing many, by one client at a time and by sixteen',
        settings: { clusters: CLUSTERS, instances: INSTANCES, seconds: MEASURE_MS / 1000, signatures: 'verified' },
        columns: [
          { name: 'p50', unit: 'ms' },
          { name: 'p99', unit: 'ms' },
          { name: 'requests', unit: '1/s' },
          { name: 'processor', unit: 'ms/request' },
          { name: 'of one core', unit: '1/s' },
        ],
        ratio: { column: 'processor', baseline: 'one cluster, 1 client', better: 'lower' },
        rows,
        notes: [
          'the control plane is one in memory, in a process of its own with the API; clients are in another',
          '"of one core" is what the processor time of the server comes to, whatever else the machine does',
        ],
      },
    ]
  } finally {
    agent.destroy()
    server.disconnect()
  }
}
