/** One storage node, node a of `six-members.ts`, whose peers and writers are the test. */
import type { Calls, Method } from '../src/protocol/calls.ts'
import { type GroupConfig, newGroup } from '../src/protocol/group.ts'
import { groupIndex, type Lsn, lsn, nodeId, ZERO_LSN } from '../src/protocol/lsn.ts'
import {
  type Ack,
  APPEND_HEADER_BYTES,
  type AppendHeader,
  encodeCall,
  encodeRead,
  encodeResult,
  MessageType,
  type Page,
  type ReadRequest,
  readAck,
  readCall,
  readPage,
  readResult,
  writeAppendHeader,
} from '../src/protocol/message.ts'
import { encodeRecord, RecordKind, recordBytes } from '../src/protocol/record.ts'
import { StorageNode } from '../src/storage/storage-node.ts'
import { SMALL, SMALL_NODE } from './local-fleet.ts'
import { MemoryDisk } from './memory-disk.ts'
import { stateOf } from './segment-host.ts'
import { SIX } from './six-members.ts'

export const STATE = stateOf(7)

/** A connection of the test to the node. */
const CONNECTION = 1

/** A record of a whole block, the one after `before` in its group. */
export function recordAfter(
  before: Lsn,
  block: number,
  value: number,
): { readonly lsn: Lsn; readonly bytes: Uint8Array } {
  const payload = new Uint8Array(SMALL.blockBytes).fill(value)
  const bytes = new Uint8Array(recordBytes(payload.length))
  const header = {
    kind: RecordKind.FULL,
    flags: 0,
    group: groupIndex(0),
    block,
    volumeEpoch: STATE.epoch,
    lsn: lsn(before + bytes.length),
    toCpl: 0,
    prevVolume: before,
    prevGroup: before,
    prevBlock: ZERO_LSN,
  }
  encodeRecord(bytes, new DataView(bytes.buffer), 0, header, payload)
  return { lsn: header.lsn, bytes }
}

export class LoneNode {
  readonly disk = new MemoryDisk()
  /** Moved by the test. */
  nowMs = 0
  /** What the node asked of its peers. */
  #asked: { readonly address: string; readonly message: Uint8Array }[] = []
  /** What the node answered and nobody looked at yet. */
  #answers: Uint8Array[] = []
  #node: StorageNode

  constructor() {
    this.#node = this.#started()
  }

  #started(): StorageNode {
    const env = {
      now: () => this.nowMs,
      wallClock: () => 0,
      random: () => 0.5,
      reply: (_connection: number, parts: readonly Uint8Array[]) =>
        void this.#answers.push(Uint8Array.from(Buffer.concat(parts))),
      sendTo: (address: string, parts: readonly Uint8Array[]) =>
        void this.#asked.push({ address, message: Uint8Array.from(Buffer.concat(parts)) }),
    }
    return new StorageNode(env, this.disk, { node: nodeId('a'), zone: 'z0', address: 'a' }, SMALL_NODE)
  }

  get node(): StorageNode {
    return this.#node
  }

  /** The process ends at once, and starts again. */
  restart(): void {
    this.#answers = []
    this.#node = this.#started()
  }

  /** The group with this node as its member, under a membership epoch. */
  config(epoch = 1): GroupConfig {
    const members = SIX.map((member) =>
      member.node === 'a' ? { ...member, incarnation: this.#node.incarnation } : member,
    )
    return { ...newGroup(groupIndex(0), members), epoch }
  }

  configure(epoch = 1, create = true): Calls['configure']['value'] {
    const { incarnation } = this.#node
    return this.call('configure', { state: STATE, config: this.config(epoch), incarnation, create, below: null })
  }

  /** @throws VolumeError what the node answered */
  call<M extends Method>(method: M, argument: Calls[M]['argument']): Calls[M]['value'] {
    this.#send(encodeCall(1, method, argument))
    const { outcome } = readResult(this.#answer(MessageType.RESULT))
    if ('error' in outcome) throw outcome.error
    return outcome.value as Calls[M]['value']
  }

  append(header: Partial<AppendHeader>, ...records: readonly { readonly bytes: Uint8Array }[]): void {
    const head = new Uint8Array(APPEND_HEADER_BYTES)
    writeAppendHeader(head, new DataView(head.buffer), {
      volume: STATE.volume,
      group: groupIndex(0),
      volumeEpoch: STATE.epoch,
      membershipEpoch: 1,
      vdl: ZERO_LSN,
      groupPoint: ZERO_LSN,
      ...header,
    })
    this.#send([head, ...records.map(({ bytes }) => bytes)])
  }

  /**
   * Peers answer all questions of one kind that they were asked; others still wait for an answer.
   * @returns how many questions there were
   */
  answerPeers(answer: (address: string) => unknown, method: Method = 'pull'): number {
    const asked = this.#asked.map(({ address, message }) => ({ address, message, call: readCall(message.subarray(1)) }))
    const [answered, waiting] = [
      asked.filter((a) => a.call.method === method),
      asked.filter((a) => a.call.method !== method),
    ]
    this.#asked = waiting
    for (const { address, call } of answered) this.#send(encodeResult(call.request, answer(address)))
    return answered.length
  }

  commit(): void {
    this.#node.commit()
  }

  /** The acknowledgements that came since the last look. */
  acks(): Ack[] {
    const acks = this.#answers.filter(([type]) => type === MessageType.ACK)
    this.#answers = this.#answers.filter(([type]) => type !== MessageType.ACK)
    return acks.map((message) => readAck(message.subarray(1)))
  }

  read(read: Partial<ReadRequest>): Page {
    const request = encodeRead({
      request: 1,
      volume: STATE.volume,
      group: groupIndex(0),
      block: 0,
      volumeEpoch: STATE.epoch,
      membershipEpoch: 1,
      readPoint: ZERO_LSN,
      minScl: null,
      ...read,
    })
    this.#send([request])
    return readPage(this.#answer(MessageType.PAGE))
  }

  #send(parts: readonly Uint8Array[]): void {
    const message = Uint8Array.from(Buffer.concat(parts))
    this.#node.receive(CONNECTION, message[0] as number, message.subarray(1))
  }

  #answer(type: number): Uint8Array {
    const message = this.#answers.find(([first]) => first === type)
    if (message === undefined) throw new Error(`no answer of type ${type}`)
    this.#answers = this.#answers.filter((other) => other !== message)
    return message.subarray(1)
  }
}
