/** A view that follows the head while everything around it fails: it only sees whole mini-transactions, in order. */
import { VolumeError } from '../src/protocol/errors.ts'
import { blockNumber, type Lsn, type VolumeId, ZERO_LSN } from '../src/protocol/lsn.ts'
import type { Fleet } from '../src/volume/tcp-fleet.ts'
import type { VolumeView } from '../src/volume/volume-view.ts'
import type { Ledger } from './ledger.ts'
import { LEDGER_BLOCKS, type LedgerImage, writtenBy } from './ledger-image.ts'
import { pause, until } from './waiting.ts'

/** Of the blocks that are compared at each read point. */
const BLOCKS_EACH = 24
const PAUSE_MS = 10

export class LedgerFollower {
  readonly problems: string[] = []
  /** Read points that were looked at. */
  points = 0
  /** The last mini-transaction it saw. */
  number = 0
  /** Times that no full copy could answer. */
  refused = 0
  readonly #fleet: Fleet
  readonly #volume: VolumeId
  readonly #ledger: Ledger
  readonly #image: LedgerImage
  readonly #ended: Promise<void>
  #readPoint: Lsn = ZERO_LSN
  #stopping = false

  constructor(fleet: Fleet, volume: VolumeId, ledger: Ledger) {
    this.#fleet = fleet
    this.#volume = volume
    this.#ledger = ledger
    this.#image = ledger.image()
    this.#ended = this.#run().catch((error: unknown) => {
      this.problems.push(`the view ended: ${error instanceof Error ? error.stack : error}`)
    })
  }

  async #run(): Promise<void> {
    const view = await until('a view opens', () => this.#fleet.volumes.view(this.#volume).catch(() => undefined))
    while (!this.#stopping && this.problems.length === 0) {
      try {
        await view.follow()
        await this.#look(view)
        this.points++
      } catch (error) {
        if (!(error instanceof VolumeError) || !error.retryable) throw error
        this.refused++
      }
      await pause(PAUSE_MS)
    }
    await view.close()
  }

  async #look(view: VolumeView): Promise<void> {
    const { readPoint } = view
    if (readPoint < this.#readPoint) this.problems.push(`the read point went from ${this.#readPoint} to ${readPoint}`)
    this.#readPoint = readPoint
    const { number, epoch } = writtenBy(await view.read(blockNumber(0)))
    if (number < this.number)
      this.problems.push(`at ${readPoint} ${number} is the last, ${this.number} was seen before`)
    this.number = number
    // Nodes may tell of an opening before its process does.
    await until(`the writer of epoch ${epoch} says so`, () => number === 0 || this.#ledger.epochOf(number) === epoch)
    this.#ledger.advance(this.#image, number)
    const start = (this.points * BLOCKS_EACH) % LEDGER_BLOCKS
    await Promise.all(
      Array.from({ length: BLOCKS_EACH }, (_, i) => this.#compare(view, (start + i) % LEDGER_BLOCKS, number)),
    )
  }

  async #compare(view: VolumeView, block: number, number: number): Promise<void> {
    const bytes = await view.read(blockNumber(block))
    if (Buffer.compare(bytes, this.#image.block(block)) === 0) return
    const found = writtenBy(bytes)
    this.problems.push(
      `at ${view.readPoint}, after mini-transaction ${number}: block ${block} was written by ${found.number} of epoch ${found.epoch}, not ${writtenBy(this.#image.block(block)).number}`,
    )
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#ended
  }
}
