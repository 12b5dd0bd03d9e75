/** The rare requests of a storage node, each answered at once (`protocol/calls.ts` says what they are). */
import { checkBelow, checkGrant, checkGroupConfig, checkVolumeState } from '../protocol/call-values.ts'
import {
  type Calls,
  checkArgument,
  isMethod,
  type LayerSource,
  type Method,
  type NodeStatus,
} from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type GroupIndex, groupIndex, type VolumeId, ZERO_LSN } from '../protocol/lsn.ts'
import { type Call, encodeDigests, encodeResult, encodeSummaries } from '../protocol/message.ts'
import { giveHistory } from './column-source.ts'
import type { Disk } from './disk.ts'
import { LayerHolds } from './layer-holds.ts'
import { blocksOf, digest } from './layers/digest.ts'
import { lsnAt } from './layers/wall-clock.ts'
import type { NodeVolume } from './node-volume.ts'
import type { Segment } from './segment.ts'
import type { StorageNode } from './storage-node.ts'

interface Answered<M extends Method> {
  readonly value: Calls[M]['value']
  readonly attachment?: Uint8Array
}

type Handlers = { readonly [M in Method]: (argument: Calls[M]['argument']) => Answered<M> }

/** A pull never answers more, whatever was asked. */
const PULL_BYTES_MAX = 4 * 1024 * 1024
const PIECE_BYTES_MAX = 4 * 1024 * 1024
const DIGEST_COUNT_MAX = 4096

export class NodeCalls {
  readonly #node: StorageNode
  readonly #disk: Disk
  readonly #holds: LayerHolds

  constructor(node: StorageNode, disk: Disk, now: () => number) {
    this.#node = node
    this.#disk = disk
    this.#holds = new LayerHolds(disk, now)
  }

  /** @throws VolumeError what the caller is told */
  answer(call: Call): Uint8Array[] {
    const { method } = call
    if (!isMethod(method)) throw new VolumeError('BadRequest', `no such call: ${method}`)
    return this.#dispatch(method, call)
  }

