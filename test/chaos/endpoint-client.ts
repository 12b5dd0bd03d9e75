/**
 * A client as people have them: it knows an endpoint's name, looks up where that leads when it connects, checks the
 * certificate, waits for a while and no longer, and connects again when its connection is gone.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import type { EndpointType } from '../../src/gateway/endpoint-name.ts'
import { MASTER } from '../postgres-instance.ts'
import type { RegionHome } from '../region-home.ts'

const CONNECT_MS_MAX = 2000

export interface ChaosEndpoint {
  readonly name: string
  readonly port: number
  readonly type: EndpointType
}

/** Where names lead is read from a hosts file, which stays when nobody keeps it any more. */
export class EndpointNames {
  readonly #home: RegionHome
  readonly #password: string
  readonly endpoints: readonly ChaosEndpoint[]

  private constructor(home: RegionHome, password: string, endpoints: readonly ChaosEndpoint[]) {
    this.#home = home
    this.#password = password
    this.endpoints = endpoints
  }

  static #hostsFile(home: RegionHome): string {
    return join(home.root, 'hosts')
  }

  /** For a region that is not up yet. @returns its path */
  static makeHostsFile(home: RegionHome): string {
    const path = EndpointNames.#hostsFile(home)
    writeFileSync(path, '127.0.0.1 localhost\n')
    return path
  }

  /** Of a region that runs. */
  static async of(home: RegionHome, cluster: string): Promise<EndpointNames> {
    const { output } = await home.borealis('cluster', 'password', cluster)
    const { endpoints } = await home.status()
    const ours = endpoints.filter((each) => each.cluster === cluster)
    return new EndpointNames(
      home,
      output.trim(),
      ours.map(({ dnsName, port, type }) => ({ name: dnsName, port, type })),
    )
  }

  the(type: EndpointType): ChaosEndpoint {
    const endpoint = this.endpoints.find((each) => each.type === type)
    if (endpoint === undefined) throw new Error(`there is no endpoint of type ${type}`)
    return endpoint
  }

  #resolve(name: string): string {
    for (const line of readFileSync(EndpointNames.#hostsFile(this.#home), 'utf8').split('\n')) {
      const [address = '', ...names] = line.split('#')[0]?.trim().split(/\s+/) ?? []
      if (names.includes(name)) return address
    }
    throw new Error(`${name} does not resolve`)
  }

  /** @param answerMsMax how long it waits for an answer */
  async connect({ name, port }: ChaosEndpoint, answerMsMax: number): Promise<EndpointClient> {
    const socket = new Socket()
    const client = new pg.Client({
      host: this.#resolve(name),
      port,
      user: MASTER,
      password: this.#password,
      database: 'postgres',
      ssl: { ca: readFileSync(join(this.#home.root, 'authority.crt'), 'utf8'), servername: name },
      connectionTimeoutMillis: CONNECT_MS_MAX,
      query_timeout: answerMsMax,
      stream: () => socket,
    })
    client.on('error', () => {})
    const connection = new EndpointClient(client, socket)
    try {
      await client.connect()
      return connection
    } catch (error) {
      connection.drop()
      throw error
    }
  }
}

export class EndpointClient {
  readonly #client: pg.Client
  readonly #socket: Socket

  constructor(client: pg.Client, socket: Socket) {
    this.#client = client
    this.#socket = socket
  }

  query(text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    return this.#client.query(text, values)
  }

  /** Without a word: who does not answer would not answer that either. */
  drop(): void {
    this.#socket.destroy()
  }
}

/**
 * Whether the server has said that it did not do it, and goes on. What else ends a connection tells nothing: the server
 * may have done it, or may still be about to.
 */
export const isRefusal = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && error.severity === 'ERROR' && !/^(XX|58)/.test(error.code ?? '')

/** It was the writer, or is not the writer yet. */
export const isReadOnly = (error: unknown): boolean => error instanceof pg.DatabaseError && error.code === '25006'
