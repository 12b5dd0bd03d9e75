/**
 * The writer's end of a volume: appends mini-transactions, makes them durable on 4 of 6 copies, reads blocks.
 *
 * States: open -> closed, or open -> fenced when a node says that another writer holds a higher epoch. A fenced writer
 * must stop what runs on it at once: epochs fence storage, not its memory (`onFenced`).
 *
 * Hot path. Synchronous: `append` gives LSNs, acknowledgements move the durable point, waiting `sync`s are answered
 * from the message that decides them. Frames leave when somebody waits for what is in them, as soon as the program has
 * done what it had to do in this turn (`defer`): what comes until then rides along, and no timer is waited for (SIGMOD
 * 2018, section 2.2). What nobody waits for leaves when a frame is full, or with the next tick: a frame for each page
 * that an engine writes back costs six nodes a wake-up and a durable write each. Measured by `npm run bench -- volume`
 * and `-- pgbench`.
 */
import type { VolumeState } from '../protocol/calls.ts'
import { Durability, LSN_ALLOCATION_LIMIT_BYTES } from '../protocol/durability.ts'
import { invariant, VolumeError } from '../protocol/errors.ts'
import { type BlockNumber, type GroupIndex, groupIndex, type Lsn, maxLsn } from '../protocol/lsn.ts'
import type { Ack } from '../protocol/message.ts'
import { Announcer } from './announcer.ts'
import { BlockCache } from './block-cache.ts'
import { aligned, type Change, checkBlock, checkChanges } from './change.ts'
import { MiniTransaction } from './mini-transaction.ts'
import type { AckListener } from './node-client.ts'
import { Replication } from './replication.ts'
import { TrimmedRanges } from './trimmed-ranges.ts'
import type { OpenedVolume, WriterEnv } from './writer-env.ts'
import type { WriterOptions } from './writer-options.ts'

interface SyncWaiter {
  readonly lsn: Lsn
  readonly resolve: (vdl: Lsn) => void
  readonly reject: (error: VolumeError) => void
}

interface RoomWaiter {
  readonly resolve: () => void
  readonly reject: (error: VolumeError) => void
}

/** A read on its way; stale when the block was written or trimmed since it was asked for. */
interface BlockReading {
  stale: boolean
}

export type WriterState = 'open' | 'fenced' | 'closed'

/** A wall clock time is noted in the log this often, while anything is written. */
const CONTROL_RECORD_MS = 1000

export class VolumeWriter implements AckListener {
  readonly options: WriterOptions
  readonly stats = { records: 0, userBytes: 0, logBytes: 0, reads: 0, cacheHits: 0 }
  readonly #env: WriterEnv
  readonly #volume: VolumeState
  readonly #start: Lsn
  readonly #durability: Durability
  readonly #replication: Replication
  readonly #announcer: Announcer
  readonly #inherited: Set<GroupIndex>
  readonly #cache: BlockCache
  readonly #trimmed = new TrimmedRanges()
  readonly #reading = new Map<BlockNumber, Set<BlockReading>>()
  readonly #addingGroups = new Map<GroupIndex, Promise<void>>()
  readonly #fencedListeners: (() => void)[] = []
  readonly #durableListeners: ((vdl: Lsn) => void)[] = []
  #state: WriterState = 'open'
  /** Where the next record begins. */
  #position: Lsn
  #last: Lsn
  #waiters: SyncWaiter[] = []
  #roomWaiters: RoomWaiter[] = []
  #deferred = false
  #controlAtMs: number
  #controlLsn: Lsn
  #wallClockMs: number

