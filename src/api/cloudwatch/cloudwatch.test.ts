import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  CloudWatchClient,
  GetMetricDataCommand,
  GetMetricStatisticsCommand,
  ListMetricsCommand,
} from '@aws-sdk/client-cloudwatch'
import { SmithyRpcV2CborProtocol } from '@smithy/core/cbor'
import { startApi, type TestApi } from '../../../test/api-server.ts'
import { answered, send, signedHeaders } from '../../../test/signed-request.ts'

const MINUTE_MS = 60_000
const NOW = Date.parse('2026-11-20T15:00:00Z')
const MONITORING = { service: 'monitoring' }
const Dimensions = [{ Name: 'DBInstanceIdentifier', Value: 'demo-2' }]
const Metric = { Namespace: 'AWS/RDS', MetricName: 'AuroraReplicaLag', Dimensions }

describe('CloudWatch', () => {
  let api: TestApi
  let client: CloudWatchClient
  before(async () => {
    api = await startApi()
    const { endpoint, region, credentials } = api
    client = new CloudWatchClient({ endpoint, region, credentials, maxAttempts: 1 })
    const start = Date.now() - 10 * MINUTE_MS
    for (let minute = 0; minute < 10; minute++)
      api.metrics.record(
        start + minute * MINUTE_MS,
        { metric: 'AuroraReplicaLag', unit: 'Milliseconds', dimensions: { DBInstanceIdentifier: 'demo-2' } },
        minute,
      )
  })
  after(async () => {
    assert.deepEqual(api.log, [])
    client.destroy()
    await api[Symbol.asyncDispose]()
  })
  const span = () => ({ StartTime: new Date(Date.now() - 60 * MINUTE_MS), EndTime: new Date(Date.now() + MINUTE_MS) })

  it('lists what was measured, to AWS’s own client', async () => {
    const { Metrics } = await client.send(new ListMetricsCommand({ Namespace: 'AWS/RDS' }))
    assert.deepEqual(Metrics, [Metric])
    assert.deepEqual((await client.send(new ListMetricsCommand({ Namespace: 'AWS/EC2' }))).Metrics, [])
    const other = [{ Name: 'DBInstanceIdentifier', Value: 'demo-1' }]
    assert.deepEqual((await client.send(new ListMetricsCommand({ Dimensions: other }))).Metrics, [])
  })

  it('gives values, the newest first or the oldest', async () => {
    const MetricDataQueries = [{ Id: 'lag', MetricStat: { Metric, Period: 60, Stat: 'Maximum' } }]
    const { MetricDataResults } = await client.send(new GetMetricDataCommand({ ...span(), MetricDataQueries }))
    assert.deepEqual(MetricDataResults?.[0]?.Values, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert.equal(
      MetricDataResults[0].Timestamps?.[0]?.getTime(),
      (MetricDataResults[0].Timestamps?.[1]?.getTime() ?? 0) + MINUTE_MS,
    )
    const ascending = new GetMetricDataCommand({ ...span(), MetricDataQueries, ScanBy: 'TimestampAscending' })
    assert.equal((await client.send(ascending)).MetricDataResults?.[0]?.Values?.[0], 0)
  })

  it('and statistics of them', async () => {
    const command = new GetMetricStatisticsCommand({
      ...Metric,
      ...span(),
      Period: 3600,
      Statistics: ['Sum', 'SampleCount'],
    })
    const { Datapoints = [] } = await client.send(command)
    const total = (pick: 'Sum' | 'SampleCount') => Datapoints.reduce((sum, point) => sum + (point[pick] ?? 0), 0)
    assert.deepEqual([total('Sum'), total('SampleCount')], [45, 10])
    assert.equal(Datapoints[0]?.Unit, 'Milliseconds')
  })

  it('refuses what it cannot', async () => {
    const statistics = { ...Metric, ...span(), Period: 60 }
    await assert.rejects(client.send(new GetMetricStatisticsCommand({ ...statistics, Statistics: ['p99' as 'Sum'] })), {
      message: /p99 is not supported/,
    })
    const expression = [{ Id: 'e', Expression: 'SUM(METRICS())' }]
    await assert.rejects(client.send(new GetMetricDataCommand({ ...span(), MetricDataQueries: expression })), {
      message: /expressions are not supported/,
    })
  })

  it('speaks CBOR', async () => {
    const { endpoint, region, credentials } = api
    const protocol = SmithyRpcV2CborProtocol
    const other = new CloudWatchClient({ endpoint, region, credentials, maxAttempts: 1, protocol })
    const MetricDataQueries = [{ Id: 'lag', MetricStat: { Metric, Period: 60, Stat: 'Sum' } }]
    const { MetricDataResults } = await other.send(new GetMetricDataCommand({ ...span(), MetricDataQueries }))
    assert.equal(MetricDataResults?.[0]?.Values?.length, 10)
    assert.ok(MetricDataResults[0].Timestamps?.[0] instanceof Date)
    const wrong = new GetMetricDataCommand({ MetricDataQueries, StartTime: new Date(), EndTime: new Date(0) })
    await assert.rejects(other.send(wrong), { message: /must be less than/ })
    other.destroy()
  })

  it('speaks AWS JSON', async () => {
    const target = {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': 'GraniteServiceVersion20100801.ListMetrics',
    }
    const ask = async (body: string) => {
      const headers = await signedHeaders(api, body, { ...MONITORING, headers: target })
      return fetch(api.endpoint, { method: 'POST', headers, body })
    }
    assert.deepEqual(await (await ask('{"Namespace":"AWS/RDS"}')).json(), { Metrics: [Metric] })
    const refused = await ask('{"Namespace":7}')
    assert.equal(refused.status, 400)
    assert.equal(refused.headers.get('x-amzn-query-error'), 'MalformedInput;Sender')
    assert.equal((await answered(await ask('{'))).status, 400)
  })

  it('speaks the query protocol', async () => {
    const { text } = await send(api, 'Action=ListMetrics&Version=2010-08-01', MONITORING)
    assert.match(text, /<MetricName>AuroraReplicaLag<\/MetricName>/)
    const from = new Date(NOW).toISOString()
    const form = `Action=GetMetricStatistics&Namespace=AWS/RDS&MetricName=x&StartTime=${from}&EndTime=${from}&Period=60&Statistics.member.1=Sum`
    assert.equal((await send(api, form, MONITORING)).code, 'InvalidParameterCombination')
  })

  it('/metrics is for Prometheus', async () => {
    const text = await (await fetch(`${api.endpoint}/metrics`)).text()
    assert.match(text, /^borealis_api_request_seconds_count\{service="monitoring",status="200"\} \d+$/m)
  })
})
