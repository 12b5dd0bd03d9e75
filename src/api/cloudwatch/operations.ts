/** What CloudWatch is asked for: which metrics there are, and their values. */
import type {
  Datapoint,
  Dimension,
  GetMetricDataInput,
  GetMetricDataOutput,
  GetMetricStatisticsInput,
  GetMetricStatisticsOutput,
  ListMetricsInput,
  ListMetricsOutput,
  Metric,
  MetricDataQuery,
  MetricDataResult,
} from '@aws-sdk/client-cloudwatch'
import { DAY_MS, type MetricHistory, type MetricSeries, type Statistics } from '../../cluster/metric-history.ts'
import { ApiError, invalidCombination, invalidValue, missingParameter } from '../api-error.ts'

const NAMESPACE = 'AWS/RDS'
const MINUTE_SECONDS = 60

export interface MetricsCall {
  readonly metrics: MetricHistory
  readonly nowMs: number
}

const dimensionsShown = ({ dimensions }: MetricSeries): Dimension[] =>
  Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value }))

const shown = (series: MetricSeries): Metric => ({
  Namespace: NAMESPACE,
  MetricName: series.metric,
  Dimensions: dimensionsShown(series),
})

export function listMetrics(input: ListMetricsInput, { metrics, nowMs }: MetricsCall): ListMetricsOutput {
  const { Namespace: namespace, MetricName: name, Dimensions: wanted = [] } = input
  if (namespace !== undefined && namespace !== NAMESPACE) return { Metrics: [] }
  const found = metrics.series(nowMs - DAY_MS).filter(
    ({ metric, dimensions }) =>
      (name === undefined || name === metric) &&
      wanted.every(({ Name = '', Value }) => {
        const value = Object.hasOwn(dimensions, Name) ? dimensions[Name] : undefined
        return value !== undefined && (Value === undefined || Value === value)
      }),
  )
  return { Metrics: found.map(shown) }
}

const STATISTICS: Readonly<Record<string, (statistics: Statistics) => number>> = {
  Average: ({ sum, count }) => sum / count,
  Sum: ({ sum }) => sum,
  Minimum: ({ least }) => least,
  Maximum: ({ most }) => most,
  SampleCount: ({ count }) => count,
}

function statisticNamed(name: string): (statistics: Statistics) => number {
  const statistic = Object.hasOwn(STATISTICS, name) ? STATISTICS[name] : undefined
  if (statistic === undefined)
    throw invalidValue(`The statistic ${name} is not supported: ${Object.keys(STATISTICS).join(', ')} are.`)
  return statistic
}

/** The one that is meant: all of its dimensions, and no others. */
function seriesOf(
  { metrics, nowMs }: MetricsCall,
  metric: string,
  dimensions: readonly Dimension[],
): MetricSeries | undefined {
  const wanted = new Map(dimensions.map(({ Name, Value }) => [Name, Value]))
  return metrics
    .series(nowMs - DAY_MS)
    .find(
      (series) =>
        series.metric === metric &&
        Object.keys(series.dimensions).length === wanted.size &&
        Object.entries(series.dimensions).every(([name, value]) => wanted.get(name) === value),
    )
}

interface Asked {
  readonly metric: string
  readonly dimensions: readonly Dimension[]
  readonly period: number
  readonly from: Date | undefined
  readonly to: Date | undefined
}

function statisticsOf(call: MetricsCall, { metric, dimensions, period, from, to }: Asked) {
  if (!Number.isInteger(period) || period <= 0 || period % MINUTE_SECONDS !== 0)
    throw invalidValue(`The period ${period} is not supported: it is a multiple of ${MINUTE_SECONDS} seconds.`)
  if (from === undefined || to === undefined) throw missingParameter(from === undefined ? 'StartTime' : 'EndTime')
  if (from >= to) throw invalidCombination('The parameter StartTime must be less than the parameter EndTime.')
  const series = seriesOf(call, metric, dimensions)
  const found = series && call.metrics.statistics(series, from.getTime(), to.getTime(), period * 1000)
  return { unit: series?.unit, statistics: found ?? [] }
}

export function getMetricStatistics(input: GetMetricStatisticsInput, call: MetricsCall): GetMetricStatisticsOutput {
  const { MetricName: metric = '', Dimensions: dimensions = [], Period: period = 0 } = input
  const of = { metric: input.Namespace === NAMESPACE ? metric : '', dimensions, period }
  const wanted = (input.Statistics ?? []).map((name) => [name, statisticNamed(name)] as const)
  if (wanted.length === 0) throw missingParameter('Statistics')
  const { unit, statistics } = statisticsOf(call, { ...of, from: input.StartTime, to: input.EndTime })
  const points = statistics.map(
    (each): Datapoint => ({
      Timestamp: new Date(each.atMs),
      Unit: unit,
      ...Object.fromEntries(wanted.map(([name, statistic]) => [name, statistic(each)])),
    }),
  )
  return { Label: metric, Datapoints: points }
}

function result(query: MetricDataQuery, input: GetMetricDataInput, call: MetricsCall): MetricDataResult {
  const { Id, Label, MetricStat: stat } = query
  if (stat === undefined)
    throw new ApiError('ValidationError', 400, `The query ${Id} has no MetricStat: expressions are not supported.`)
  const {
    Metric: { Namespace, MetricName = '', Dimensions: dimensions = [] } = {},
    Period: period = 0,
    Stat = '',
  } = stat
  const statistic = statisticNamed(Stat)
  const metric = Namespace === NAMESPACE ? MetricName : ''
  const { statistics } = statisticsOf(call, { metric, dimensions, period, from: input.StartTime, to: input.EndTime })
  const ordered = input.ScanBy === 'TimestampAscending' ? statistics : statistics.toReversed()
  return {
    Id,
    Label: Label ?? MetricName,
    Timestamps: ordered.map(({ atMs }) => new Date(atMs)),
    Values: ordered.map(statistic),
    StatusCode: 'Complete',
  }
}

export function getMetricData(input: GetMetricDataInput, call: MetricsCall): GetMetricDataOutput {
  const queries = (input.MetricDataQueries ?? []).filter(({ ReturnData }) => ReturnData !== false)
  return { MetricDataResults: queries.map((query) => result(query, input, call)), Messages: [] }
}
