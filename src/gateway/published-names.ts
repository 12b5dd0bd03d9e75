/**
 * The names of a region's endpoints, made known on this machine in two ways: by a block in the hosts file, and by a DNS
 * server. Either may fail, and nothing else does: then clients use addresses. Which names resolve is not assumed but tried,
 * as programs here do it; so it also counts when somebody has told the system's resolver about the server.
 */
import { lookup } from 'node:dns/promises'
import { stat } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { answerQuery } from './dns-answer.ts'
import { type DnsPlace, DnsServer } from './dns-server.ts'
import type { NameSpace } from './endpoint-name.ts'
import type { NamedAddress } from './hosts-block.ts'
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

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const resolveHere = async (name: string): Promise<string[]> =>
  (await lookup(name, { family: 4, all: true })).map(({ address }) => address)

const placeText = ({ address, port }: DnsPlace): string => `${address.includes(':') ? `[${address}]` : address}:${port}`

export class PublishedNames {
  readonly space: NameSpace
  readonly #options: NamesOptions
  #entries: readonly NamedAddress[] = []
  #resolving: readonly NamedAddress[] = []
  #hostsProblem: string | undefined
  /** The file as it was when it was last looked at and left as it is. */
  #seen: string | undefined
  #dns: DnsServer | undefined
  #said: string | null = null
  #looks = 0
  /** The look at which it is tried again whether they resolve, and how many there are from then to the one after. */
  #nextTry = 0
  #pause = 1
  /** One change at a time. */
  #work: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  private constructor(options: NamesOptions) {
    this.#options = options
    this.space = options.space
  }

  static async open(options: NamesOptions): Promise<PublishedNames> {
    const names = new PublishedNames(options)
    await names.#serve()
    names.#timer = setInterval(() => void names.#inTurn(() => names.#look()), LOOK_MS).unref()
    return names
  }

  async #serve(): Promise<void> {
    const { dnsPlaces, space, say } = this.#options
    let problem: string | undefined
    for (const place of dnsPlaces) {
      const zone = () => ({ domain: space.domain, address: place.address, entries: this.#entries })
      try {
        this.#dns = await DnsServer.listen(place, (request, transport) => answerQuery(request, zone(), transport))
        return
      } catch (error) {
        problem = messageOf(error)
      }
    }
    if (problem !== undefined) say(`there is no DNS server: ${problem}`)
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(work)
    return this.#work
  }

  /** From now on these are the names, and no others. Resolves when it is known which of them resolve. */
  publish(entries: readonly NamedAddress[]): Promise<void> {
    // The server answers by them from now on.
    this.#entries = entries
    return this.#inTurn(async () => {
      this.#seen = undefined
      this.#pause = 1
      await this.#keep()
      await this.#tryResolving()
    })
  }

  async #look(): Promise<void> {
    this.#looks++
    const isDue = this.#looks >= this.#nextTry && this.status().advice !== null
    if ((await this.#keep()) || isDue) await this.#tryResolving()
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
      const isChanged = await writeHosts(hostsFile, { hash: space.hash, home }, this.#entries)
      this.#hostsProblem = undefined
      // Somebody else may have written just after us: only what is found right is right.
      if (isChanged) this.#seen = undefined
      return isChanged
    } catch (error) {
      this.#hostsProblem = messageOf(error)
      return false
    }
  }

  async #resolves({ name, address }: NamedAddress): Promise<boolean> {
    const { resolve = resolveHere } = this.#options
    const found = await Promise.race([resolve(name), pause(RESOLVE_MS_MAX, [], { ref: false })]).catch(() => [])
    return found.length > 0 && found.every((each) => each === address)
  }

  async #tryResolving(): Promise<void> {
    const entries = this.#entries
    const [first] = entries
    // Where one name is unknown all are, and each would be waited for.
    const isKnown = first !== undefined && (await this.#resolves(first))
    const all = isKnown ? await Promise.all(entries.map((entry) => this.#resolves(entry))) : []
    this.#resolving = entries.filter((_, i) => all[i])
    const { advice } = this.status()
    if (advice !== null && advice !== this.#said) this.#options.say(advice)
    this.#said = advice
    this.#nextTry = this.#looks + this.#pause
    this.#pause = Math.min(2 * this.#pause, PAUSE_LOOKS_MAX)
  }

  /** What a client on this machine can connect to: the name if it resolves to the address, otherwise the address. */
  hostOf({ name, address }: NamedAddress): string {
    return this.#resolving.some((each) => each.name === name && each.address === address) ? name : address
  }

  status(): NamesStatus {
    const { space, hostsFile } = this.#options
    const written = hostsFile !== null && this.#hostsProblem === undefined
    const dns = this.#dns === undefined ? null : placeText(this.#dns.place)
    const names = { domain: space.domain, hostsFile: written ? hostsFile : null, dns }
    if (this.#entries.every((entry) => this.hostOf(entry) !== entry.address)) return { ...names, advice: null }
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
