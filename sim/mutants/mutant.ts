/**
 * A rule of the volume, broken on purpose by one change of the source. A test that does not notice tests nothing.
 * The change is made in memory, in the process that runs the check: no file is touched.
 */
import { stripTypeScriptTypes } from 'node:module'

/** What has to notice. */
export type Runner =
  /** One of this many seeds of the simulator, beginning with `from`, has to fail. */
  | { readonly kind: 'seeds'; readonly from: number; readonly seeds: number }
  /** A test file has to fail. */
  | { readonly kind: 'test'; readonly file: string }

export interface Mutant {
  readonly name: string
  /** The rule that it breaks, as one sentence. */
  readonly rule: string
  /** From the root of the repository. */
  readonly file: string
  /** Text that is in the file exactly once. */
  readonly find: string
  readonly replace: string
  readonly runner: Runner
}

/** The file with the rule broken. @throws Error when the text to replace is not there exactly once, or does not parse */
export function mutate(mutant: Mutant, source: string): string {
  const occurrences = source.split(mutant.find).length - 1
  if (occurrences !== 1) {
    throw new Error(`mutant ${mutant.name}: its text is in ${mutant.file} ${occurrences} times instead of once`)
  }
  if (mutant.find === mutant.replace) throw new Error(`mutant ${mutant.name} changes nothing`)
  const changed = source.replace(mutant.find, () => mutant.replace)
  // A mutant that does not even load would be "noticed" by anything.
  stripTypeScriptTypes(changed)
  return changed
}
