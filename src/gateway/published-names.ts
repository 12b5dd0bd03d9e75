/**
 * The names of a region's endpoints, made known on this machine in two ways: by a block in the hosts file, and by a DNS
 * server. Either may fail, and nothing else does: then clients use addresses. Which names resolve is not assumed but tried,
 * as programs here do it; so it also counts when somebody has told the system's resolver about the server. Trying may take
 * seconds, so no change ever waits for it.
 */
import { lookup } from 'node:dns/promises'
import { stat } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { answerQuery, TTL_S } from './dns-answer.ts'
import { type DnsPlace, DnsServer } from './dns-server.ts'
import { addressOf, type Endpoint, leadsTo } from './endpoint.ts'
import type { NameSpace } from './endpoint-name.ts'
import { writeHosts } from './hosts-file.ts'

export interface NamesOptions {
  readonly space: NameSpace
  /** For people who come across the names. */
  readonly home: string
  /** Null: none is touched. */
  readonly hostsFile: string | null
  /** The first that is free is taken. */
  readonly dnsPlaces: readonly DnsPlace[]
  /** What people may want to know. */
  readonly say: (line: string) => void
  /** The addresses that programs find for a name. */
  readonly resolve?: (name: string) => Promise<readonly string[]>
}

/** For `borealis status`. */
export interface NamesStatus {
  readonly domain: string
  /** That has them now. */
  readonly hostsFile: string | null
  readonly dns: string | null
  /** Why they do not resolve on this machine, and what to do instead; null when they do. */
  readonly advice: string | null
}

/** What rewrites the file (a DHCP client, a container's runtime, a person) leaves the names out for no longer. */
const LOOK_MS = 5000
/** Names that do not resolve are tried again less and less often: it may be somebody else's server that is asked. */
const PAUSE_LOOKS_MAX = 64
/** A resolver that waits for servers of its own knows nothing of these names. */
const RESOLVE_MS_MAX = 2000
/** After a change a resolver in between may go on with the answer that it has: as long as that holds, and some more. */
const REMEMBERED_MS_MAX = 2 * TTL_S * 1000

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const resolveHere = async (name: string): Promise<string[]> =>
  (await lookup(name, { family: 4, all: true })).map(({ address }) => address)

const placeText = ({ address, port }: DnsPlace): string => `${address.includes(':') ? `[${address}]` : address}:${port}`