  #dispatch<M extends Method>(method: M, call: Call): Uint8Array[] {
    const answered = this.#handlers[method](checkArgument(method, call.argument))
    return encodeResult(call.request, answered.value, answered.attachment)
  }

  tick(): void {
    this.#holds.expire()
  }

  #volume(id: VolumeId): NodeVolume {
    const volume = this.#node.table.volumes.get(id)
    if (volume === undefined) throw new VolumeError('UnknownSegment', 'the volume is not known here')
    return volume
  }

  /** @throws VolumeError unless caller and segment agree on both epochs */
  #peerSegment(argument: {
    volume: VolumeId
    group: GroupIndex
    volumeEpoch: number
    membershipEpoch: number
  }): Segment {
    const segment = this.#node.table.need(argument.volume, argument.group)
    const { epoch } = segment.volume.state
    if (argument.volumeEpoch !== epoch) {
      const code = argument.volumeEpoch < epoch ? 'StaleVolumeEpoch' : 'UnknownEpoch'
      throw new VolumeError(code, `volume epoch ${argument.volumeEpoch}, here ${epoch}`)
    }
    if (argument.membershipEpoch !== segment.config.epoch) {
      throw new VolumeError(
        'StaleMembership',
        `membership epoch ${argument.membershipEpoch}, here ${segment.config.epoch}`,
      )
    }
    return segment
  }

  /** Answers from a segment's log; damage that is found there makes the segment start again from its layers. */
  #fromLog<T>(segment: Segment, answer: () => T): T {
    let answered: T | undefined
    this.#node.withLog(segment, () => {
      answered = answer()
    })
    if (answered === undefined) throw new VolumeError('SuspectSegment', 'the log of this segment is damaged')
    return answered
  }

  /** Answers from a segment's blocks; damage that is found there is mended from a peer. */
  #fromBlocks<T>(segment: Segment, answer: () => T): T {
    try {
      return answer()
    } catch (error) {
      if (error instanceof VolumeError && error.code === 'Corrupt') this.#node.damaged(segment, error)
      throw error
    }
  }

  readonly #handlers: Handlers = {
    fence: ({ volume: id, epoch }) => {
      const volume = this.#volume(id)
      volume.fence(epoch)
      this.#node.fenced(volume)
      return { value: { vdl: volume.vdl, segments: this.#node.table.reports(id) } }
    },

    seal: ({ state }) => {
      checkVolumeState(state)
      const volume = this.#volume(state.volume)
      if (volume.seal(state, () => this.#node.forgetLogs(state.volume))) this.#node.sealed(volume)
      // Who asks again waits for what only some of the members have: the round that sealing began may have ended
      // before those were sealed, and the next one is seconds away.
      else for (const segment of this.#node.table.of(state.volume)) this.#node.repairs.demand(segment)
      return { value: { segments: this.#node.table.reports(state.volume) } }
    },

    summaries: ({ volume, group, above }) => {
      const segment = this.#node.table.need(volume, group)
      return this.#fromLog(segment, () => {
        const [first] = segment.records(above, 1)
        return {
          value: { scl: segment.scl, after: first?.prevGroup ?? segment.scl },
          attachment: encodeSummaries(segment.summaries(above)),
        }
      })
    },

    configure: ({ state, config, incarnation, create, below }) => {
      checkVolumeState(state)
      checkGroupConfig(config)
      checkBelow(below)
      if (incarnation !== this.#node.incarnation) {
        throw new VolumeError('WrongIncarnation', 'the node that was a member lost its disk; this is another')
      }
      let volume = this.#node.table.volumes.get(state.volume)
      if (volume === undefined) volume = this.#node.table.addVolume(state)
      else if (volume.adopt(state, () => this.#node.forgetLogs(state.volume))) this.#node.sealed(volume)
      let segment = this.#node.table.get(state.volume, config.group)
      const own = config.members.find((member) => member.incarnation === incarnation)
      // No member any more; or one again, of the other kind, without having heard that it was none in between.
      if (segment !== undefined && config.epoch > segment.config.epoch && own?.kind !== segment.kind) {
        this.#node.removeSegment(segment)
        segment = undefined
      }
      if (own === undefined) return { value: null }
      if (segment === undefined) segment = this.#node.addSegment(volume, config, below, !create)
      else {
        segment.adopt(config)
        if (below === null && segment.below !== null && volume.state.parent === null) {
          // It joined while the branch was detached: what it does not hold itself the others do.
          if (segment.kind === 'tail') segment.detached()
          else this.#node.repairs.rebuild(segment)
        }
      }
      return { value: segment.report() }
    },

    pull: (argument) => {
      const segment = this.#peerSegment(argument)
      return this.#fromLog(segment, () => {
        const { from, bytesMax } = argument
        const records =
          from >= segment.log.from && bytesMax > 0 ? segment.records(from, Math.min(bytesMax, PULL_BYTES_MAX)) : []
        return {
          attachment: Buffer.concat(Array.from(records, ({ encoded }) => encoded)),
          value: { report: segment.report(), vdl: segment.volume.vdl, logFrom: segment.log.from },
        }
      })
    },

    layers: (argument) => {
      const segment = this.#peerSegment(argument)
      if (segment.kind !== 'full' || !segment.isWhole) {
        const how = segment.state === 'active' ? 'damaged' : segment.state
        throw new VolumeError('SuspectSegment', `a ${how} ${segment.kind} segment is no source`)
      }
      if (segment.flushed < argument.atLeast) {
        this.#node.work.wantFlush(segment)
        throw new VolumeError('Conflict', `flushed to ${segment.flushed} so far, ${argument.atLeast} is needed`)
      }
      this.#fromBlocks(segment, () => this.#holds.hold(segment))
      const { cutoff, pins, grantVersion } = segment.volume.state
      const source: LayerSource = {
        grant: { cutoff, pins, grantVersion },
        flushed: segment.flushed,
        completeTo: segment.flushed,
        below: segment.below,
        layers: segment.layers.toManifest(),
      }
      return { value: source }
    },

    layerBytes: ({ volume, group, layer, offset, length }) => {
      const segment = this.#node.table.need(volume, group)
      try {
        const attachment = this.#holds.read(segment, layer, offset, Math.min(length, PIECE_BYTES_MAX))
        return { value: { bytes: attachment.length }, attachment }
      } catch (error) {
        // Which blocks the disk cannot read is yet to be found out.
        if (error instanceof VolumeError && error.code === 'Corrupt') this.#node.work.verify(segment, layer)
        throw error
      }
    },

    verify: ({ volume, group, layer }) => {
      this.#node.work.verify(this.#node.table.need(volume, group), layer)
      return { value: {} }
    },

    history: (argument) => {
      const segment = this.#peerSegment(argument)
      if (segment.scl < argument.upTo) this.#node.repairs.demand(segment)
      return giveHistory(segment, argument, (error) => this.#node.damaged(segment, error))
    },

    grant: ({ volume, ...grant }) => {
      this.#volume(volume).adoptGrant(checkGrant(grant))
      for (const segment of this.#node.table.of(volume)) this.#node.work.touched(segment)
      return { value: {} }
    },

    head: ({ volume: id }) => {
      const volume = this.#volume(id)
      return {
        value: {
          vdl: volume.vdl,
          epoch: volume.fencedEpoch,
          incarnation: this.#node.incarnation,
          segments: this.#node.table.reports(id),
        },
      }
    },

    lsnAt: ({ volume, wallClockMs }) => {
      const segment = this.#node.table.need(volume, groupIndex(0))
      segment.checkReadable(ZERO_LSN, null)
      const found = this.#fromBlocks(segment, () => {
        let newest = lsnAt(segment.blocks, wallClockMs)
        // The newest may not be durable yet.
        while (newest !== undefined && newest.lsn > segment.completeTo)
          newest = lsnAt(segment.blocks, newest.wallMs - 1)
        return newest
      })
      return { value: { lsn: found?.lsn ?? null, wallClockMs: found?.wallMs ?? null } }
    },

    digest: ({ volume, group, readPoint, block, count }) => {
      const segment = this.#node.table.need(volume, group)
      segment.checkReadable(readPoint, null)
      segment.volume.checkReadPoint(readPoint)
      const end = block + Math.min(count, DIGEST_COUNT_MAX)
      const parentBlocks = this.#node.table
        .ancestorsOf(segment)
        .flatMap((ancestor) => this.#fromBlocks(ancestor, () => [...blocksOf(ancestor.blocks, block, end)]))
      const blocks = this.#fromBlocks(segment, () => [...digest(segment.blocks, readPoint, block, end, parentBlocks)])
      return {
        value: { next: end < segment.volume.state.blocksPerGroup ? end : null },
        attachment: encodeDigests(blocks),
      }
    },

    drop: ({ volume }) => {
      const known = this.#node.table.volumes.get(volume)
      if (known !== undefined) this.#node.dropVolume(known)
      return { value: {} }
    },

    materialise: ({ volume, group }) => {
      const segment = this.#node.table.need(volume, group)
      if (segment.kind === 'full' && segment.below !== null) this.#node.work.wantMaterialised(segment)
      return { value: { done: segment.kind !== 'full' || segment.below === null } }
    },

    status: () => {
      const node = this.#node
      const value: NodeStatus = {
        node: node.identity.node,
        incarnation: node.incarnation,
        zone: node.identity.zone,
        state: node.full ? 'full' : 'ready',
        applyDelayMs: node.work.applyDelayMs,
        freeBytes: this.#disk.freeBytes(),
        logBytes: node.logBytes,
        memoryBytes: node.work.memoryBytes,
        volumes: [...node.table.volumes].map(([volume, { vdl, fencedEpoch }]) => ({
          volume,
          vdl,
          epoch: fencedEpoch,
          segments: node.table.reports(volume),
        })),
        counters: node.counters,
      }
      return { value }
    },
  }
}
