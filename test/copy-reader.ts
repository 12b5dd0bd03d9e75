/** Reads blocks from one very copy, again and again, while it starts and heals: what it serves has to be right. */
import { VolumeError } from '../src/protocol/errors.ts'
import type { GroupConfig } from '../src/protocol/group.ts'
import type { Lsn, VolumeId } from '../src/protocol/lsn.ts'
import { readGroup } from '../src/volume/registry-cells.ts'
import type { Fleet } from '../src/volume/tcp-fleet.ts'
import { LEDGER_BLOCKS, LEDGER_GEOMETRY, type LedgerImage, writtenBy } from './ledger-image.ts'
import { pause } from './waiting.ts'

const { blocksPerGroup, blockBytes } = LEDGER_GEOMETRY
const ZEROS = new Uint8Array(blockBytes)

export class CopyReader {
  readonly problems: string[] = []
  /** Blocks that it served; those that it refused do not count. */
  served = 0
  /** Times that it was asked for every block. */
  rounds = 0
  readonly #fleet: Fleet
  readonly #volume: VolumeId
  readonly #image: LedgerImage
  readonly #node: string
  readonly #readPoint: Lsn
  readonly #ended: Promise<void>
  #stopping = false

  /** @param image what the volume holds at `readPoint` */
  constructor(fleet: Fleet, volume: VolumeId, image: LedgerImage, node: string, readPoint: Lsn) {
    this.#fleet = fleet
    this.#volume = volume
    this.#image = image
    this.#node = node
    this.#readPoint = readPoint
    this.#ended = this.#run().catch((error: unknown) => {
      this.problems.push(`reading ${node} ended: ${error instanceof Error ? error.stack : error}`)
    })
  }

  async #configs(): Promise<GroupConfig[]> {
    const record = await this.#fleet.volumes.get(this.#volume)
    const { registry } = this.#fleet.context
    const groups = [...record.groups.keys()]
    return Promise.all(groups.map(async (group) => (await readGroup(registry, record.placement, group)).record))
  }

  #addressIn(config: GroupConfig): string | undefined {
    return config.members.find(({ node }) => node === this.#node)?.address
  }

  async #run(): Promise<void> {
    const configs = await this.#configs()
    for (let block = 0; !this.#stopping; block = (block + 1) % LEDGER_BLOCKS) {
      if (block === 0) this.rounds++
      const config = configs[Math.floor(block / blocksPerGroup)]
      if (config === undefined || this.#addressIn(config) === undefined) continue
      await this.#read(config, block)
      if (block % 32 === 0) await pause(1)
    }
  }

  async #read(config: GroupConfig, block: number): Promise<void> {
    const { client } = this.#fleet.context
    const read = {
      volume: this.#volume,
      group: config.group,
      block: block % blocksPerGroup,
      volumeEpoch: 0,
      membershipEpoch: config.epoch,
      readPoint: this.#readPoint,
      minScl: null,
    }
    const bytes = await new Promise<Uint8Array | VolumeError>((resolve) => {
      client.read(this.#addressIn(config) as string, read, (page) => {
        resolve(page instanceof VolumeError ? page : page.bytes.slice())
      })
    })
    if (bytes instanceof VolumeError) {
      // A tail holds no blocks, and says so.
      if (!bytes.retryable && bytes.code !== 'BadRequest') this.problems.push(`block ${block}: ${bytes.code}`)
      await pause(1)
      return
    }
    this.served++
    if (Buffer.compare(bytes.length === 0 ? ZEROS : bytes, this.#image.block(block)) === 0) return
    const found = bytes.length === 0 ? 'zeros' : `by ${writtenBy(bytes).number}`
    this.problems.push(
      `node ${this.#node} served block ${block} ${found}, not by ${writtenBy(this.#image.block(block)).number}`,
    )
  }

  /** Segments of the node that count nowhere at the moment, or are not there. */
  async suspects(): Promise<number> {
    let count = 0
    for (const config of await this.#configs()) {
      const address = this.#addressIn(config)
      if (address === undefined) continue
      try {
        const { value } = await this.#fleet.context.client.call(address, 'head', { volume: this.#volume })
        if (value.segments.find(({ group }) => group === config.group)?.suspect !== false) count++
      } catch {
        count++
      }
    }
    return count
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#ended
  }
}
