/** Operations on events. */
import type {
  DescribeEventCategoriesMessage,
  DescribeEventsMessage,
  EventCategoriesMessage,
  EventsMessage,
} from '@aws-sdk/client-rds'
import { EVENT_CATEGORIES, type EventSource } from '../../cluster/event-catalog.ts'
import { eventsBetween } from '../../cluster/events.ts'
import { invalidCombination, invalidValue } from '../api-error.ts'
import type { Operation } from './call.ts'
import { filtered, page } from './pages.ts'

const MINUTE_MS = 60_000
const DEFAULT_MINUTES = 60
const MINUTES_MAX = 14 * 24 * 60

const isSource = (text: string): text is EventSource => Object.hasOwn(EVENT_CATEGORIES, text)

function sourceGiven(given: string | undefined): EventSource | undefined {
  if (given !== undefined && !isSource(given)) throw invalidValue(`Invalid event source type: ${given}`)
  return given
}

interface TimeSpan {
  readonly fromMs: number
  readonly toMs: number
}

function spanGiven({ StartTime, EndTime, Duration }: DescribeEventsMessage, nowMs: number): TimeSpan {
  if (Duration !== undefined && (!(Duration > 0) || Duration > MINUTES_MAX))
    throw invalidValue(`Invalid duration: ${Duration}. It is a number of minutes up to ${MINUTES_MAX}.`)
  const lengthMs = (Duration ?? DEFAULT_MINUTES) * MINUTE_MS
  const start = StartTime?.getTime()
  const end = EndTime?.getTime()
  if (start !== undefined && end !== undefined && start > end)
    throw invalidCombination('The start time must be before the end time.')
  if (start !== undefined) return { fromMs: start, toMs: end ?? (Duration === undefined ? nowMs : start + lengthMs) }
  return { fromMs: (end ?? nowMs) - lengthMs, toMs: end ?? nowMs }
}

export const describeEvents: Operation<DescribeEventsMessage, EventsMessage> = (input, { plane, nowMs }) => {
  const { SourceIdentifier: source, EventCategories: categories = [] } = input
  const type = sourceGiven(input.SourceType)
  if (source !== undefined && type === undefined)
    throw invalidCombination('SourceType is required when SourceIdentifier is specified.')
  const { fromMs, toMs } = spanGiven(input, nowMs)
  const events = eventsBetween(plane.database, fromMs, toMs).filter(
    (event) =>
      (type === undefined || event.sourceType === type) &&
      (source === undefined || event.source === source.toLowerCase()) &&
      (categories.length === 0 || categories.some((category) => event.categories.includes(category))),
  )
  // Numbers as texts of one length sort as numbers do.
  const { items, marker } = page(filtered(events, input, {}), input, ({ number }) => `${number}`.padStart(16, '0'))
  return {
    Marker: marker,
    Events: items.map((event) => ({
      SourceIdentifier: event.source,
      SourceType: event.sourceType,
      Message: event.message,
      EventCategories: [...event.categories],
      Date: new Date(event.atMs),
      SourceArn: event.arn,
    })),
  }
}

export const describeEventCategories: Operation<DescribeEventCategoriesMessage, EventCategoriesMessage> = (input) => {
  const wanted = sourceGiven(input.SourceType)
  const all = Object.entries(EVENT_CATEGORIES).filter(([source]) => wanted === undefined || source === wanted)
  const maps = all.map(([SourceType, categories]) => ({ SourceType, EventCategories: [...categories] }))
  return { EventCategoriesMapList: filtered(maps, input, {}).slice() }
}
