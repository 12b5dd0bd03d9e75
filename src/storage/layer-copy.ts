/**
 * Copies the layers of a full segment from a peer: how a fresh member gets its blocks.
 *
 * The source holds its files for the copier; each is verified as a layer when it is there. A source whose file is
 * damaged is told, so that it mends itself. When a source fails, the copy begins again with another. The log is not
 * copied: gossip fills what is above.
 */
import type { LayerSource } from '../protocol/calls.ts'
import { invariant, VolumeError } from '../protocol/errors.ts'
import type { Member } from '../protocol/group.ts'
import type { Disk, DiskFile } from './disk.ts'
import { type LayerManifest, type LayerRef, parseLayerManifest } from './layers/layer-ref.ts'
import { LayerSet } from './layers/layer-set.ts'
import { scrub } from './layers/scrub.ts'
import { awaitDetached } from './materialise.ts'
import type { PeerCalls } from './peer-calls.ts'
import type { Segment } from './segment.ts'

export type LayerCopyState = 'waiting' | 'asking' | 'copying' | 'done'

/** Small enough that the source is never busy long with it. */
const PIECE_BYTES = 512 * 1024
const RETRY_MS = 200

/** What the copier needs of its node. */
export interface LayerCopyHost {
  readonly disk: Disk
  readonly peers: PeerCalls
  now(): number
  /** Ends background work on the segment: its layers are about to be replaced. */
  quiesce(segment: Segment): void
}

export class LayerCopy {
  readonly #segment: Segment
  readonly #host: LayerCopyHost
  #state: LayerCopyState = 'waiting'
  #notBeforeMs = 0
  #next = 0
  #source: Member | undefined
  #listing:
    | {
        readonly source: LayerSource
        readonly manifest: LayerManifest
      }
    | undefined
  #queue: LayerRef[] = []
  #file: DiskFile | undefined
  #offset = 0
  /** Names of the copied files, by the source's. */
  readonly #names = new Map<string, string>()

  constructor(segment: Segment, host: LayerCopyHost) {
    this.#segment = segment
    this.#host = host
  }

  get state(): LayerCopyState {
    return this.#state
  }

  tick(): void {
    if (this.#state === 'waiting' && this.#host.now() >= this.#notBeforeMs) this.#ask()
  }

  /** The layers are not needed any more: what was copied goes, and answers that are still to come change nothing. */
  end(): void {
    this.#failed()
    this.#state = 'done'
  }

  #failed(): void {
    this.#file?.close()
    this.#file = undefined
    this.#listing = undefined
    if (this.#state === 'done') return
    // The next try takes new names: what is left of this one would only fill the disk.
    for (const name of this.#names.values()) this.#host.disk.remove(`${this.#segment.folder}/${name}`)
    this.#names.clear()
    this.#state = 'waiting'
    this.#notBeforeMs = this.#host.now() + RETRY_MS
  }

  /** Runs what an answer brought; what goes wrong with peer or disk begins the copy again. */
  #guard(action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
      this.#failed()
    }
  }

  #ask(): void {
    const segment = this.#segment
    const sources = segment.peers().filter((peer) => peer.kind === 'full')
    if (sources.length === 0) return
    const source = sources[this.#next++ % sources.length] as Member
    this.#source = source
    this.#state = 'asking'
    const { volume, group, config } = segment
    this.#host.peers.call(
      source.address,
      'layers',
      {
        volume: volume.state.volume,
        group,
        volumeEpoch: volume.state.epoch,
        membershipEpoch: config.epoch,
        // Below its own log, or copied layers and log would leave a gap.
        atLeast: segment.log.from,
      },
      (answer) => {
        if (this.#state === 'done') return
        if ('error' in answer) this.#failed()
        else this.#guard(() => this.#begin(answer.value))
      },
    )
  }

  #begin(source: LayerSource): void {
    // Layers that an ancestor shows through are no substitute for those of a detached branch.
    if (source.below !== null && this.#segment.below === null)
      throw awaitDetached(this.#segment, this.#source as Member, this.#host.peers)
    const manifest = parseLayerManifest(source.layers)
    this.#listing = { source, manifest }
    this.#names.clear()
    this.#queue = []
    for (const ref of manifest.refs) {
      if (this.#names.has(ref.file)) continue
      this.#names.set(ref.file, `layer-copy-${this.#segment.layers.takeId()}`)
      this.#queue.push(ref)
    }
    this.#state = 'copying'
    this.#nextFile()
  }

  #nextFile(): void {
    const ref = this.#queue[0]
    if (ref === undefined) {
      this.#install()
      return
    }
    this.#file = this.#host.disk.create(`${this.#segment.folder}/${this.#names.get(ref.file)}`)
    this.#offset = 0
    this.#nextPiece(ref)
  }

  #nextPiece(ref: LayerRef): void {
    if (this.#offset >= ref.fileBytes) {
      this.#file?.sync()
      this.#file?.close()
      this.#file = undefined
      this.#verify(ref)
      this.#queue.shift()
      this.#nextFile()
      return
    }
    const length = Math.min(PIECE_BYTES, ref.fileBytes - this.#offset)
    const { volume, group } = this.#segment
    this.#host.peers.call(
      (this.#source as Member).address,
      'layerBytes',
      { volume: volume.state.volume, group, layer: ref.id, offset: this.#offset, length },
      (answer) => {
        if (this.#state === 'done') return
        if ('error' in answer || answer.attachment.length !== length) {
          this.#failed()
          return
        }
        this.#guard(() => {
          this.#file?.write(this.#offset, answer.attachment)
          this.#offset += length
          this.#nextPiece(ref)
        })
      },
    )
  }

  /** Reads a copied file whole, some 30 ms for 64 MiB: a source may pass on rot that it has not found itself. */
  #verify(ref: LayerRef): void {
    const { layers, volume, group } = this.#segment
    const file = this.#names.get(ref.file) as string
    const refs = this.#listing?.manifest.refs.filter(({ id }) => id === ref.id).map((each) => ({ ...each, file }))
    const alone = LayerSet.fromManifest({ ...LayerSet.emptyManifest(), refs }, layers.setting)
    const steps = scrub(alone)
    let step = steps.next()
    while (step.done !== true) step = steps.next()
    alone.close()
    const [damage] = step.value.damages
    if (damage === undefined) return
    const { address } = this.#source as Member
    this.#host.peers.call(address, 'verify', { volume: volume.state.volume, group, layer: ref.id }, () => {})
    throw new VolumeError('Corrupt', `the copy of layer ${ref.id} is damaged: ${damage.message}`)
  }

  #install(): void {
    invariant(this.#listing !== undefined, 'a copy without a listing was installed')
    const { manifest, source } = this.#listing
    const segment = this.#segment
    this.#host.disk.syncFolder(segment.folder)
    const refs = manifest.refs.map((ref) => ({ ...ref, file: this.#names.get(ref.file) as string }))
    this.#host.quiesce(segment)
    segment.volume.adoptGrant(source.grant)
    segment.rebuilt({ ...manifest, refs }, source.flushed, source.completeTo, source.below)
    this.#state = 'done'
  }
}
