/** Mutants of `src/volume`. */
import type { Mutant } from './mutant.ts'

type Change = Pick<Mutant, 'name' | 'rule' | 'find' | 'replace'>

const of =
  (file: string, test: string) =>
  (change: Change): Mutant => ({
    ...change,
    file: `src/volume/${file}`,
    runner: { kind: 'test', file: test },
  })

const record = of('volume-record.ts', 'src/volume/volume-record.test.ts')
const retention = of('volume-retention.ts', 'src/volume/volume-retention.test.ts')
const group = of('replica-group.ts', 'src/volume/replica-group.test.ts')
const replication = of('replication.ts', 'src/volume/replication.test.ts')
const open = of('open.ts', 'test/features/doubt.test.ts')
const membership = of('membership.ts', 'test/features/membership.test.ts')
const changes = of('membership.ts', 'test/features/membership-fencing.test.ts')
const writer = of('writer.ts', 'test/features/writing.test.ts')

export const VOLUME_MUTANTS: readonly Mutant[] = [
  record({
    name: 'claimed epoch in force',
    rule: 'An epoch is in force once its truncation is recorded.',
    find: 'volume.truncations.at(-1)?.epoch ?? 0',
    replace: 'volume.epoch',
  }),
  retention({
    name: 'leases do not hold the cutoff',
    rule: 'What an open view reads is kept.',
    find: 'leases.reduce((lowest, lease) => minLsn(lowest, lease.lsn), to)',
    replace: 'to',
  }),
  group({
    name: 'nothing sent again',
    rule: 'A member that makes no progress is asked, and handed what it lost.',
    find: `    this.asked(replica)
    return true`,
    replace: '    return false',
  }),
  group({
    name: 'question without consequence',
    rule: 'A member that makes no progress is asked, and handed what it lost.',
    find: "if (replica.handing === 'held' || isStuck || at > replica.handed) replica.handed = at",
    replace: "if (replica.handing === 'held' || at > replica.handed) replica.handed = at",
  }),
  group({
    name: 'copy in doubt counted',
    rule: 'A segment that may have lost something counts in no quorum.',
    find: "status === 'Ok' || status === 'DiskFull' || status === 'Overloaded' ? scl : ZERO_LSN",
    replace: 'scl',
  }),
  replication({
    name: 'acknowledgement of another epoch counted',
    rule: 'An acknowledgement counts in the epoch that it names.',
    find: "if (status === 'Ok' && ack.volumeEpoch !== this.#volume.epoch) return",
    replace: '',
  }),
  replication({
    name: 'higher epoch overheard',
    rule: 'A writer that hears of a higher epoch stops.',
    find: 'if (ack.volumeEpoch > this.#volume.epoch) {',
    replace: 'if (ack.volumeEpoch < 0) {',
  }),
  open({
    name: 'opening counts copies in doubt',
    rule: 'A segment that may have lost something counts in no quorum.',
    find: 'report?.incarnation !== incarnation || report.suspect ? undefined : report',
    replace: 'report?.incarnation !== incarnation ? undefined : report',
  }),
  open({
    name: 'any answer about the end of the log',
    rule: 'A copy that lost its log since it was fenced says nothing about the end of it.',
    find: 'if (value.scl >= scl) return',
    replace: 'if (value.scl >= 0) return',
  }),
  open({
    name: 'opened before it is filled',
    rule: 'A volume is open when a write quorum of every group has its past.',
    find: '(reportOf(answers, config, member)?.scl ?? -1) >= point)',
    replace: '(reportOf(answers, config, member)?.scl ?? -1) >= 0)',
  }),
  membership({
    name: 'settled before it has caught up',
    rule: 'A change of membership ends when nothing acknowledged depends on those that leave.',
    find: 'if (await this.#caughtUp(place, config, bounds)) {',
    replace: 'if ((await this.#caughtUp(place, config, bounds)) || timeoutMs > 0) {',
  }),
  membership({
    name: 'new members need not have it',
    rule: 'A change of membership ends when each new member has caught up.',
    find: '|| !fresh.every(has)) return false',
    replace: ') return false',
  }),
  changes({
    name: 'turned back without the fence',
    rule: 'Those that remain refuse all epochs below the one that was claimed last.',
    find: 'if (!this.#keepsFence(record, { ...config, sets: config.sets.slice(0, 1) }, reports)) {',
    replace: 'if (reports.size < 0) {',
  }),
  changes({
    name: 'change does not fence',
    rule: 'Those that remain refuse all epochs below the one that was claimed last.',
    find: "if (record.epoch > 0) await client.call(address, 'fence', { volume, epoch: record.epoch })",
    replace: '',
  }),
  writer({
    name: 'sync answered early',
    rule: 'A sync is answered at the VDL.',
    find: 'if (waiter.lsn > vdl) break',
    replace: 'if (waiter.lsn > vdl + 400) break',
  }),
  writer({
    name: 'trimmed block stays known',
    rule: 'A trimmed block is zeros at once.',
    find: 'this.#cache.dropRange(first, end)',
    replace: '',
  }),
  writer({
    name: 'stale read cached',
    rule: 'A block that changed while it was read is read again.',
    find: "if (this.#state === 'open' && !reading.stale) {",
    replace: "if (this.#state === 'open') {",
  }),
]
