/** Which member of an endpoint gets the next connection. Pure. */

export interface Candidate {
  /** That it has, or is about to have. */
  readonly connections: number
  /** When it last took none; -Infinity: never. */
  readonly failedMs: number
  /** Which of all choices it was last, counted; 0: of none. */
  readonly chosen: number
}

/** A member that takes no connections is asked by no more than a few clients before the control plane knows. */
const SHUN_MS = 1000

/**
 * The one with the fewest connections; of several such the one that was not chosen for longest, so that connections that
 * come and go one after the other are spread too. One that has just failed comes after all others, and yet before nobody.
 * @returns undefined when all have been tried
 */
export function chooseMember<T extends Candidate>(
  members: readonly T[],
  tried: ReadonlySet<T>,
  nowMs: number,
): T | undefined {
  const isShunned = ({ failedMs }: T): number => (nowMs - failedMs < SHUN_MS ? 1 : 0)
  const order = (a: T, b: T): number =>
    isShunned(a) - isShunned(b) || a.connections - b.connections || a.chosen - b.chosen
  return members
    .filter((member) => !tried.has(member))
    .reduce<T | undefined>((best, each) => (best === undefined || order(each, best) < 0 ? each : best), undefined)
}
