/** Windows for backup and maintenance: `04:30-05:00`, `sun:05:00-sun:05:30`, in UTC. */
import { invalidCombination, invalidValue } from '../api-error.ts'

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const DAY_MINUTES = 24 * 60
const WEEK_MINUTES = 7 * DAY_MINUTES
const LENGTH_MIN = 30
/** AWS: a window for maintenance is a day at most. */
const MAINTENANCE_MAX = DAY_MINUTES

interface Span {
  /** Minutes of the day or of the week. */
  readonly from: number
  readonly length: number
}

const timeOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d'
const BACKUP = new RegExp(`^(${TIME})-(${TIME})$`)
const MAINTENANCE = new RegExp(`^(${DAYS.join('|')}):(${TIME})-(${DAYS.join('|')}):(${TIME})$`)

function backupSpan(window: string): Span {
  const [, from = '', to = ''] = BACKUP.exec(window) ?? []
  if (to === '') throw invalidValue(`Invalid PreferredBackupWindow: ${window}. The format is hh24:mi-hh24:mi.`)
  return { from: timeOf(from), length: (timeOf(to) - timeOf(from) + DAY_MINUTES) % DAY_MINUTES }
}

function maintenanceSpan(window: string): Span {
  const [, firstDay = '', from = '', lastDay = '', to = ''] = MAINTENANCE.exec(window) ?? []
  if (to === '')
    throw invalidValue(`Invalid PreferredMaintenanceWindow: ${window}. The format is ddd:hh24:mi-ddd:hh24:mi.`)
  const minute = (day: string, time: string): number => DAYS.indexOf(day) * DAY_MINUTES + timeOf(time)
  const start = minute(firstDay, from)
  return { from: start, length: (minute(lastDay, to) - start + WEEK_MINUTES) % WEEK_MINUTES }
}

const overlap = (a: Span, b: Span): boolean =>
  (b.from - a.from + WEEK_MINUTES) % WEEK_MINUTES < a.length ||
  (a.from - b.from + WEEK_MINUTES) % WEEK_MINUTES < b.length

/** @returns in lower case; throws ApiError when it is no window, or too short */
export function backupWindow(given: string): string {
  const { length } = backupSpan(given)
  if (length < LENGTH_MIN) throw invalidValue(`The backup window must be at least ${LENGTH_MIN} minutes.`)
  return given
}

export function maintenanceWindow(given: string): string {
  const window = given.toLowerCase()
  const { length } = maintenanceSpan(window)
  if (length < LENGTH_MIN || length > MAINTENANCE_MAX)
    throw invalidValue(`The maintenance window must be at least ${LENGTH_MIN} minutes and at most 24 hours.`)
  return window
}

/** @throws ApiError when one falls into the other, on any day */
export function checkWindows(backup: string, maintenance: string): void {
  const daily = backupSpan(backup)
  const weekly = maintenanceSpan(maintenance)
  for (let day = 0; day < DAYS.length; day++) {
    if (overlap({ ...daily, from: day * DAY_MINUTES + daily.from }, weekly))
      throw invalidCombination('The backup window and maintenance window must not overlap.')
  }
}

const clock = (minutes: number): string =>
  `${`${Math.floor(minutes / 60) % 24}`.padStart(2, '0')}:${`${minutes % 60}`.padStart(2, '0')}`

/** As AWS does, of half an hour within eight of the night; spread by name, so that not all come at once. */
const NIGHT_FROM = 22 * 60
const NIGHT_SLOTS = 16

const slotOf = (name: string): number =>
  [...name].reduce((sum, character) => (sum * 31 + (character.codePointAt(0) ?? 0)) >>> 0, 7)

const halfHour = (slot: number): string => {
  const from = NIGHT_FROM + (slot % NIGHT_SLOTS) * LENGTH_MIN
  return `${clock(from)}-${clock(from + LENGTH_MIN)}`
}

export const defaultBackupWindow = (name: string): string => halfHour(slotOf(name))

/** Never that of the backup, whatever the day. */
export function defaultMaintenanceWindow(name: string): string {
  const slot = slotOf(name)
  const day = DAYS[Math.floor(slot / NIGHT_SLOTS) % DAYS.length] ?? ''
  // The one after midnight, so that both ends are on one day.
  const from = 6 * 60 + (slot % NIGHT_SLOTS) * LENGTH_MIN
  return `${day}:${clock(from)}-${day}:${clock(from + LENGTH_MIN)}`
}
