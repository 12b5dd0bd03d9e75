/** Maintenance windows: `sun:04:00-sun:04:30`, in UTC, once a week. */

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const DAY_MINUTES = 24 * 60
const WEEK_MINUTES = 7 * DAY_MINUTES

/** Minutes since the week began. */
function minuteOf(day: string, hours: string, minutes: string): number {
  return DAYS.indexOf(day) * DAY_MINUTES + Number(hours) * 60 + Number(minutes)
}

/** @param window false for one that is none */
export function isInWindow(window: string, now: Date): boolean {
  const [, day1 = '', hours1 = '', minutes1 = '', day2 = '', hours2 = '', minutes2 = ''] =
    /^([a-z]{3}):(\d\d):(\d\d)-([a-z]{3}):(\d\d):(\d\d)$/.exec(window.toLowerCase()) ?? []
  if (day1 === '') return false
  const start = minuteOf(day1, hours1, minutes1)
  const length = (minuteOf(day2, hours2, minutes2) - start + WEEK_MINUTES) % WEEK_MINUTES
  const at = now.getUTCDay() * DAY_MINUTES + now.getUTCHours() * 60 + now.getUTCMinutes()
  return (at - start + WEEK_MINUTES) % WEEK_MINUTES < length
}
