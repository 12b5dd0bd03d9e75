/** Which instances of a cluster an endpoint leads to just now, by the rules of Aurora. Pure. */

export interface EndpointInstance {
  readonly name: string
  readonly role: 'writer' | 'reader'
  /** Takes connections. */
  readonly available: boolean
}

export interface CustomMembership {
  readonly type: 'READER' | 'WRITER' | 'ANY'
  /** These and no others; with none of them: all, also those that come later. Names may be of instances that are gone. */
  readonly staticMembers: readonly string[]
  /** Never these. */
  readonly excludedMembers: readonly string[]
}

const ROLE_OF = { READER: 'reader', WRITER: 'writer', ANY: undefined } as const

/** Of a custom endpoint. The lists stay as they are when roles change: what has the wrong role is left out meanwhile. */
export function customMembers<T extends EndpointInstance>(
  { type, staticMembers, excludedMembers }: CustomMembership,
  instances: readonly T[],
): readonly T[] {
  const wanted = ROLE_OF[type]
  return instances.filter(
    ({ name, role, available }) =>
      available &&
      (wanted === undefined || role === wanted) &&
      (staticMembers.length === 0 || staticMembers.includes(name)) &&
      !excludedMembers.includes(name),
  )
}

/**
 * Of the reader endpoint: the readers. While there is none the writer, whether it takes connections or not: a client that
 * is refused tries again, one that is told that there is no such host may remember it.
 */
export function readerMembers<T extends EndpointInstance>(instances: readonly T[]): readonly T[] {
  const readers = instances.filter(({ role, available }) => role === 'reader' && available)
  return readers.length > 0 ? readers : instances.filter(({ role }) => role === 'writer')
}
