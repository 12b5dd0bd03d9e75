/**
 * From changes of blocks to redo records: one mini-transaction, laid into the frames of the groups it touches. Hot path:
 * a block is compared with its last version (1 us), its changed granules are copied once, the record is sealed (crc).
 */
import { diff } from '../protocol/delta.ts'
import { VolumeError } from '../protocol/errors.ts'
import { CONTROL_BLOCK, type Lsn, ZERO_LSN } from '../protocol/lsn.ts'
import { pack } from '../protocol/packing.ts'
import {
  controlPayload,
  FLAG_PACKED,
  FLAG_SPARSE,
  PAYLOAD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  RecordKind,
  sealRecord,
  trimPayload,
} from '../protocol/record.ts'
import type { ReplicaGroup } from './replica-group.ts'

/** A record whose payload lies in its frame and whose header waits for its LSN. */
interface Placed {
  readonly target: ReplicaGroup
  readonly offset: number
  readonly payloadBytes: number
  readonly kind: RecordKind
  readonly flags: number
  /** In the group. */
  readonly block: number
  readonly prevBlock: Lsn
  lsn: Lsn
}

/** Deltas above this part of a block are sent as whole blocks: applying one copy is cheaper, and reading stops there. */
const DELTA_PART_MAX = 0.75

/** A block that was never written, of any size. */
const ZEROS = new Uint8Array(PAYLOAD_BYTES_MAX)

export class MiniTransaction {
  readonly #blockBytes: number
  readonly #packBytesMin: number
  readonly #placed: Placed[] = []
  #bytes = 0

  /** @param packBytesMin payloads of so many bytes are packed, where that makes them shorter */
  constructor(blockBytes: number, packBytesMin: number) {
    this.#blockBytes = blockBytes
    this.#packBytesMin = packBytesMin
  }

  get empty(): boolean {
    return this.#placed.length === 0
  }

  #begin(target: ReplicaGroup, payloadBytesMax: number): number {
    const { builder } = target
    if (builder.empty) builder.begin(target.last)
    builder.reserve(RECORD_HEADER_BYTES + payloadBytesMax)
    return builder.length
  }

  #end(
    target: ReplicaGroup,
    offset: number,
    payloadBytes: number,
    rest: Pick<Placed, 'kind' | 'flags' | 'block' | 'prevBlock'>,
  ): void {
    target.builder.length = offset + RECORD_HEADER_BYTES + payloadBytes
    this.#bytes += RECORD_HEADER_BYTES + payloadBytes
    this.#placed.push({ target, offset, payloadBytes, lsn: ZERO_LSN, ...rest })
  }

  /**
   * Adds the change of one block.
   * @param before its last version, if known; blocks start at multiples of four bytes
   * @returns the index of its record, or -1 when nothing changed
   */
  write(
    target: ReplicaGroup,
    block: number,
    next: Uint8Array,
    before: { readonly bytes: Uint8Array; readonly lsn: Lsn } | undefined,
  ): number {
    const offset = this.#begin(target, this.#blockBytes)
    const from = offset + RECORD_HEADER_BYTES
    const room = target.builder.bytes.subarray(from, from + Math.floor(this.#blockBytes * DELTA_PART_MAX))
    // A version of 0 was never written: a record against it says the whole content.
    const known = before !== undefined && before.lsn > ZERO_LSN ? before : undefined
    const length = diff(known?.bytes ?? ZEROS, next, room)
    if (known !== undefined && length === 0) return -1
    const prevBlock = known?.lsn ?? ZERO_LSN
    const payload = length < 0 ? next : room.subarray(0, length)
    const packed = payload.length < this.#packBytesMin ? -1 : pack(payload, target.builder.bytes.subarray(from))
    if (packed < 0 && length < 0) target.builder.bytes.set(next, from)
    const isDelta = known !== undefined && length >= 0
    const form = (isDelta || length < 0 ? 0 : FLAG_SPARSE) | (packed < 0 ? 0 : FLAG_PACKED)
    const kind = isDelta ? RecordKind.DELTA : RecordKind.FULL
    this.#end(target, offset, packed < 0 ? payload.length : packed, { kind, flags: form, block, prevBlock })
    return this.#placed.length - 1
  }

  trim(target: ReplicaGroup, block: number, count: number): void {
    const payload = trimPayload(count)
    const offset = this.#begin(target, payload.length)
    target.builder.bytes.set(payload, offset + RECORD_HEADER_BYTES)
    this.#end(target, offset, payload.length, { kind: RecordKind.TRIM, flags: 0, block, prevBlock: ZERO_LSN })
  }

  control(target: ReplicaGroup, wallClockMs: number): void {
    const payload = controlPayload(wallClockMs)
    const offset = this.#begin(target, payload.length)
    target.builder.bytes.set(payload, offset + RECORD_HEADER_BYTES)
    this.#end(target, offset, payload.length, {
      kind: RecordKind.CONTROL,
      flags: 0,
      block: CONTROL_BLOCK,
      prevBlock: ZERO_LSN,
    })
  }

  /**
   * Gives LSNs from `start` on and seals the records.
   * @param prevVolume the record before the first: not `start` when an opening has left a gap of LSNs
   * @param appended called for each stretch that lies in one group, in LSN order; the last one ends at the CPL
   * @returns the CPL
   */
  seal(
    start: Lsn,
    prevVolume: Lsn,
    volumeEpoch: number,
    appended: (target: ReplicaGroup, last: Lsn, isCpl: boolean) => void,
  ): Lsn {
    if (this.#placed.length === 0) throw new VolumeError('Invariant', 'a mini-transaction without records')
    const cpl = (start + this.#bytes) as Lsn
    let at = start
    let before = prevVolume
    for (let i = 0; i < this.#placed.length; i++) {
      const placed = this.#placed[i] as Placed
      const { target, payloadBytes, kind, flags, block, prevBlock } = placed
      const lsn = (at + RECORD_HEADER_BYTES + payloadBytes) as Lsn
      const header = {
        kind,
        flags,
        group: target.group,
        block,
        volumeEpoch,
        lsn,
        toCpl: cpl - lsn,
        prevVolume: before,
        prevGroup: target.last,
        prevBlock,
      }
      sealRecord(target.builder.bytes, target.builder.view, placed.offset, header, payloadBytes)
      placed.lsn = lsn
      target.last = lsn
      target.builder.last = lsn
      at = lsn
      before = lsn
      if (this.#placed[i + 1]?.target !== target) appended(target, lsn, i === this.#placed.length - 1)
    }
    return cpl
  }

  lsnOf(record: number): Lsn {
    return (this.#placed[record] as Placed).lsn
  }
}
