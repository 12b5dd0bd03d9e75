/**
 * Mutants that seeds have to notice. Some break rules between processes, which no test of one part can see; the others
 * are noticed by tests too, and say that the simulator would see them. A range of seeds begins a little before the
 * first that failed when the mutant was added.
 */
import type { Mutant } from './mutant.ts'
import { STORAGE_MUTANTS } from './storage.ts'
import { VOLUME_MUTANTS } from './volume.ts'

/** A mutant of another file, noticed by seeds. */
function bySeeds(name: string, from: number, seeds: number): Mutant {
  const mutant = [...STORAGE_MUTANTS, ...VOLUME_MUTANTS].find((each) => each.name === name)
  if (mutant === undefined) throw new Error(`no mutant ${name}`)
  return { ...mutant, name: `${name}, by seeds`, runner: { kind: 'seeds', from, seeds } }
}

export const SEED_MUTANTS: readonly Mutant[] = [
  bySeeds('acknowledged before it is durable', 5, 8),
  bySeeds('state not synced', 5, 8),
  bySeeds('fence promises nothing', 1, 10),
  bySeeds('nothing cut', 22, 6),
  bySeeds('complete without a quorum', 1, 10),
  bySeeds('cutoff not checked', 1, 10),
  bySeeds('pins collected', 197, 5),
  bySeeds('sync answered early', 1, 10),
  bySeeds('trimmed block stays known', 8, 8),
]
