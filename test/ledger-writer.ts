/**
 * A process that writes mini-transactions of a ledger (`ledger-image.ts`) into a volume until it is stopped:
 *
 *   ledger-writer.ts REGISTRY VOLUME SEED CLIENTS PAUSE_MS CACHE_BYTES
 *
 * Says on stdout, one line of JSON each, before it goes on:
 *   {"opened":EPOCH,"after":NUMBER}  what the volume held
 *   {"synced":NUMBER,"lsn":LSN}      acknowledged as durable, and the CPL of that mini-transaction
 * SIGTERM lets it sync and end with status 0. Fenced it ends with 3; when a read is not what it wrote, with 4.
 */
import { writeSync } from 'node:fs'
import { VolumeError } from '../src/protocol/errors.ts'
import { blockNumber, parseVolumeName } from '../src/protocol/lsn.ts'
import { SqliteRegistry } from '../src/volume/sqlite-registry.ts'
import { openFleet } from '../src/volume/tcp-fleet.ts'
import type { VolumeWriter } from '../src/volume/writer.ts'
import { LEDGER_BLOCKS, LEDGER_GEOMETRY, LedgerImage } from './ledger-image.ts'
import { pause } from './waiting.ts'

const FENCED = 3
const WRONG_READ = 4
const READ_EVERY = 8

const [registryPath = '', name = '', ...numbers] = process.argv.slice(2)
const [seed = 0, clients = 1, pauseMs = 0, cacheBytes = 0] = numbers.map(Number)

/** In the pipe when it returns: what was acknowledged is known even if the next thing that happens is a SIGKILL. */
function say(line: unknown): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(1, bytes, done)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}

/** Room, and all groups, for a mini-transaction that is not known yet. */
const anywhere = Array.from({ length: Math.ceil(LEDGER_BLOCKS / LEDGER_GEOMETRY.blocksPerGroup) }, (_, group) => ({
  block: blockNumber(group * LEDGER_GEOMETRY.blocksPerGroup),
  bytes: new Uint8Array(LEDGER_GEOMETRY.blockBytes),
}))

class Writing {
  readonly #volume: VolumeWriter
  readonly #image: LedgerImage
  stopping = false

  constructor(volume: VolumeWriter, image: LedgerImage) {
    this.#volume = volume
    this.#image = image
  }

  async client(index: number): Promise<void> {
    for (let round = index; !this.stopping; round++) {
      for (let wait = this.#volume.prepare(anywhere); wait !== undefined; wait = this.#volume.prepare(anywhere)) {
        await wait
      }
      const number = this.#image.number + 1
      const lsn = this.#volume.append(this.#image.apply(number, this.#volume.volume.epoch))
      await this.#volume.sync()
      say({ synced: number, lsn })
      if (round % READ_EVERY === 0) await this.#readBack((number * 7919) % LEDGER_BLOCKS)
      if (pauseMs > 0) await pause(pauseMs)
    }
  }

  /** What is read has to be what is newest, if nothing was written to the block meanwhile. */
  async #readBack(block: number): Promise<void> {
    const before = this.#image.changedBy(block)
    const bytes = await this.#volume.read(blockNumber(block))
    if (this.#image.changedBy(block) !== before || Buffer.compare(bytes, this.#image.block(block)) === 0) return
    say({ wrong: block, changedBy: before })
    process.exit(WRONG_READ)
  }
}

async function main(): Promise<void> {
  const id = parseVolumeName(name)
  if (id === undefined) throw new Error(`${name} is no volume`)
  const registry = SqliteRegistry.open(registryPath)
  const fleet = openFleet(registry)
  const volume = await fleet.volumes.open(id, { cacheBytes })
  const image = new LedgerImage(seed)
  for (let block = 0; block < LEDGER_BLOCKS; block++) image.load(block, await volume.read(blockNumber(block)))
  say({ opened: volume.volume.epoch, after: image.number })
  const writing = new Writing(volume, image)
  process.on('SIGTERM', () => {
    writing.stopping = true
  })
  await Promise.all(Array.from({ length: clients }, (_, index) => writing.client(index)))
  fleet.close()
  registry.close()
}

try {
  await main()
} catch (error) {
  const isFenced = error instanceof VolumeError && error.code === 'Fenced'
  if (!isFenced) process.stderr.write(`ledger writer: ${error instanceof Error ? error.stack : error}\n`)
  process.exit(isFenced ? FENCED : 1)
}