  constructor(env: WriterEnv, opened: OpenedVolume, options: WriterOptions) {
    invariant(
      options.unackedBytesMax <= LSN_ALLOCATION_LIMIT_BYTES / 2,
      'more log may be sent than an opening would cut',
    )
    this.options = options
    this.#env = env
    this.#volume = opened.state
    this.#start = opened.start
    this.#position = opened.start
    this.#last = opened.vdl
    this.#inherited = new Set(opened.inherited)
    this.#cache = new BlockCache(opened.state.blockBytes, options.cacheBytes)
    this.#durability = new Durability(
      opened.vdl,
      new Map([...opened.groups].map(([group, { point }]) => [group, point])),
    )
    this.#replication = new Replication(opened.state, env, this.#durability, options, {
      durable: () => this.#durable(),
      fenced: () => this.#stop('fenced', new VolumeError('Fenced', 'another writer holds the volume')),
    })
    for (const { config, point } of opened.groups.values()) this.#replication.add(config, point)
    this.#announcer = new Announcer(opened.state.volume, opened.state.epoch, this.#durability, (parts) =>
      this.#replication.toAllNodes(parts),
    )
    this.#controlAtMs = env.client.clock.now()
    this.#controlLsn = opened.vdl
    this.#wallClockMs = opened.wallClockMs
    env.client.listen(opened.state.volume, this)
  }

  get volume(): VolumeState {
    return this.#volume
  }

  get state(): WriterState {
    return this.#state
  }

  /** Volume durable LSN: what a reader may see, and what survives anything. */
  get vdl(): Lsn {
    return this.#durability.vdl
  }

  /** The LSN of the last record appended. */
  get last(): Lsn {
    return this.#last
  }

  get replication(): Replication {
    return this.#replication
  }

  /** Bytes held: cache, and frames that are not durable. Bounded by the options. */
  get memoryBytes(): number {
    return this.#cache.bytes + this.#replication.frameBytes
  }

  /** `listener` is called, once, when another writer has taken the volume. */
  onFenced(listener: () => void): void {
    this.#fencedListeners.push(listener)
  }

  /** `listener` is called whenever the durable point has moved. */
  onDurable(listener: (vdl: Lsn) => void): void {
    this.#durableListeners.push(listener)
  }

  groupOf(block: number): GroupIndex {
    return groupIndex(Math.floor(block / this.#volume.blocksPerGroup))
  }

  #check(): void {
    if (this.#state === 'fenced') throw new VolumeError('Fenced', 'another writer holds the volume')
    if (this.#state === 'closed') throw new VolumeError('Closed', 'the volume was closed')
  }

  // -------------------------------------------------------------- appending

  /**
   * Appends one mini-transaction, waiting first for room and for protection groups that are not there yet.
   * @returns its CPL: durable once `sync` resolved, visible to readers from that LSN on
   * @throws VolumeError `BadRequest`, `Fenced`, `Closed`
   */
  async write(changes: readonly Change[]): Promise<Lsn> {
    for (let wait = this.prepare(changes); wait !== undefined; wait = this.prepare(changes)) await wait
    return this.append(changes)
  }

  /**
   * What has to be waited for before `changes` can be appended: room, or a protection group.
   * Undefined, nearly always, when `append` may be called at once.
   */
  prepare(changes: readonly Change[]): Promise<void> | undefined {
    this.#check()
    checkChanges(changes, this.#volume.blockBytes)
    for (const change of changes) {
      const isTrim = 'trim' in change
      const first = isTrim ? change.trim : change.block
      const end = isTrim ? first + change.count : first + 1
      for (let group = this.groupOf(first); group * this.#volume.blocksPerGroup < end; group = groupIndex(group + 1)) {
        // Zeros in a group that nobody ever wrote need no group.
        const needed = !isTrim || this.#inherited.has(group)
        if (needed && !this.#replication.groups.has(group)) return this.#addGroup(group)
      }
    }
    return this.#room()
  }

  /** Bytes of log that are sent and not durable. */
  get unackedBytes(): number {
    return this.#position - maxLsn(this.#durability.vdl, this.#start)
  }

  get #hasRoom(): boolean {
    return this.unackedBytes < this.options.unackedBytesMax && !this.#replication.throttled
  }

  #room(): Promise<void> | undefined {
    if (this.#hasRoom) return undefined
    this.#flushSoon()
    return new Promise((resolve, reject) => this.#roomWaiters.push({ resolve, reject }))
  }

  #addGroup(group: GroupIndex): Promise<void> {
    let adding = this.#addingGroups.get(group)
    if (adding === undefined) {
      adding = this.#env.control
        .addGroup(group)
        .then((config) => {
          this.#replication.add(config, this.#volume.base)
          this.#inherited.delete(group)
        })
        .finally(() => this.#addingGroups.delete(group))
      this.#addingGroups.set(group, adding)
    }
    return adding
  }

  /**
   * Appends one mini-transaction at once: all of it becomes visible, or none. `prepare` answered undefined for it.
   * @returns its CPL; the last one when nothing changed
   * @throws VolumeError `BadRequest` when it changes a block twice or holds a block of another size
   */
  append(changes: readonly Change[]): Lsn {
    this.#check()
    checkChanges(changes, this.#volume.blockBytes)
    const transaction = new MiniTransaction(this.#volume.blockBytes, this.options.packBytesMin)
    const { blocksPerGroup } = this.#volume
    const trimmed: { readonly first: number; readonly end: number }[] = []
    /** What is to be remembered, in the order of the changes: of a write and a trim of a block the later one counts. */
    const remember: ((cpl: Lsn) => void)[] = []
    for (const change of changes) {
      if ('trim' in change) {
        const end = change.trim + change.count
        for (let first: number = change.trim; first < end; ) {
          const group = this.groupOf(first)
          const upTo = Math.min(end, (group + 1) * blocksPerGroup)
          const target = this.#replication.groups.get(group)
          if (target !== undefined) transaction.trim(target, first % blocksPerGroup, upTo - first)
          first = upTo
        }
        trimmed.push({ first: change.trim, end })
        remember.push((cpl) => this.#rememberTrim(change.trim, end, cpl))
        continue
      }
      const target = this.#replication.groups.get(this.groupOf(change.block))
      invariant(target !== undefined, 'a block was appended to a group that does not exist')
      const bytes = aligned(change.bytes)
      const isTrimmed = trimmed.some(({ first, end }) => change.block >= first && change.block < end)
      const before = isTrimmed ? undefined : this.#cache.get(change.block)
      const record = transaction.write(target, change.block % blocksPerGroup, bytes, before)
      if (record >= 0) remember.push(() => this.#rememberBlock(change.block, bytes, transaction.lsnOf(record)))
      this.stats.userBytes += bytes.length
    }
    if (transaction.empty) return this.#last
    const cpl = this.#seal(transaction)
    for (const note of remember) note(cpl)
    return cpl
  }

  #rememberTrim(first: number, end: number, cpl: Lsn): void {
    this.#cache.dropRange(first, end)
    this.#trimmed.add(first, end, cpl)
    for (const [block, readings] of this.#reading) if (block >= first && block < end) markStale(readings)
  }

  #rememberBlock(block: BlockNumber, bytes: Uint8Array, lsn: Lsn): void {
    this.#cache.put(block, bytes, lsn, this.#durability.vdl)
    const readings = this.#reading.get(block)
    if (readings !== undefined) markStale(readings)
  }

  #seal(transaction: MiniTransaction): Lsn {
    const cpl = transaction.seal(this.#position, this.#last, this.#volume.epoch, (target, last, isCpl) => {
      this.#durability.appended(target.group, last, isCpl)
      this.#announcer.appended(target.group, last)
      this.#replication.appended(target)
    })
    invariant(
      cpl <= maxLsn(this.#durability.vdl, this.#start) + LSN_ALLOCATION_LIMIT_BYTES,
      'an LSN above the allocation limit',
    )
    this.stats.records++
    this.stats.logBytes += cpl - this.#position
    this.#position = cpl
    this.#last = cpl
    this.#replication.flushFull()
    return cpl
  }

  /** Somebody waits: what was appended leaves at the end of this turn. */
  #flushSoon(): void {
    if (this.#deferred) return
    this.#deferred = true
    this.#env.defer(() => {
      this.#deferred = false
      if (this.#state === 'open') this.#replication.flush()
    })
  }

  // -------------------------------------------------------------- durability

  /**
   * Resolves when everything appended so far is durable on a write quorum of every group it touched.
   * @throws VolumeError `Fenced`, `Closed`: what was not durable may be lost
   */
  async sync(): Promise<Lsn> {
    this.#check()
    const { vdl } = this.#durability
    if (this.#last <= vdl) return vdl
    const lsn = this.#last
    this.#flushSoon()
    return new Promise((resolve, reject) => this.#waiters.push({ lsn, resolve, reject }))
  }

  acknowledged(address: string, ack: Ack): void {
    if (this.#state !== 'open') return
    this.#replication.acknowledged(address, ack)
    this.#releaseRoom()
  }

  connected(address: string): void {
    this.#replication.connected(address)
    this.#announcer.again()
  }

  #durable(): void {
    const { vdl } = this.#durability
    this.#trimmed.durable(vdl)
    let count = 0
    for (; count < this.#waiters.length; count++) {
      const waiter = this.#waiters[count] as SyncWaiter
      if (waiter.lsn > vdl) break
      waiter.resolve(vdl)
    }
    if (count > 0) this.#waiters.splice(0, count)
    for (const listener of this.#durableListeners) listener(vdl)
  }

  #releaseRoom(): void {
    if (this.#roomWaiters.length === 0 || !this.#hasRoom) return
    const waiters = this.#roomWaiters
    this.#roomWaiters = []
    for (const waiter of waiters) waiter.resolve()
  }

  // -------------------------------------------------------------- reading

  /**
   * The newest content of a block, durable or not. The caller owns the answer.
   * @throws VolumeError `Fenced`, `Closed`, or why no full member of the group could answer
   */
  async read(block: BlockNumber): Promise<Uint8Array> {
    const known = this.known(block)
    if (known !== undefined) return known
    this.stats.reads++
    return this.#readNewest(block, 0)
  }

  /**
   * The newest content of a block, when it is known without asking a storage node. The caller owns the answer.
   * @throws VolumeError `Fenced`, `Closed`, `BadRequest`
   */
  known(block: BlockNumber): Uint8Array | undefined {
    this.#check()
    checkBlock(block)
    const known = this.#known(block)
    if (known !== undefined) {
      this.stats.reads++
      this.stats.cacheHits++
    }
    return known
  }

  /** What storage nodes have not heard of, or are not asked for at an LSN that shows it; and groups that are not there. */
  #known(block: BlockNumber): Uint8Array | undefined {
    const cached = this.#cache.get(block)
    if (cached !== undefined) return cached.bytes.slice()
    const group = this.groupOf(block)
    const isStored = this.#replication.groups.has(group) || this.#inherited.has(group)
    return isStored && !this.#trimmed.has(block) ? undefined : new Uint8Array(this.#volume.blockBytes)
  }

  #readNewest(block: BlockNumber, tries: number): Promise<Uint8Array> {
    const known = this.#known(block)
    if (known !== undefined) return Promise.resolve(known)
    if (this.#replication.groups.has(this.groupOf(block))) return this.#readStored(block, tries)
    return this.#env.control.readInherited(block)
  }

  /** Reads a block that is not in the cache, so that its last record is durable. */
  #readStored(block: BlockNumber, tries: number): Promise<Uint8Array> {
    const group = this.groupOf(block)
    const target = this.#replication.groups.get(group)
    invariant(target !== undefined, 'a block was read from a group that does not exist')
    const reading: BlockReading = { stale: false }
    const readings = this.#reading.get(block) ?? new Set()
    this.#reading.set(block, readings.add(reading))
    const { vdl } = this.#durability
    return new Promise((resolve, reject) => {
      this.#env.reads.read(
        {
          volume: this.#volume.volume,
          config: target.config,
          block: block % this.#volume.blocksPerGroup,
          volumeEpoch: this.#volume.epoch,
          readPoint: vdl,
          minScl: this.#durability.pointOf(group),
        },
        (outcome) => {
          readings.delete(reading)
          if (readings.size === 0) this.#reading.delete(block)
          if (outcome instanceof VolumeError) {
            this.#readFailed(block, outcome, tries).then(resolve, reject)
            return
          }
          if (this.#state === 'open' && !reading.stale) {
            const bytes = new Uint8Array(this.#volume.blockBytes)
            bytes.set(outcome.bytes)
            this.#cache.put(block, bytes, outcome.version, this.#durability.vdl)
            resolve(bytes)
          } else {
            this.#readAgain(block, resolve, reject)
          }
        },
      )
    })
  }

  /** The block changed while it was read: what is newest now is in the cache, or is zeros. */
  #readAgain(block: BlockNumber, resolve: (bytes: Uint8Array) => void, reject: (error: unknown) => void): void {
    try {
      this.read(block).then(resolve, reject)
    } catch (error) {
      reject(error)
    }
  }

  async #readFailed(block: BlockNumber, error: VolumeError, tries: number): Promise<Uint8Array> {
    if (error.code === 'StaleVolumeEpoch')
      this.#stop('fenced', new VolumeError('Fenced', 'another writer holds the volume'))
    this.#check()
    const isRetryable = error.retryable || error.code === 'StaleMembership'
    if (!isRetryable || tries >= this.options.readTriesMax) throw error
    await this.#replication.readRefused(this.groupOf(block), error)
    this.#check()
    return this.#readNewest(block, tries + 1)
  }

  // -------------------------------------------------------------- time and end

  /** To be called every few milliseconds. */
  tick(): void {
    if (this.#state !== 'open') return
    const now = this.#env.client.clock.now()
    this.#replication.flush()
    this.#replication.tick(now)
    this.#releaseRoom()
    this.#announcer.tick(now)
    if (now - this.#controlAtMs >= CONTROL_RECORD_MS) {
      this.#controlAtMs = now
      this.#noteWallClock()
    }
  }

  /** One record a second says what time it is, so that an LSN can be found by wall clock. Time never goes back in it. */
  #noteWallClock(): void {
    const target = this.#replication.groups.get(groupIndex(0))
    if (this.#last === this.#controlLsn || target === undefined || !this.#hasRoom) return
    this.#wallClockMs = Math.max(this.#wallClockMs + 1, this.#env.client.clock.wallClock())
    const transaction = new MiniTransaction(this.#volume.blockBytes, this.options.packBytesMin)
    transaction.control(target, this.#wallClockMs)
    this.#controlLsn = this.#seal(transaction)
  }

  /** Ends without waiting: what was not synced may be lost, as with a crash. `sync` first to lose nothing. */
  close(): void {
    this.#stop('closed', new VolumeError('Closed', 'the volume was closed'))
  }

  #stop(state: 'fenced' | 'closed', error: VolumeError): void {
    if (this.#state !== 'open') return
    this.#state = state
    this.#env.client.unlisten(this.#volume.volume, this)
    const waiters = [...this.#waiters, ...this.#roomWaiters]
    this.#waiters = []
    this.#roomWaiters = []
    for (const waiter of waiters) waiter.reject(error)
    if (state === 'fenced') for (const listener of this.#fencedListeners) listener()
  }
}

function markStale(readings: Set<BlockReading>): void {
  for (const reading of readings) reading.stale = true
}
