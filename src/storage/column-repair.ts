/**
 * Mends the damaged blocks of a full segment: asks the other full members for all that they have of those blocks, and
 * puts it in the place of its own layers there (docs/decisions/0008-damage-is-mended-by-columns-of-blocks.md).
 *
 * A peer need not be whole for that: what it cannot give either it says, and the next peer is asked. So copies with
 * damage in different blocks mend each other.
 */
import { crc32 } from 'node:zlib'
import type { Ancestor, Calls, HistoryAnswer } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { Member } from '../protocol/group.ts'
import { ZERO_LSN } from '../protocol/lsn.ts'
import { type BlockRange, BlockRanges } from './layers/block-ranges.ts'
import { ColumnWriter } from './layers/column.ts'
import { type HistoryCursor, readHistoryPage } from './layers/history.ts'
import { LAYER_TARGET_BYTES } from './layers/layer-writer.ts'
import { awaitDetached } from './materialise.ts'
import type { PeerCalls } from './peer-calls.ts'
import type { Segment } from './segment.ts'

export type ColumnRepairState = 'waiting' | 'asking' | 'done'

/** Peers that could not help are asked again after this time. */
const RETRY_MS = 200

/** What the repair needs of its node. */
export interface ColumnRepairHost {
  readonly peers: PeerCalls
  now(): number
  count(name: string): void
  /** Ends the compaction of the segment's layers: what it has read is about to be replaced. */
  quiesce(segment: Segment): void
  /** Peers have collected garbage above what is in layers here. */
  wantFlush(segment: Segment): void
  /** Peers do not show what this segment shows of an ancestor: nothing but a whole copy helps. */
  rebuild(segment: Segment): void
}

/** The blocks that are being fetched. */
interface Column {
  readonly range: BlockRange
  readonly writer: ColumnWriter
  readonly below: Ancestor | null
  readonly generation: number
  cursor: HistoryCursor
  basis: string
  /** The newest of what came with its pages. */
  answer: HistoryAnswer | undefined
}

const isSame = (a: Ancestor | null, b: Ancestor | null): boolean => a?.volume === b?.volume && a?.lsn === b?.lsn

export class ColumnRepair {
  readonly #segment: Segment
  readonly #host: ColumnRepairHost
  #state: ColumnRepairState = 'waiting'
  #notBeforeMs = 0
  #next = 0
  #source: Member | undefined
  /** What the present source cannot give. */
  #refused = new BlockRanges()
  #column: Column | undefined
  /** Sources, one after another, that gave nothing. */
  #vain = 0

  constructor(segment: Segment, host: ColumnRepairHost) {
    this.#segment = segment
    this.#host = host
  }

  get state(): ColumnRepairState {
    return this.#state
  }

  tick(): void {
    if (this.#state === 'waiting' && this.#host.now() >= this.#notBeforeMs) this.#begin()
  }

  /** Gives up what is under way: the segment gets all its layers from elsewhere, or is gone. */
  end(): void {
    this.#drop()
    this.#state = 'done'
  }

  #drop(): void {
    this.#column?.writer.discard()
    this.#column = undefined
  }

  /** The source is of no (more) use: after a while the next one is asked. */
  #turnToNext(): void {
    this.#drop()
    this.#state = 'waiting'
    this.#notBeforeMs = this.#host.now() + RETRY_MS
    this.#vain++
    if (this.#vain % Math.max(1, this.#sources.length) === 0) this.#host.count('mendedByNobody')
  }

