/** PostgreSQL on a folder of this machine: alone, or with synchronous standbys. The same binaries as ours. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, chmodSync, chownSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { engineAccount } from '../../src/engine/account.ts'
import type { PostgresBinaries } from '../../src/engine/postgres/binaries.ts'
import { createDataDirectory } from '../../src/engine/postgres/data-directory.ts'
import { preparedTemplate, SUPERUSER } from '../../src/engine/postgres/template.ts'
import { endWithUs } from '../../test/child-processes.ts'
import { runProgram } from '../../test/fuse-mounts.ts'
import { settingLine, settingsOnDisk } from './engine-settings.ts'
import type { Reach } from './load.ts'

export interface ServerPlace {
  readonly folder: string
  readonly binaries: PostgresBinaries
  readonly memoryBytes: number
  /** Of loopback, for standbys only. */
  readonly address: string
  readonly port: number
}

const START_MS_MAX = 60_000

/** Why it did not start, as far as its log says. */
function complaint(file: string): string {
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  return lines.filter((line) => /FATAL|PANIC/.test(line)).at(-1) ?? lines.at(-1) ?? ''
}

export class DiskServer {
  readonly place: ServerPlace
  #process: ChildProcess | undefined

  constructor(place: ServerPlace) {
    this.place = place
  }

  get reach(): Reach {
    return { socketFolder: this.place.folder, port: this.place.port, user: SUPERUSER }
  }

  get pid(): number {
    const pid = this.#process?.pid
    if (pid === undefined) throw new Error(`the server in ${this.place.folder} does not run`)
    return pid
  }

  get #data(): string {
    return join(this.place.folder, 'data')
  }

  #makeFolder(): void {
    const { folder } = this.place
    const account = engineAccount()
    mkdirSync(folder, { recursive: true })
    chmodSync(folder, 0o755)
    if (account !== undefined) chownSync(folder, account.uid, account.gid)
  }

  async create(): Promise<void> {
    this.#makeFolder()
    await createDataDirectory(await preparedTemplate(this.place.binaries), this.#data, engineAccount())
    this.#configure({})
  }

  /** A copy of a server that is stopped, which follows it from now on. */
  async copyOf(primary: DiskServer, from: { readonly address: string; readonly port: number }): Promise<void> {
    this.#makeFolder()
    const { status, output } = await runProgram('cp', ['-a', primary.#data, this.#data])
    if (status !== 0) throw new Error(`copying a data directory: ${output}`)
    this.#follow(from)
  }

  /** A copy of a server that runs, by pg_basebackup, which follows it from now on. */
  async backupOf(primary: DiskServer, program: string): Promise<void> {
    this.#makeFolder()
    const { socketFolder, port, user } = primary.reach
    const reach = ['-h', socketFolder, '-p', `${port}`, '-U', user]
    const { status, output } = await runProgram(program, [...reach, '-D', this.#data, '-c', 'fast'])
    if (status !== 0) throw new Error(`${program}: ${output}`)
    const account = engineAccount()
    if (account !== undefined) await runProgram('chown', ['-R', `${account.uid}:${account.gid}`, this.#data])
    this.#follow(primary.place)
  }

  #follow(from: { readonly address: string; readonly port: number }): void {
    writeFileSync(join(this.#data, 'standby.signal'), '')
    const name = this.place.folder.split('/').at(-1) ?? ''
    this.#configure({
      primary_conninfo: `host=${from.address} port=${from.port} user=${SUPERUSER} application_name=${name} sslmode=disable`,
    })
  }

  /** Written anew; a later line wins over an earlier one. */
  #configure(more: Readonly<Record<string, string>>): void {
    const { binaries, memoryBytes, address, port, folder } = this.place
    const own = {
      listen_addresses: address,
      port: `${port}`,
      unix_socket_directories: folder,
      logging_collector: 'off',
      ...more,
    }
    const lines = settingsOnDisk(binaries.version.major, memoryBytes).map(settingLine)
    for (const [name, value] of Object.entries(own)) lines.push(settingLine({ name, value }))
    writeFileSync(join(this.#data, 'postgresql.conf'), lines.join(''))
    const hba = ['local all all trust', 'local replication all trust', 'host replication all 127.0.0.0/8 trust']
    writeFileSync(join(this.#data, 'pg_hba.conf'), `${hba.join('\n')}\n`)
    writeFileSync(join(this.#data, 'pg_ident.conf'), '')
  }

  set(name: string, value: string): void {
    appendFileSync(join(this.#data, 'postgresql.conf'), settingLine({ name, value }))
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    const { binaries, folder } = this.place
    const log = openSync(join(folder, 'log'), 'a')
    const child = endWithUs(
      spawn(binaries.postgres, ['-D', this.#data], { stdio: ['ignore', log, log], ...engineAccount() }),
    )
    this.#process = child
    const status = join(this.#data, 'postmaster.pid')
    for (const until = performance.now() + START_MS_MAX; performance.now() < until; await pause(50)) {
      if (child.exitCode !== null) throw new Error(`PostgreSQL ended: ${complaint(join(folder, 'log'))}`)
      const { status: code } = await runProgram('grep', ['-q', '^\\(ready\\|standby\\)', status])
      if (code === 0) return
    }
    throw new Error(`PostgreSQL did not start: ${complaint(join(folder, 'log'))}`)
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }
}
