/** The process of the balancers: it outlives us, is adopted by the next region, and told the endpoints whenever they change. */
import { join } from 'node:path'
import { Daemon } from '../cluster/host/daemon.ts'
import { type Home, logFile } from '../cluster/host/home.ts'
import { isAlive } from '../cluster/host/process-identity.ts'
import type { ListedProcess, ProcessList } from '../cluster/host/process-list.ts'
import type { BalancedEndpointSettings, GatewayReport } from '../gateway/gateway-command.ts'

const PROGRAM = join(import.meta.dirname, '..', 'gateway', 'gateway-main.ts')
const NAME = 'gateway'
const AGAIN_MS = 500
const STOP_MS_MAX = 5000

export interface GatewayPlace {
  readonly home: Home
  readonly list: ProcessList
  readonly say: (line: string) => void
}

export class GatewayProcess {
  readonly #place: GatewayPlace
  #daemon: Daemon | undefined
  #endpoints: readonly BalancedEndpointSettings[] = []
  #problems = new Map<string, string>()
  #isStopped = false

  constructor(place: GatewayPlace) {
    this.#place = place
  }

  async start(left: readonly ListedProcess[]): Promise<void> {
    const running = left.find((each) => each.kind === 'gateway' && isAlive(each))
    const place = {
      socket: join(this.#place.home.region, 'gateway.sock'),
      onMessage: (message: unknown) => this.#heard(message as GatewayReport),
      onGone: (why: string) => this.#gone(why),
    }
    const command = [process.execPath, PROGRAM, '--control', place.socket] as const
    this.#daemon =
      running === undefined
        ? await Daemon.start([...command], logFile(this.#place.home, NAME), place)
        : Daemon.adopt(running, place)
    this.#place.list.add('gateway', NAME, this.#daemon.identity.pid, [])
    this.#daemon.send({ do: 'endpoints', endpoints: this.#endpoints })
  }

  #heard({ endpoints }: GatewayReport): void {
    for (const { name, problem } of endpoints ?? []) {
      if (problem !== null && problem !== this.#problems.get(name)) this.#place.say(`endpoint ${name}: ${problem}`)
      if (problem === null) this.#problems.delete(name)
      else this.#problems.set(name, problem)
    }
  }

  #gone(why: string): void {
    this.#daemon = undefined
    if (this.#isStopped) return
    this.#place.say(`gateway: ${why}; it is started again`)
    setTimeout(() => {
      if (!this.#isStopped) this.start([]).catch((error: unknown) => this.#gone(String(error)))
    }, AGAIN_MS)
  }

  tell(endpoints: readonly BalancedEndpointSettings[]): void {
    this.#endpoints = endpoints
    this.#daemon?.send({ do: 'endpoints', endpoints })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    const daemon = this.#daemon
    if (daemon === undefined) return
    daemon.signal('SIGTERM')
    const late = setTimeout(() => daemon.signal('SIGKILL'), STOP_MS_MAX)
    await daemon.gone
    clearTimeout(late)
    this.#place.list.remove('gateway', NAME)
  }
}