  get #sources(): Member[] {
    return this.#segment.peers().filter(({ kind }) => kind === 'full')
  }

  /** Runs what an answer brought; what goes wrong with peer or disk makes the next peer be asked. */
  #guard(action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
      this.#host.count(`failed${error.code}`)
      this.#turnToNext()
    }
  }

  #begin(): void {
    const sources = this.#sources
    if (this.#segment.damage.isEmpty) this.#state = 'done'
    else if (sources.length > 0) {
      this.#source = sources[this.#next++ % sources.length]
      this.#refused = new BlockRanges()
      this.#guard(() => this.#goOn())
    }
  }

  /** The next damaged blocks that the source may have. */
  #wanted(): BlockRange | undefined {
    const wanted = new BlockRanges()
    for (const { from, to } of this.#segment.damage) wanted.add(from, to)
    for (const { from, to } of this.#refused) wanted.remove(from, to)
    return wanted.firstFrom(0)
  }

  #goOn(): void {
    if (this.#column === undefined) {
      const range = this.#wanted()
      if (range === undefined) {
        if (this.#segment.damage.isEmpty) this.#state = 'done'
        else this.#turnToNext()
        return
      }
      this.#column = this.#columnOf(range)
    }
    this.#ask(this.#column)
  }

  #columnOf(range: BlockRange): Column {
    const { layers, below, generation, volume } = this.#segment
    return {
      range,
      writer: new ColumnWriter(layers, range.from, range.to, below === null ? ZERO_LSN : volume.state.base),
      below,
      generation,
      cursor: { block: range.from, after: ZERO_LSN },
      basis: '',
      answer: undefined,
    }
  }

  #ask(column: Column): void {
    this.#state = 'asking'
    const { volume, group, config } = this.#segment
    const argument: Calls['history']['argument'] = {
      volume: volume.state.volume,
      group,
      volumeEpoch: volume.state.epoch,
      membershipEpoch: config.epoch,
      upTo: column.writer.upTo,
      from: column.cursor.block,
      to: column.range.to,
      after: column.cursor.after,
      basis: column.basis,
    }
    const { address } = this.#source as Member
    this.#host.peers.call(address, 'history', argument, (answer) => {
      if (this.#column !== column) return
      this.#guard(() => {
        if ('error' in answer) throw this.#refusedBy(answer.error)
        this.#answered(column, answer.value, answer.attachment)
      })
    })
  }

  #refusedBy(error: VolumeError): VolumeError {
    if (error.code === 'Conflict') this.#host.wantFlush(this.#segment)
    return error
  }

  #answered(column: Column, answer: HistoryAnswer, page: Uint8Array): void {
    const segment = this.#segment
    if (segment.generation !== column.generation || !isSame(segment.below, column.below))
      throw new VolumeError('Conflict', 'the segment has changed')
    if (!isSame(answer.below, segment.below)) {
      if (answer.below === null) this.#host.rebuild(segment)
      else throw awaitDetached(segment, this.#source as Member, this.#host.peers)
      return
    }
    if (answer.next < column.cursor.block || answer.next > column.range.to)
      throw new VolumeError('BadRequest', 'a page of other blocks than were asked for')
    if (answer.damaged) {
      this.#refused.add(column.cursor.block, Math.max(answer.next, column.cursor.block + 1))
      this.#install(column, column.cursor.block)
    } else {
      this.#take(column, answer, page)
    }
    this.#goOn()
  }

  #take(column: Column, answer: HistoryAnswer, page: Uint8Array): void {
    if (crc32(page) !== answer.crc) throw new VolumeError('Corrupt', 'a page of history was damaged on its way')
    const { range, cursor, writer } = column
    const read = readHistoryPage(page, cursor, { ...range, upTo: writer.upTo })
    const next: HistoryCursor = { block: answer.next, after: answer.after }
    column.answer = answer
    if (next.after > 0 && cursor.after === ZERO_LSN && next.block > range.from) {
      // A part of a block begins a column of its own: what came before does not depend on whether the rest can be had.
      writer.addTrims(read.trims)
      this.#install(column, next.block)
      this.#column = this.#columnOf({ from: next.block, to: range.to })
      return
    }
    if (next.block === cursor.block && next.after <= cursor.after)
      throw new VolumeError('BadRequest', 'a page of history that leads nowhere')
    writer.append(read)
    column.cursor = next
    column.basis = answer.basis
    const isFull = writer.bytes >= (this.#segment.layers.setting.layerBytes ?? LAYER_TARGET_BYTES)
    if (next.block === range.to || (isFull && next.after === ZERO_LSN)) this.#install(column, next.block)
  }

  /** Puts what was fetched of the blocks before `to` in its place. */
  #install(column: Column, to: number): void {
    this.#column = undefined
    const { writer, range, answer } = column
    if (to === range.from || answer === undefined) {
      writer.discard()
      return
    }
    const segment = this.#segment
    try {
      const edit = writer.finish(to)
      if (edit === undefined) throw new VolumeError('Conflict', 'newer records were merged with those of the column')
      this.#host.quiesce(segment)
      // Before its layers: what the source was allowed to collect must not be asked for here either.
      segment.volume.adoptGrant(answer.grant)
      segment.layers.install({ ...edit, collectedTo: answer.collectedTo }, () => segment.persist())
    } catch (error) {
      writer.discard()
      throw error
    }
    segment.damage.remove(range.from, to)
    this.#vain = 0
    this.#host.count('columnsMended')
  }
}
