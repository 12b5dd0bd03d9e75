/**
 * Spreads the connections of endpoints over their members, for clients that know no more than one address for a name. It
 * works on connections and knows nothing of what is said on them, so TLS and passwords are between client and engine.
 */
import { BalancedEndpoint } from './balanced-endpoint.ts'
import type { BalancedEndpointReport, BalancedEndpointSettings } from './gateway-command.ts'

export class Balancer {
  readonly #onChange: () => void
  readonly #endpoints = new Map<string, BalancedEndpoint>()

  /** @param onChange of whether an endpoint listens */
  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  /** These are the endpoints from now on. Connections go on where the endpoint and its place stay. */
  configure(endpoints: readonly BalancedEndpointSettings[]): void {
    const wanted = new Map(endpoints.map((settings) => [settings.name, settings]))
    // First, so that others can have their places.
    for (const [name, endpoint] of this.#endpoints) {
      const settings = wanted.get(name)
      if (settings !== undefined && endpoint.isAt(settings.listen)) continue
      endpoint.close()
      this.#endpoints.delete(name)
    }
    for (const [name, settings] of wanted) {
      const endpoint = this.#endpoints.get(name)
      if (endpoint === undefined) this.#endpoints.set(name, new BalancedEndpoint(settings, this.#onChange))
      else endpoint.setMembers(settings.members)
    }
  }

  report(): BalancedEndpointReport[] {
    return [...this.#endpoints.values()].map((endpoint) => endpoint.report())
  }
}
