/** Waiting for something to become true, with a deadline, instead of sleeping and hoping. */

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const POLL_MS = 10

/**
 * Resolves with the first answer of `condition` that is neither undefined nor false.
 * @param what for the error: what was waited for
 */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 30_000,
): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const answer = await condition()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs / 1000} s`)
    await pause(POLL_MS)
  }
}

/** The seed of a random test: from the environment to repeat a run, else from the clock. It is printed either way. */
export function printedSeed(name: string): number {
  const given = Number(process.env.BOREALIS_SEED)
  const seed = Number.isSafeInteger(given) && given > 0 ? given : Date.now() % 0x7fff_ffff
  console.log(`${name}: BOREALIS_SEED=${seed}`)
  return seed
}
