/** An endpoint as the control plane wants it known: a name for life, and where it leads just now. */
import type { EndpointType } from './endpoint-name.ts'

export interface Endpoint {
  /** In lower case. */
  readonly dnsName: string
  readonly type: EndpointType
  readonly port: number
  /** Of the members to go to now; none while there is nobody. */
  readonly addresses: readonly string[]
  /** An address of its own, where a balancer listens that spreads connections over the members; null: there is none. */
  readonly balancer: string | null
}

/** The one address to connect to, for what knows no more than one for a name; undefined while there is nobody. */
export const addressOf = ({ balancer, addresses }: Endpoint): string | undefined => balancer ?? addresses[0]

/** Whether what a resolver found for the name leads where it should, and nowhere else. */
export const leadsTo = ({ balancer, addresses }: Endpoint, found: readonly string[]): boolean =>
  found.length > 0 && found.every((each) => each === balancer || addresses.includes(each))
