/** Addresses and ports that nobody listens on. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { PlainError } from '../plain-error.ts'

export function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/**
 * Below what the system gives to outgoing connections: one of those could take the port of a node that is down, or connect
 * it to itself.
 */
const EPHEMERAL_PORTS = '/proc/sys/net/ipv4/ip_local_port_range'
const NODE_PORT_MIN = 10_000
const TRIES_MAX = 1000

/** For a storage node; it stays the node's for life, as the others know it by it. */
export async function freeNodePort(taken: ReadonlySet<number>): Promise<number> {
  const [low = ''] = readFileSync(EPHEMERAL_PORTS, 'utf8').trim().split(/\s+/)
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const port = NODE_PORT_MIN + Math.floor(Math.random() * (Number(low) - NODE_PORT_MIN))
    if (!taken.has(port) && (await isFree('127.0.0.1', port))) return port
  }
  throw new PlainError('no port is free for a storage node: end what listens on this machine')
}

/** Loopback addresses need no setting up; each instance has one, so that all can have PostgreSQL's port. */
const ADDRESSES = Array.from({ length: 8 * 254 }, (_, i) => `127.20.${Math.floor(i / 254)}.${(i % 254) + 1}`).slice(1)
/** The second and on are for machines where somebody listens on the first on all addresses. */
const ENGINE_PORTS = Array.from({ length: 100 }, (_, i) => 5432 + i)
/** Who listens on a port of so many addresses listens on all. */
const ADDRESSES_TRIED = 8

/** One that nobody has; whether somebody else listens there is seen when it is used. */
export function newAddress(taken: ReadonlySet<string>): string {
  const free = ADDRESSES.filter((address) => !taken.has(address))
  const address = free[Math.floor(Math.random() * free.length)]
  if (address === undefined) throw new PlainError('no address is left for an instance: delete some')
  return address
}

export interface EngineAddress {
  readonly address: string
  readonly port: number
}

/** @param taken addresses of other instances, which may be down just now */
export async function freeEngineAddress(taken: ReadonlySet<string>): Promise<EngineAddress> {
  // From anywhere: an address that looks free may be that of another region's instance which is down just now.
  const start = Math.floor(Math.random() * ADDRESSES.length)
  const all = [...ADDRESSES.slice(start), ...ADDRESSES.slice(0, start)]
  const addresses = all.filter((address) => !taken.has(address)).slice(0, ADDRESSES_TRIED)
  for (const port of ENGINE_PORTS) {
    for (const address of addresses) if (await isFree(address, port)) return { address, port }
  }
  throw new PlainError('no address is free for an instance: end what listens on 127.20.0.0/24')
}
