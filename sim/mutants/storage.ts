/** Mutants of `src/storage`. */
import type { Mutant } from './mutant.ts'

type Change = Pick<Mutant, 'name' | 'rule' | 'find' | 'replace'>

const of =
  (file: string, test: string) =>
  (change: Change): Mutant => ({
    ...change,
    file: `src/storage/${file}`,
    runner: { kind: 'test', file: test },
  })

const logFiles = of('log-files.ts', 'sim/hot-log.test.ts')
const batch = of('log-batch.ts', 'sim/hot-log.test.ts')
const state = of('durable-state.ts', 'src/storage/durable-state.test.ts')
const nodeVolume = of('node-volume.ts', 'src/storage/node-volume.test.ts')
const calls = of('node-calls.ts', 'src/storage/epochs.test.ts')
const node = of('storage-node.ts', 'src/storage/epochs.test.ts')
const appends = of('appends.ts', 'src/storage/appends.test.ts')
const entry = of('layers/entry.ts', 'test/features/reading.test.ts')
const image = of('layers/entry.ts', 'src/storage/layers/compaction.test.ts')
const layerChain = of('layers/chain.ts', 'src/storage/layers/read-block.test.ts')
const collect = of('layers/collect.ts', 'test/features/retention.test.ts')
const rounds = of('gossip.ts', 'src/storage/gossip.test.ts')
const doubt = of('gossip.ts', 'test/features/doubt.test.ts')
const wantOfLog = of('repairs.ts', 'src/storage/gossip.test.ts')
const ended = of('layer-copy.ts', 'src/storage/gossip.test.ts')
const retention = of('segment.ts', 'test/features/retention.test.ts')
const cuts = of('segment.ts', 'src/storage/truncations.test.ts')

