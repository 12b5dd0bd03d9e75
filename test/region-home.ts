/** A region in a temporary home, used as people use it: through `bin/borealis`. Nothing of it outlives the test. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import pg from 'pg'
import { ask } from '../src/cli/control-socket.ts'
import type { InstanceStatus, RegionStatus } from '../src/cli/region-status.ts'
import { homeAt } from '../src/cluster/host/home.ts'
import { enginesFolder } from '../src/engine/postgres/binaries.ts'
import { preparedTemplate } from '../src/engine/postgres/template.ts'
import { mountsAt } from '../src/fuse/real-mount.ts'
import { whenWeEnd } from './child-processes.ts'
import { type Finished, runProgram } from './fuse-mounts.ts'
import type { OrdinaryUser } from './ordinary-user.ts'
import { connectAsSuperuser, engineHome, installed } from './postgres-instance.ts'

const BOREALIS = join(import.meta.dirname, '..', 'bin', 'borealis')

/** Of the demo cluster, unless the test says how many: most are about one instance. */
const withoutReaders = (upArguments: readonly string[]): readonly string[] =>
  upArguments.includes('--readers') ? upArguments : [...upArguments, '--readers', '0']

export class RegionHome implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), 'borealis-home-'))
  /** Of the programs that it is used by. Tests leave the machine's hosts file alone, and take any port for the API. */
  readonly environment: NodeJS.ProcessEnv = {
    ...process.env,
    BOREALIS_HOME: this.root,
    BOREALIS_HOSTS_FILE: 'none',
    BOREALIS_API: '127.0.0.1:0',
  }
  readonly #upArguments: readonly string[]
  /** For a test that is ended by a signal. */
  readonly #forget = whenWeEnd(() => {
    spawnSync(process.execPath, [BOREALIS, 'down'], { env: this.environment })
    rmSync(this.root, { recursive: true, force: true })
  })
  readonly #through: readonly string[]
  readonly #passwords = new Map<string, Promise<string>>()

  private constructor(upArguments: readonly string[], through: readonly string[] = []) {
    this.#upArguments = upArguments
    this.#through = through
  }

  /** With the engines that are on this machine already. */
  static async make(upArguments: readonly string[]): Promise<RegionHome> {
    await preparedTemplate(await installed())
    const home = new RegionHome(withoutReaders(upArguments))
    symlinkSync(enginesFolder(engineHome), enginesFolder(home.root))
    return home
  }

  /** Of another user, who gets the programs of the engine and makes everything else. */
  static async makeFor(user: OrdinaryUser, upArguments: readonly string[]): Promise<RegionHome> {
    const { folder } = await installed()
    const home = new RegionHome(withoutReaders(upArguments), user.through)
    const engines = enginesFolder(home.root)
    mkdirSync(engines)
    symlinkSync(folder, join(engines, basename(folder)))
    for (const path of [home.root, engines]) user.own(path)
    return home
  }

  borealis(...args: readonly string[]): Promise<Finished> {
    return this.borealisThrough(this.#through, ...args)
  }

  /** @param through what comes in front of the command */
  borealisThrough(through: readonly string[], ...args: readonly string[]): Promise<Finished> {
    const [program = '', ...rest] = [...through, process.execPath, BOREALIS, ...args]
    return runProgram(program, rest, { env: this.environment })
  }

  async #succeeds(...args: readonly string[]): Promise<string> {
    const { status, output } = await this.borealis(...args)
    assert.equal(status, 0, `borealis ${args.join(' ')}: ${output}`)
    return output
  }

  up(): Promise<string> {
    return this.#succeeds('up', '--detach', ...this.#upArguments)
  }

  down(): Promise<string> {
    return this.#succeeds('down')
  }

  /** As `status --json` prints it, without starting a program for each look. */
  status(): Promise<RegionStatus> {
    return ask(homeAt(this.root), 'status', {})
  }

  /** Asked for once, also when many connect at once. */
  #passwordOf(cluster: string): Promise<string> {
    const known = this.#passwords.get(cluster) ?? this.#succeeds('cluster', 'password', cluster)
    this.#passwords.set(cluster, known)
    return known.then((text) => text.trim())
  }

  async writer(cluster = 'demo'): Promise<InstanceStatus> {
    const writer = (await this.status()).instances.find((each) => each.cluster === cluster && each.role === 'writer')
    assert(writer !== undefined, `no writer of ${cluster}`)
    return writer
  }

  async zonePid(zone: string): Promise<number> {
    const pid = (await this.status()).storageNodes.find((node) => node.zone === zone)?.pid
    assert(typeof pid === 'number', `zone ${zone} does not run`)
    return pid
  }

  /** Over TLS, verified, as the master user. */
  async connect(cluster = 'demo'): Promise<pg.Client> {
    const { host, port } = await this.writer(cluster)
    const client = new pg.Client({
      host,
      port,
      user: 'postgres',
      password: await this.#passwordOf(cluster),
      database: 'postgres',
      ssl: { ca: readFileSync(join(this.root, 'authority.crt'), 'utf8'), host },
      connectionTimeoutMillis: 5000,
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** As the superuser, over the engine's socket. */
  async superuser(cluster = 'demo'): Promise<pg.Client> {
    const { name, port } = await this.writer(cluster)
    return connectAsSuperuser(join(this.root, 'instances', name, 'run'), port)
  }

  /** Processes that have this home in their arguments. @param program of these only, by a part of their arguments */
  processes(program = ''): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
          return pid !== process.pid && line.includes(this.root) && line.includes(program)
        } catch {
          return false
        }
      })
  }

  get mounts(): number {
    return readdirSync(join(this.root, 'instances'))
      .map((name) => mountsAt(join(this.root, 'instances', name, 'mount')))
      .reduce((sum, count) => sum + count, 0)
  }

  logs(): string {
    const folder = join(this.root, 'logs')
    return readdirSync(folder)
      .map((name) => `${name}:\n${readFileSync(join(folder, name), 'utf8')}`)
      .join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { status, output } = await this.borealis('down')
    if (status !== 0) console.log(output, this.logs())
    this.#forget()
    rmSync(this.root, { recursive: true, force: true, maxRetries: 3 })
  }
}
