/**
 * A program that holds one volume open for writing: what it writes goes to the model first-hand, what it reads is
 * compared, and every promise that the volume makes it is noted.
 */
import { type BlockNumber, blockNumber, type Lsn, type VolumeId, volumeName } from '../src/protocol/lsn.ts'
import type { Change } from '../src/volume/change.ts'
import type { VolumeWriter } from '../src/volume/writer.ts'
import type { SimClient } from './client.ts'
import { type Timeline, Violation, type VolumeModel } from './oracle.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

const GRANULE_BYTES = 16
/** More than this at once and an actor waits for some of it to end. */
const OPERATIONS_MAX = 12

type Step =
  | { readonly block: number; readonly how: 'delta' | 'full' | 'zeros' }
  | { readonly trim: number; readonly count: number }

/** What whole blocks repeat: not the smallest ones. */
const REPEATED_BYTES = 64

export class WriterActor {
  readonly client: SimClient
  readonly volume: VolumeId
  readonly #world: World
  readonly #random: Random
  #writer: VolumeWriter | undefined
  #timeline: Timeline | undefined
  #operations = 0
  /** The last record of each group that was noted. */
  readonly #ends = new Map<number, Lsn>()

  constructor(world: World, client: SimClient, volume: VolumeId) {
    this.#world = world
    this.client = client
    this.volume = volume
    this.#random = world.random.fork(client.name)
    client.onTick(() => this.#noteProgress())
  }

  get writer(): VolumeWriter | undefined {
    return this.#writer
  }

  get isOpen(): boolean {
    return this.client.state === 'up' && this.#writer?.state === 'open'
  }

  /** It opened the volume once and cannot go on. */
  get isOver(): boolean {
    return this.client.state === 'down' || (this.#writer !== undefined && this.#writer.state !== 'open')
  }

  get isIdle(): boolean {
    return this.#operations < OPERATIONS_MAX
  }

  get #model(): VolumeModel {
    return this.#world.oracle.volume(this.volume)
  }

  /** Opens the volume; again and again until that succeeds or the process is gone. */
  async open(): Promise<void> {
    const { swarm } = this.#world
    const writer = await this.client.volumes.open(this.volume, {
      cacheBytes: swarm.blockBytes * swarm.writer.cacheBlocks,
      unackedBytesMax: swarm.writer.unackedBytesMax,
      frameBytes: swarm.writer.frameBytes,
      packBytesMin: swarm.writer.packBytesMin,
    })
    if (this.client.state === 'down') return
    const { epoch } = writer.volume
    const timeline = this.#model.timelineOf(epoch)
    if (timeline === undefined)
      throw new Violation('a recovery is on record', `${volumeName(this.volume)} epoch ${epoch}`)
    this.#world.ledger.acknowledged(this.volume, epoch, this.client.name)
    timeline.acknowledge(timeline.start)
    this.#timeline = timeline
    this.#writer = writer
    this.#world.count('writer opened')
    writer.onDurable((vdl) => {
      if (this.client.state === 'up') timeline.acknowledge(vdl)
    })
  }

  /** Control records are written by the volume itself. */
  #noteProgress(): void {
    const writer = this.#writer
    if (writer === undefined || this.#timeline === undefined) return
    this.#model.reached(this.#timeline, writer.last)
    this.#noteEnds(writer)
  }

  #noteEnds(writer: VolumeWriter): void {
    for (const { group, last } of writer.replication.groups.values()) {
      if (this.#ends.get(group) === last) continue
      this.#ends.set(group, last)
      this.#world.noteGroupEnd(this.volume, group, writer.last, last, writer.volume.epoch)
    }
  }

  // -------------------------------------------------------------- writing

  writeDelta(): Promise<void> {
    return this.#write([{ block: this.#block(), how: 'delta' }])
  }

  writeFull(): Promise<void> {
    return this.#write([{ block: this.#block(), how: this.#random.chance(0.1) ? 'zeros' : 'full' }])
  }

  writeMany(): Promise<void> {
    const blocks = new Set<number>()
    const count = this.#random.between(1, this.#world.swarm.mtrBlocksMax)
    for (let i = 0; i < count; i++) blocks.add(this.#block())
    const steps: Step[] = [...blocks].map((block) => ({ block, how: this.#random.pick(['delta', 'full', 'delta']) }))
    if (this.#random.chance(0.15)) steps.splice(this.#random.below(steps.length + 1), 0, this.#trimStep())
    return this.#write(steps)
  }

  trim(): Promise<void> {
    return this.#write([this.#trimStep()])
  }

  #trimStep(): Step {
    const { blocks } = this.#world.swarm
    const trim = this.#block()
    return { trim, count: this.#random.magnitude(1, Math.max(1, blocks - trim)) }
  }

  #block(): number {
    const { blocks } = this.#world.swarm
    // Some blocks get long chains of versions.
    return this.#random.chance(0.5) ? this.#random.below(Math.min(3, blocks)) : this.#random.below(blocks)
  }

  async #write(steps: readonly Step[]): Promise<void> {
    const writer = this.#writer
    const timeline = this.#timeline
    if (writer === undefined || timeline === undefined) return
    // Deltas are made against the last version, which a program has usually read before.
    if (this.#random.chance(0.3)) {
      for (const step of steps) if ('block' in step && step.how === 'delta') await this.#read(step.block)
    }
    const zeros = new Uint8Array(this.#world.swarm.blockBytes)
    const shape = steps.map(
      (step): Change =>
        'block' in step
          ? { block: blockNumber(step.block), bytes: zeros }
          : { trim: blockNumber(step.trim), count: step.count },
    )
    for (let wait = writer.prepare(shape); wait !== undefined; wait = writer.prepare(shape)) await wait
    if (this.client.state === 'down') return
    const content = new Map<number, Uint8Array | undefined>()
    const changes = steps.map((step): Change => {
      if ('trim' in step) {
        for (let block = step.trim; block < step.trim + step.count; block++) content.set(block, undefined)
        return { trim: blockNumber(step.trim), count: step.count }
      }
      const before = content.has(step.block) ? content.get(step.block) : timeline.block(step.block, timeline.head)
      const bytes = this.#next(before ?? zeros, step.how)
      content.set(step.block, bytes)
      return { block: blockNumber(step.block), bytes: bytes.slice() }
    })
    this.#noteProgress()
    const after = writer.last
    try {
      writer.append(changes)
    } finally {
      // Also when it crashed on the way: some of it may have been sent.
      if (writer.last > after) this.#model.written(timeline, { after, cpl: writer.last, changes: content })
      this.#noteEnds(writer)
    }
    this.#world.count('written')
    if (this.#random.chance(this.#world.swarm.writer.syncChance)) await this.sync()
  }

  #next(before: Uint8Array, how: 'delta' | 'full' | 'zeros'): Uint8Array {
    if (how === 'zeros') return new Uint8Array(before.length)
    const bytes = before.slice()
    if (how === 'full') {
      this.#random.fill(bytes)
      // So that it can be packed.
      for (let at = REPEATED_BYTES; at < bytes.length; at += REPEATED_BYTES) bytes.copyWithin(at, 0, REPEATED_BYTES)
      return bytes
    }
    for (let n = this.#random.between(1, 3); n > 0; n--) {
      const at = this.#random.below(bytes.length / GRANULE_BYTES) * GRANULE_BYTES
      this.#random.fill(bytes.subarray(at, at + this.#random.between(1, GRANULE_BYTES)))
    }
    return bytes
  }

  async sync(): Promise<void> {
    const writer = this.#writer
    const timeline = this.#timeline
    if (writer === undefined || timeline === undefined) return
    const wanted = writer.last
    const vdl = await writer.sync()
    if (this.client.state === 'down') return
    if (vdl < wanted) throw new Violation('a sync covers what was written', `${vdl} instead of ${wanted}`)
    timeline.acknowledge(vdl)
    this.#world.count('synced')
  }

  // -------------------------------------------------------------- reading

  readHead(): Promise<void> {
    return this.#read(this.#random.below(this.#world.swarm.blocks + 1))
  }

  async #read(block: number): Promise<void> {
    const writer = this.#writer
    const timeline = this.#timeline
    if (writer === undefined || timeline === undefined) return
    this.#noteProgress()
    const from = timeline.head
    const bytes = await writer.read(blockNumber(block) as BlockNumber)
    if (this.client.state === 'down') return
    // The newest content, of the moment when it was asked for or of any later one.
    const points = [from, ...timeline.mtrs.filter(({ cpl }) => cpl > from).map(({ cpl }) => cpl)]
    const zeros = new Uint8Array(bytes.length)
    if (points.some((at) => Buffer.compare(timeline.block(block, at) ?? zeros, bytes) === 0)) {
      this.#world.count('read at the head')
      return
    }
    throw new Violation(
      'a writer reads what it wrote',
      `${timeline} block ${block} at ${from}: ${Buffer.from(bytes.subarray(0, 16)).toString('hex')}`,
    )
  }

  /** Runs one operation of this actor; what the volume refuses is no failure. */
  perform(what: string, action: () => Promise<void>): void {
    this.#operations++
    this.#world.perform(this.client, `${what} of ${volumeName(this.volume)}`, action, () => this.#operations--)
  }
}
