/** Rounds of echo nodes (`test/echo-node.ts`): a message to all of them, until enough have answered. */
import type { TcpFabric } from '../../src/volume/tcp-fabric.ts'
import { Echo } from '../../test/echo-node.ts'

/** Answers that end a round. */
const NEEDED = 4

/** Keeps so many rounds going; answers the time of each in us. */
export class Rounds {
  readonly #fabric: TcpFabric
  readonly #addresses: readonly string[]
  readonly #message: readonly Uint8Array[]
  readonly #answered: Map<string, number>
  readonly #startedAt: number[] = []
  #times: number[] = []
  #done = 0
  #until = 0
  #finished: () => void = () => {}

  constructor(fabric: TcpFabric, addresses: readonly string[], messageBytes: number) {
    this.#fabric = fabric
    this.#message = [Uint8Array.of(Echo.ECHO), new Uint8Array(messageBytes - 1)]
    this.#addresses = addresses
    this.#answered = new Map(addresses.map((address) => [address, 0]))
    fabric.onMessage((address) => this.#answer(address))
  }

  async run(outstanding: number, ms: number): Promise<number[]> {
    this.#times = []
    this.#until = performance.now() + ms
    const finished = new Promise<void>((resolve) => {
      this.#finished = resolve
    })
    for (let i = 0; i < outstanding; i++) this.#start()
    await finished
    return this.#times
  }

  #start(): void {
    this.#startedAt.push(performance.now())
    for (const address of this.#addresses) this.#fabric.send(address, this.#message)
  }

  #answer(address: string): void {
    this.#answered.set(address, (this.#answered.get(address) ?? 0) + 1)
    const quorum = [...this.#answered.values()].sort((a, b) => b - a)[NEEDED - 1] ?? 0
    while (this.#done < quorum) {
      const now = performance.now()
      this.#times.push((now - (this.#startedAt[this.#done++] ?? now)) * 1000)
      if (now < this.#until) this.#start()
      else if (this.#done === this.#startedAt.length) this.#finished()
    }
  }
}