export const STORAGE_MUTANTS: readonly Mutant[] = [
  logFiles({
    name: 'spare taken over without a sync',
    rule: 'What a killed process left of a log file is made durable before it is used.',
    find: 'if (whole) handle.sync()',
    replace: '',
  }),
  logFiles({
    name: 'names taken over without a sync',
    rule: 'What a killed process renamed is made durable before it is relied on.',
    find: `    disk.syncFolder(LOG_FOLDER)
    this.current?.handle.sync()`,
    replace: '    this.current?.handle.sync()',
  }),
  logFiles({
    name: 'file begun under a name that is not durable',
    rule: 'A log file has its name durably before anything is written to it.',
    find: `    this.#disk.rename(sparePath(slot), path)
    this.#disk.syncFolder(LOG_FOLDER)`,
    replace: '    this.#disk.rename(sparePath(slot), path)',
  }),
  batch({
    name: 'acknowledged before it is durable',
    rule: 'A node acknowledges what is on stable storage.',
    find: 'this.#file?.writeDurable(',
    replace: 'this.#file?.write(',
  }),
  state({
    name: 'state not synced',
    rule: 'A promise is on stable storage before it is given.',
    find: `    file.write(0, bytes)
    file.sync()`,
    replace: '    file.write(0, bytes)',
  }),
  nodeVolume({
    name: 'fence promises nothing',
    rule: 'A fenced node takes nothing from lower epochs.',
    find: 'this.#promise(this.#state, epoch)',
    replace: '',
  }),
  nodeVolume({
    name: 'fence kept in memory',
    rule: 'A promise is on stable storage before it is given.',
    find: 'this.#promise(this.#state, epoch)',
    replace: 'this.#fencedEpoch = epoch',
  }),
  nodeVolume({
    name: 'fence not asked',
    rule: 'A fenced node takes nothing from lower epochs.',
    find: "if (epoch < this.#fencedEpoch) return 'StaleVolumeEpoch'",
    replace: '',
  }),
  nodeVolume({
    name: 'promised epoch taken for sealed',
    rule: 'Nothing is appended under an epoch whose truncation is not known.',
    find: "return epoch === this.#state.epoch ? 'Ok' : 'UnknownEpoch'",
    replace: "return 'Ok'",
  }),
  nodeVolume({
    name: 'older grant adopted',
    rule: 'Of two grants the one of the newer record counts.',
    find: 'if (grant.grantVersion <= this.#state.grantVersion) return',
    replace: '',
  }),
  nodeVolume({
    name: 'grant version ignored',
    rule: 'Of two grants the one of the newer record counts.',
    find: 'grant.grantVersion > this.#state.grantVersion ? grant : this.#state',
    replace: 'grant',
  }),
  calls({
    name: 'pull of another volume epoch answered',
    rule: 'Peers of different epochs do not bring each other log.',
    find: 'if (argument.volumeEpoch !== epoch) {',
    replace: 'if (argument.volumeEpoch < 0) {',
  }),
  calls({
    name: 'pull of another membership answered',
    rule: 'Peers of different memberships do not bring each other log.',
    find: 'if (argument.membershipEpoch !== segment.config.epoch) {',
    replace: 'if (argument.membershipEpoch < 0) {',
  }),
  calls({
    name: 'new member trusted',
    rule: 'A member that is made where something was written is in doubt.',
    find: 'this.#node.addSegment(volume, config, below, !create)',
    replace: 'this.#node.addSegment(volume, config, below, false)',
  }),
  calls({
    name: 'another disk configured',
    rule: 'A member is its incarnation.',
    find: 'if (incarnation !== this.#node.incarnation) {',
    replace: "if (incarnation === '') {",
  }),
  node({
    name: 'read of a fenced writer answered',
    rule: 'A fenced node answers no lower epoch.',
    find: 'if (stale) throw',
    replace: 'if (stale && read.block < 0) throw',
  }),
  node({
    name: 'read of an older membership answered',
    rule: 'Reads of an older membership are refused.',
    find: 'if (read.membershipEpoch < segment.config.epoch) throw',
    replace: 'if (read.membershipEpoch < 0) throw',
  }),
  appends({
    name: 'append of another epoch taken',
    rule: 'A fenced node takes nothing from lower epochs.',
    find: "if (epoch !== 'Ok') return epoch",
    replace: '',
  }),
  appends({
    name: 'append of an older membership taken',
    rule: 'Appends of an older membership are refused.',
    find: "if (membershipEpoch < segment.config.epoch) return 'StaleMembership'",
    replace: '',
  }),
  appends({
    name: 'append of a membership not heard of taken',
    rule: 'A member that missed a change counts for nobody until it has heard of it.',
    find: "if (membershipEpoch > segment.config.epoch) return 'UnknownSegment'",
    replace: '',
  }),
  appends({
    name: 'acknowledged before it is logged',
    rule: 'A node acknowledges what is on stable storage.',
    find: '      this.#staged.push({ segment, records, entry, vdl, groupPoint, connection })\n      return',
    replace: `      segment.insert(records, { file: 1, offset: 0, length: 0 })
      this.#acknowledge(connection, segment)
      this.#staged.push({ segment, records, entry, vdl, groupPoint, connection })
      return`,
  }),
  appends({
    name: 'copy in doubt acknowledges',
    rule: 'A segment that may have lost something counts in no quorum.',
    find: "segment === undefined || segment.state === 'suspect' ? ZERO_LSN : segment.scl",
    replace: 'segment?.scl ?? ZERO_LSN',
  }),
  appends({
    name: 'fenced log staged',
    rule: 'What came before a fence and is not in the log is dropped.',
    find: 'this.#staged = this.#staged.filter(({ segment }) => !isDropped(segment))',
    replace: '',
  }),
  entry({
    name: 'visible in layers at its own LSN',
    rule: 'A record is visible from the end of its mini-transaction on.',
    find: 'entryLsn(view, at) + entryToCpl(view, at)',
    replace: 'entryLsn(view, at)',
  }),
  image({
    name: 'image of a packed block taken for plain',
    rule: 'An entry that is copied says how its payload is to be read.',
    find: 'entryFlags(from, at) & (FLAG_SPARSE | FLAG_PACKED), payload)',
    replace: 'entryFlags(from, at) & FLAG_SPARSE, payload)',
  }),
  layerChain({
    name: 'delta applied to any version',
    rule: 'A delta is applied to exactly the version it was made against.',
    find: 'if (applies !== version && applies > tolerated) {',
    replace: 'if (applies < 0) {',
  }),
  collect({
    name: 'pins collected',
    rule: 'What a pin sees is kept.',
    find: 'grant.pins.filter((pin) => pin < cutoff)',
    replace: 'grant.pins.filter((pin) => pin < 0)',
  }),
  retention({
    name: 'cutoff not checked',
    rule: 'A collected LSN is refused.',
    find: `    this.volume.checkReadPoint(readPoint)
    return`,
    replace: '    return',
  }),
  cuts({
    name: 'nothing cut',
    rule: 'A new epoch cuts the log where it annulled it.',
    find: 'let end = cutBack(truncations, this.scl)',
    replace: 'let end = this.scl',
  }),
  cuts({
    name: 'annulled records replayed',
    rule: 'What an opening annulled is passed over, wherever it comes from.',
    find: 'if (truncations.length > 0 && isAnnulled(truncations, record.lsn)) continue',
    replace: '',
  }),
  cuts({
    name: 'flushed above the VDL',
    rule: 'Layers hold only what is durable.',
    find: ' && this.memory.frozen.maxLsn <= this.volume.vdl',
    replace: '',
  }),
  cuts({
    name: 'log released before it is flushed',
    rule: 'Log stays until layers hold it.',
    find: 'this.log.oldestFile(this.#flushed, least)',
    replace: 'this.log.oldestFile(this.scl, least)',
  }),
  cuts({
    name: 'complete up to the VDL',
    rule: 'A node answers reads only up to where it is proved complete.',
    find: 'const complete = readPoint <= this.#complete.to',
    replace: 'const complete = readPoint <= this.volume.vdl',
  }),
  rounds({
    name: 'another membership counted',
    rule: 'Only members of the same membership prove anything to each other.',
    find: 'report.membershipEpoch !== this.#epoch || report.suspect ||',
    replace: 'report.suspect ||',
  }),
  rounds({
    name: 'another disk counted',
    rule: 'A member is its incarnation.',
    find: ' || report.incarnation !== peer.incarnation) return',
    replace: ') return',
  }),
  doubt({
    name: 'complete without a quorum',
    rule: 'Completeness is proved by a read quorum.',
    find: 'if (!satisfied(readQuorum(config), counts)) return false',
    replace: '',
  }),
  doubt({
    name: 'copy in doubt proves itself',
    rule: 'A suspect segment does not count itself.',
    find: "(m === self && segment.state !== 'suspect')",
    replace: 'm === self',
  }),
  doubt({
    name: 'copies in doubt prove each other',
    rule: 'A segment that may have lost something counts in no quorum.',
    find: 'report.membershipEpoch !== this.#epoch || report.suspect ||',
    replace: 'report.membershipEpoch !== this.#epoch ||',
  }),
  rounds({
    name: 'complete though others are ahead',
    rule: 'A round proves nothing while a member is ahead.',
    find: 'if (scl < best) return false',
    replace: '',
  }),
  rounds({
    name: 'where logs began before a pause',
    rule: 'Layers are copied, or a log begun anew, by where the logs of peers begin now.',
    find: `    this.#asked.clear()
    // Where their logs begin moves on: what was so before the pause may be below what has been pulled since.
    this.#logFrom = undefined`,
    replace: '    this.#asked.clear()',
  }),
  wantOfLog({
    name: 'layers waited for that are not needed',
    rule: 'A copy that lacked log alone is whole again when that has come, and gives others what they lack.',
    find: 'complete: (of) => this.#endRebuildForLog(of)',
    replace: 'complete: () => {}',
  }),
  wantOfLog({
    name: 'layers that are needed given up',
    rule: 'A rebuild that is not for want of log alone ends with other layers.',
    find: `    this.#lackingLog.delete(segment)
    if (this.#copies.has(segment)) return`,
    replace: '    if (this.#copies.has(segment)) return',
  }),
  ended({
    name: 'answer to a copy that was ended',
    rule: 'Layers are not replaced by a copy that was given up.',
    find: `        if (this.#state === 'done') return
        if ('error' in answer) this.#failed()`,
    replace: "        if ('error' in answer) this.#failed()",
  }),
  doubt({
    name: 'tail does not wait for who is away',
    rule: 'A tail keeps its log until all full members have it in layers.',
    find: 'if (flushed === undefined) return',
    replace: 'if (flushed === undefined) continue',
  }),
  doubt({
    name: 'tail lets go what one full member has',
    rule: 'A tail keeps its log until all full members have it in layers.',
    find: 'upTo = upTo === undefined ? flushed : minLsn(upTo, flushed)',
    replace: 'upTo = upTo === undefined ? flushed : maxLsn(upTo, flushed)',
  }),
]
