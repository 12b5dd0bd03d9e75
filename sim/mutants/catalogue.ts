/** All mutants. Add one whenever a rule is added, in the file of its house. */
import { DAMAGE_MUTANTS } from './damage.ts'
import type { Mutant } from './mutant.ts'
import { PROTOCOL_MUTANTS } from './protocol.ts'
import { SEED_MUTANTS } from './seeds.ts'
import { STORAGE_MUTANTS } from './storage.ts'
import { VOLUME_MUTANTS } from './volume.ts'

export const MUTANTS: readonly Mutant[] = [
  ...PROTOCOL_MUTANTS,
  ...STORAGE_MUTANTS,
  ...DAMAGE_MUTANTS,
  ...VOLUME_MUTANTS,
  ...SEED_MUTANTS,
]
