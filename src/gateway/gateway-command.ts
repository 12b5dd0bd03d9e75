/** What the balancer's process is told, and what it tells: lines of JSON on its control socket. */
import { fields, integer, list, oneOf, record, text } from '../volume/json-fields.ts'

export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** An endpoint that spreads its connections. */
export interface BalancedEndpointSettings {
  /** By which it is known again: its host name. */
  readonly name: string
  readonly listen: SocketAddress
  /** To go to now. */
  readonly members: readonly SocketAddress[]
}

export type GatewayCommand =
  /** These are the endpoints from now on, and no others. */
  { readonly do: 'endpoints'; readonly endpoints: readonly BalancedEndpointSettings[] } | { readonly do: 'stop' }

/** `failed`: something else listens there, or nothing may; it is tried again. */
export type ListenerState = 'opening' | 'listening' | 'failed'

export interface BalancedEndpointReport {
  readonly name: string
  readonly listen: SocketAddress
  readonly state: ListenerState
  readonly problem: string | null
  readonly members: readonly (SocketAddress & { readonly connections: number })[]
  /** Connections to those that were members once. */
  readonly left: number
  /** Connections so far that nobody could be found for. */
  readonly refused: number
}

export interface GatewayReport {
  readonly pid: number
  readonly endpoints: readonly BalancedEndpointReport[]
}

const COMMANDS = ['endpoints', 'stop'] as const
const PORT_MAX = 65_535

function socketAddress(value: unknown, path: string): SocketAddress {
  const { address, port } = fields(value, path, ['address', 'port'])
  return { address: text(address, `${path}.address`), port: integer(port, `${path}.port`, 1, PORT_MAX) }
}

function endpointSettings(value: unknown, path: string): BalancedEndpointSettings {
  const { name, listen, members } = fields(value, path, ['name', 'listen', 'members'])
  return {
    name: text(name, `${path}.name`),
    listen: socketAddress(listen, `${path}.listen`),
    members: list(members, `${path}.members`, socketAddress),
  }
}

/** @throws VolumeError `Corrupt` for what is no command */
export function parseGatewayCommand(raw: unknown): GatewayCommand {
  const what = oneOf(record(raw, 'command').do, 'command.do', COMMANDS)
  if (what === 'stop') return { do: what }
  const { endpoints } = fields(raw, 'command', ['do', 'endpoints'])
  return { do: what, endpoints: list(endpoints, 'command.endpoints', endpointSettings) }
}
