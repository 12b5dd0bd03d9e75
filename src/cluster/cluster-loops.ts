/** The loops of all clusters of a region: one for each, begun with it and ended with it; and who waits for a change. */
import { ClusterLoop, type LoopWorld } from './cluster-loop.ts'
import type { ControlStore } from './control-store.ts'

export interface LoopsWorld extends Omit<LoopWorld, 'moved'> {
  readonly store: ControlStore
  /** A loopback address that nobody has. */
  newAddress(taken: ReadonlySet<string>): string
}

export class ClusterLoops {
  readonly #world: LoopsWorld
  readonly #loops = new Map<string, ClusterLoop>()
  #waiting: (() => void)[] = []
  #isRunning = false

  constructor(world: LoopsWorld) {
    this.#world = world
    const { agent, store } = world
    agent.onChange((name) => {
      const cluster = store.instance(name)?.cluster
      if (cluster !== undefined) this.#loops.get(cluster)?.wake()
      this.#changed()
    })
  }

  start(): void {
    this.#isRunning = true
    for (const { name } of this.#world.store.clusters()) this.#loop(name)
  }

  #loop(name: string): void {
    if (!this.#isRunning || this.#loops.has(name)) return
    const world = this.#world
    const loop = new ClusterLoop(name, {
      ...world,
      moved: (instance) => ({ ...instance, address: world.newAddress(world.store.addresses()) }),
      onDecision: (cluster, decision, before) => {
        world.onDecision(cluster, decision, before)
        this.#changed()
      },
      complain: (what, error) => {
        world.complain(what, error)
        this.#changed()
      },
      onChange: () => this.#changed(),
    })
    this.#loops.set(name, loop)
    loop.start()
  }

  /** Resolves when no loop does anything any more; instances go on as they are. */
  async stop(): Promise<void> {
    this.#isRunning = false
    await Promise.all([...this.#loops.values()].map((loop) => loop.stop()))
    this.#loops.clear()
  }

  /** Something is wanted of a cluster that was not before. */
  wake(cluster: string): void {
    this.#loop(cluster)
    this.#loops.get(cluster)?.wake()
    this.#changed()
  }

  /** It goes on with what it is doing: two loops must not do things to one instance. */
  rename(cluster: string, newName: string): void {
    const loop = this.#loops.get(cluster)
    if (loop === undefined) return
    this.#loops.delete(cluster)
    this.#loops.set(newName, loop)
    loop.name = newName
  }

  #forget(cluster: string): void {
    const loop = this.#loops.get(cluster)
    this.#loops.delete(cluster)
    void loop?.stop()
  }

  #changed(): void {
    for (const name of this.#loops.keys()) if (this.#world.store.cluster(name) === undefined) this.#forget(name)
    this.#world.onChange()
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  /** Resolves when something may have changed. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
