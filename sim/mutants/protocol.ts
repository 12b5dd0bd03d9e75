/** Mutants of `src/protocol`. */
import type { Mutant } from './mutant.ts'

type Change = Pick<Mutant, 'name' | 'rule' | 'find' | 'replace'>

const of =
  (file: string, test: string) =>
  (change: Change): Mutant => ({
    ...change,
    file: `src/protocol/${file}`,
    runner: { kind: 'test', file: `src/protocol/${test}` },
  })

const group = of('group.ts', 'group.test.ts')
const quorum = of('quorum.ts', 'group.test.ts')
const record = of('record.ts', 'record.test.ts')
const delta = of('delta.ts', 'record.test.ts')
const chain = of('chain.ts', 'chain.test.ts')
const durability = of('durability.ts', 'durability.test.ts')
const recovery = of('recovery.ts', 'recovery.test.ts')
const truncation = of('truncation.ts', 'recovery.test.ts')

export const PROTOCOL_MUTANTS: readonly Mutant[] = [
  group({
    name: 'write quorum of three',
    rule: 'A write is durable on four of six copies or on all full ones.',
    find: 'WRITE_COPIES = 4',
    replace: 'WRITE_COPIES = 3',
  }),
  group({
    name: 'any full copy makes a write quorum',
    rule: 'A write is durable on four of six copies or on all full ones.',
    find: 'allOf(full.map(member))',
    replace: 'anyOf(full.map(member))',
  }),
  group({
    name: 'joint write needs one of the sets',
    rule: 'While a membership changes, a write is durable in the old six and in the new.',
    find: 'allOf(config.sets.map(',
    replace: 'anyOf(config.sets.map(',
  }),
  group({
    name: 'read quorum like a write quorum',
    rule: 'A read quorum is the dual of the write quorum.',
    find: 'dual(writeQuorum(config))',
    replace: 'writeQuorum(config)',
  }),
  group({
    name: 'settle keeps the epoch',
    rule: 'Every membership has an epoch of its own.',
    find: 'return { group: config.group, epoch: config.epoch + 1, members, sets: [members.map((_, index) => index)] }',
    replace: 'return { group: config.group, epoch: config.epoch, members, sets: [members.map((_, index) => index)] }',
  }),
  group({
    name: 'settle forward goes back',
    rule: 'A change that ends forward leaves the new six.',
    find: "direction === 'forward' ?",
    replace: "direction === 'back' ?",
  }),
  group({
    name: 'change on top of a change',
    rule: 'One change of a membership at a time.',
    find: "if (isJoint(config)) throw new VolumeError('Conflict'",
    replace: "if (config.sets.length > 2) throw new VolumeError('Conflict'",
  }),
  quorum({
    name: 'one member short',
    rule: 'At least k of n means k.',
    find: 'return count >= quorum.atLeast',
    replace: 'return count >= quorum.atLeast - 1',
  }),
  quorum({
    name: 'dual is one short',
    rule: 'Every read quorum meets every write quorum.',
    find: 'quorum.of.length - quorum.atLeast + 1',
    replace: 'quorum.of.length - quorum.atLeast',
  }),
  quorum({
    name: 'reached by the next highest',
    rule: 'The durable point of a group is the k-th highest SCL.',
    find: 'highest[needed - 1] as number',
    replace: 'highest[Math.max(0, needed - 2)] as number',
  }),
  record({
    name: 'checksum not compared',
    rule: 'A record that does not match its checksum is refused.',
    find: 'if (crc32(bytes.subarray(offset + 4, end)) !== view.getUint32(offset, true)) {',
    replace: 'if (payloadLength < 0) {',
  }),
  record({
    name: 'checksum of the header alone',
    rule: 'The checksum of a record covers its payload.',
    find: 'view.setUint32(offset, crc32(into.subarray(offset + 4, end)), true)',
    replace: 'view.setUint32(offset, crc32(into.subarray(offset + 4, offset + RECORD_HEADER_BYTES)), true)',
  }),
  record({
    name: 'visible at its own LSN',
    rule: 'A record is visible from the end of its mini-transaction on.',
    find: '(record.lsn + record.toCpl) as Lsn',
    replace: 'record.lsn',
  }),
  delta({
    name: 'last word of a granule not compared',
    rule: 'A delta carries every granule that differs.',
    find: '((a[w + 3] as number) ^ (b[w + 3] as number))) ===',
    replace: '0) ===',
  }),
  delta({
    name: 'delta applied one granule early',
    rule: 'A delta is applied where it was taken.',
    find: 'block.set(payload.subarray(from, to), first * GRANULE_BYTES)',
    replace: 'block.set(payload.subarray(from, to), Math.max(0, first - 1) * GRANULE_BYTES)',
  }),
  delta({
    name: 'sparse full keeps old bytes',
    rule: 'A sparse full record starts from zeros.',
    find: `if (record.flags & FLAG_SPARSE) {
        block.fill(0)`,
    replace: 'if (record.flags & FLAG_SPARSE) {',
  }),
  chain({
    name: 'gap taken for chained',
    rule: 'SCL is the end of the log without a gap.',
    find: 'if (record.prevGroup !== this.#scl) {',
    replace: 'if (record.prevGroup > this.#scl + 400) {',
  }),
  chain({
    name: 'SCL beyond a gap',
    rule: 'SCL is the end of the log without a gap.',
    find: `  get scl(): Lsn {
    return this.#scl`,
    replace: `  get scl(): Lsn {
    return this.#highest`,
  }),
  chain({
    name: 'record taken twice',
    rule: 'A record that comes again is known.',
    find: "if (record.lsn <= this.#scl) return 'known'",
    replace: '',
  }),
  chain({
    name: 'waiting records stay behind',
    rule: 'Records that came early are chained once the gap closes.',
    find: 'next = this.#waiting.get(this.#scl)) {',
    replace: 'next = undefined) {',
  }),
  chain({
    name: 'restart keeps what was cut',
    rule: 'A truncation drops waiting records that it annuls.',
    find: '[...this.#waiting.values()].filter(keeps)',
    replace: '[...this.#waiting.values()]',
  }),
  durability({
    name: 'VDL at any record',
    rule: 'The VDL is a consistency point.',
    find: 'if (stretch.isCpl) {',
    replace: 'if (stretch.lsn > 0) {',
  }),
  durability({
    name: 'VCL over a gap in another group',
    rule: 'The VCL is below the first record without a quorum.',
    find: '< stretch.lsn) break',
    replace: '< stretch.lsn) continue',
  }),
  durability({
    name: 'points of groups ahead of the VDL',
    rule: "A group's point is its last record at or below the VDL.",
    find: `this.#uncommitted.push(stretch)
`,
    replace: `this.#uncommitted.push(stretch)
      this.#points.set(stretch.group, stretch.lsn)
`,
  }),
  recovery({
    name: 'recovery ends inside a mini-transaction',
    rule: 'A recovery ends at a consistency point.',
    find: 'if (record.toCpl === 0) vdl = vcl',
    replace: 'vdl = vcl',
  }),
  recovery({
    name: 'recovery revives annulled records',
    rule: 'What one recovery annulled no later one brings back.',
    find: ' && !isAnnulled(truncations, summary.lsn)',
    replace: '',
  }),
  truncation({
    name: 'only the last truncation',
    rule: 'Every truncation counts, as a copy may have missed several.',
    find: 'truncations.find((t) =>',
    replace: 'truncations.slice(-1).find((t) =>',
  }),
  truncation({
    name: 'truncation spares its last LSN',
    rule: 'A truncation annuls (from, to].',
    find: 'at <= t.to',
    replace: 'at < t.to',
  }),
  truncation({
    name: 'truncation takes the VDL with it',
    rule: 'A truncation annuls (from, to].',
    find: 'at > t.from',
    replace: 'at >= t.from',
  }),
]
