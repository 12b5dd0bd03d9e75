/** Who is to be the writer next: the lowest promotion tier, then the largest, then who is furthest (User Guide, "Fault tolerance"). */

export interface Candidate {
  readonly name: string
  /** 0 to 15 */
  readonly tier: number
  readonly memoryBytes: number
  /** As PostgreSQL writes it, `1/A2B3C4D8`; null: unknown. */
  readonly walLsn: string | null
}

/** A position in the WAL as a number: the part before the slash counts 4 GiB. */
export function walPosition(text: string | null): number {
  const [, high = '', low = ''] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text ?? '') ?? []
  return high === '' ? -1 : Number.parseInt(high, 16) * 2 ** 32 + Number.parseInt(low, 16)
}

const before = (a: Candidate, b: Candidate): number =>
  a.tier - b.tier ||
  b.memoryBytes - a.memoryBytes ||
  walPosition(b.walLsn) - walPosition(a.walLsn) ||
  (a.name < b.name ? -1 : 1)

export const choosePromotion = (candidates: readonly Candidate[]): Candidate | undefined =>
  [...candidates].sort(before)[0]