export class PublishedNames {
  readonly space: NameSpace
  readonly #options: NamesOptions
  #endpoints: readonly Endpoint[] = []
  /** What was found for each name when it was last tried. */
  #found: ReadonlyMap<string, readonly string[]> = new Map()
  #hostsProblem: string | undefined
  /** The file as it was when it was last looked at and left as it is. */
  #seen: string | undefined
  #dns: DnsServer | undefined
  /** How many answers each name with several addresses has had. */
  readonly #turns = new Map<string, number>()
  #said: string | null = null
  #looks = 0
  /** The look at which it is tried again whether they resolve, and how many there are from then to the one after. */
  #nextTry = 0
  #pause = 1
  /** One change of the file at a time. */
  #writes: Promise<unknown> = Promise.resolve()
  #tries: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  private constructor(options: NamesOptions) {
    this.#options = options
    this.space = options.space
  }

  static async open(options: NamesOptions): Promise<PublishedNames> {
    const names = new PublishedNames(options)
    await names.#serve()
    names.#timer = setInterval(() => void names.#look(), LOOK_MS).unref()
    return names
  }

  async #serve(): Promise<void> {
    const { dnsPlaces, space, say } = this.#options
    let problem: string | undefined
    for (const place of dnsPlaces) {
      const zone = () => ({
        domain: space.domain,
        address: place.address,
        endpoints: this.#endpoints,
        turnOf: (dnsName: string) => this.#turnOf(dnsName),
      })
      try {
        this.#dns = await DnsServer.listen(place, (request, transport) => answerQuery(request, zone(), transport))
        return
      } catch (error) {
        problem = messageOf(error)
      }
    }
    if (problem !== undefined) say(`there is no DNS server: ${problem}`)
  }

  /**
   * From now on these are the endpoints, and no others: by DNS when this returns, in the hosts file when its promise
   * resolves. Which of them resolve is known a little later (`tried`).
   */
  async publish(endpoints: readonly Endpoint[]): Promise<void> {
    this.#endpoints = endpoints
    const names = new Set(endpoints.map(({ dnsName }) => dnsName))
    for (const name of this.#turns.keys()) if (!names.has(name)) this.#turns.delete(name)
    this.#pause = 1
    const written = this.#inTurn(() => {
      this.#seen = undefined
      return this.#keep()
    })
    void this.#try(endpoints, written)
    await written
  }

  /** Resolves when it is known which of the names published last resolve. */
  tried(): Promise<void> {
    return this.#tries
  }

  #turnOf(dnsName: string): number {
    const turn = this.#turns.get(dnsName) ?? 0
    this.#turns.set(dnsName, turn + 1)
    return turn
  }

  #inTurn(work: () => Promise<boolean>): Promise<boolean> {
    const done = this.#writes.then(work)
    this.#writes = done
    return done
  }

  async #look(): Promise<void> {
    this.#looks++
    const isDue = this.#looks >= this.#nextTry && this.status().advice !== null
    if ((await this.#inTurn(() => this.#keep())) || isDue) await this.#try(this.#endpoints)
  }

  /** @returns whether the file had to be changed */
  async #keep(): Promise<boolean> {
    const { hostsFile, space, home } = this.#options
    if (hostsFile === null) return false
    try {
      const { ino, size, ctimeMs } = await stat(hostsFile)
      const now = `${ino} ${size} ${ctimeMs}`
      if (now === this.#seen) return false
      // A failure is not tried again before something about the file changes.
      this.#seen = now
      const entries = this.#endpoints.flatMap((endpoint) => {
        const address = addressOf(endpoint)
        return address === undefined ? [] : [{ name: endpoint.dnsName, address }]
      })
      const isChanged = await writeHosts(hostsFile, { hash: space.hash, home }, entries)
      this.#hostsProblem = undefined
      // Somebody else may have written just after us: only what is found right is right.
      if (isChanged) this.#seen = undefined
      return isChanged
    } catch (error) {
      this.#hostsProblem = messageOf(error)
      return false
    }
  }

  // -------------------------------------------------------------- whether they resolve

  /** One after the other; those that are not the newest any more when it is their turn need none. */
  #try(endpoints: readonly Endpoint[], written?: Promise<unknown>): Promise<void> {
    this.#tries = this.#tries
      .then(() => written)
      .then(() => (endpoints === this.#endpoints ? this.#tryResolving(endpoints) : undefined))
    return this.#tries
  }

  async #tryResolving(endpoints: readonly Endpoint[]): Promise<void> {
    const didResolve = this.#found.size > 0
    this.#found = await this.#lookUp(endpoints)
    if (didResolve && this.status().advice !== null && endpoints === this.#endpoints) {
      await pause(REMEMBERED_MS_MAX, undefined, { ref: false })
      this.#found = await this.#lookUp(endpoints)
    }
    if (endpoints !== this.#endpoints) return
    const { advice } = this.status()
    if (advice !== null && advice !== this.#said) this.#options.say(advice)
    this.#said = advice
    this.#nextTry = this.#looks + this.#pause
    this.#pause = Math.min(2 * this.#pause, PAUSE_LOOKS_MAX)
  }

  /** The addresses of those names that are known at all. */
  async #lookUp(endpoints: readonly Endpoint[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const [first, ...others] = endpoints.filter((endpoint) => addressOf(endpoint) !== undefined)
    const found = new Map<string, readonly string[]>()
    const look = async ({ dnsName }: Endpoint): Promise<void> => {
      const addresses = await this.#addressesOf(dnsName)
      if (addresses.length > 0) found.set(dnsName, addresses)
    }
    if (first === undefined) return found
    await look(first)
    // Where one name is unknown all are, and each would be waited for.
    if (found.size > 0) await Promise.all(others.map(look))
    return found
  }

  async #addressesOf(name: string): Promise<readonly string[]> {
    const { resolve = resolveHere } = this.#options
    return Promise.race([resolve(name), pause(RESOLVE_MS_MAX, [], { ref: false })]).catch(() => [])
  }

  /**
   * What a client on this machine can connect to: the name if it leads where the endpoint does, otherwise the address;
   * the name too while there is nobody behind it.
   */
  hostOf(endpoint: Endpoint): string {
    const { dnsName } = endpoint
    const resolves = leadsTo(endpoint, this.#found.get(dnsName) ?? [])
    return resolves ? dnsName : (addressOf(endpoint) ?? dnsName)
  }

  status(): NamesStatus {
    const { space, hostsFile } = this.#options
    const written = hostsFile !== null && this.#hostsProblem === undefined
    const dns = this.#dns === undefined ? null : placeText(this.#dns.place)
    const names = { domain: space.domain, hostsFile: written ? hostsFile : null, dns }
    if (this.#endpoints.every((endpoint) => this.hostOf(endpoint) === endpoint.dnsName))
      return { ...names, advice: null }
    const why = written
      ? `${hostsFile} has them, but programs here do not go by it`
      : (this.#hostsProblem ?? 'no hosts file is used')
    const server = dns === null ? '' : `, or let the system's resolver ask ${dns} for ${space.domain}`
    const advice = `names do not resolve on this machine (${why}): connect to the address, with libpq to host=NAME hostaddr=ADDRESS${server}`
    return { ...names, advice }
  }

  /** Nothing of them is left. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.publish([])
    await this.#dns?.close()
  }
}
