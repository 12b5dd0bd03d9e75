/** DB instance classes: Aurora's names, with the processors and the memory that they stand for. */
export interface InstanceClass {
  readonly name: string
  readonly vcpus: number
  readonly memoryBytes: number
}

const GIB = 1 << 30

/** Sizes of a family of memory-optimised classes: each doubles the one before. */
const R_SIZES = [
  ['large', 2],
  ['xlarge', 4],
  ['2xlarge', 8],
  ['4xlarge', 16],
  ['8xlarge', 32],
  ['16xlarge', 64],
] as const

const rFamily = (family: string): InstanceClass[] =>
  R_SIZES.map(([size, vcpus]) => ({ name: `db.${family}.${size}`, vcpus, memoryBytes: vcpus * 8 * GIB }))

const burstable = (family: string): InstanceClass[] => [
  // The two smallest are RDS's, not Aurora's: for machines that are small themselves.
  { name: `db.${family}.micro`, vcpus: 2, memoryBytes: GIB },
  { name: `db.${family}.small`, vcpus: 2, memoryBytes: 2 * GIB },
  { name: `db.${family}.medium`, vcpus: 2, memoryBytes: 4 * GIB },
  { name: `db.${family}.large`, vcpus: 2, memoryBytes: 8 * GIB },
]

/** Smallest first within a family. */
export const INSTANCE_CLASSES: readonly InstanceClass[] = ['t3', 't4g']
  .flatMap(burstable)
  .concat(['r5', 'r6g', 'r6i', 'r7g', 'r7i', 'r8g'].flatMap(rFamily))

const BY_NAME: ReadonlyMap<string, InstanceClass> = new Map(INSTANCE_CLASSES.map((each) => [each.name, each]))

export const instanceClass = (name: string): InstanceClass | undefined => BY_NAME.get(name)
