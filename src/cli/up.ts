/** `borealis up`: the region, in this process or in one of its own. */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Home, homeAt, logFile, makeHome } from '../cluster/host/home.ts'
import { mountingCommand } from '../cluster/host/mount-check.ts'
import { messageOf, PlainError } from '../cluster/plain-error.ts'
import { apiAddress } from './api-address.ts'
import { ask, type Handlers, NotRunning, serveCommands } from './control-socket.ts'
import { Region } from './region.ts'
import { RegionCommands } from './region-commands.ts'
import { nameSettings } from './region-names.ts'
import { regionStatus } from './region-report.ts'
import type { RegionStatus } from './region-status.ts'

export interface UpOptions {
  readonly home: Home
  readonly demo: boolean
  /** Of the demo cluster, when it is made. */
  readonly readers: number
  readonly nodeSettings: readonly string[]
  readonly memoryMib: number | undefined
}

const DEMO = 'demo'
export const DEMO_READERS = 1

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** How to connect to each cluster. */
function connectionText({ api, home, clusters, instances, endpoints, names }: RegionStatus): string {
  const parts = [`Borealis is up; its data is in ${home}.`]
  for (const { name, engineVersion, master } of clusters) {
    const writer = instances.find(({ cluster, role }) => cluster === name && role === 'writer')
    const endpoint = endpoints.find(({ cluster, type }) => cluster === name && type === 'writer')
    if (writer === undefined || endpoint === undefined) continue
    const { host, dnsName, address, port } = endpoint
    const fields = {
      host,
      ...(host === address ? { name: dnsName } : { address }),
      port,
      user: master,
      database: 'postgres',
      password: `bin/borealis cluster password ${name}`,
      tls: `sslmode=verify-full sslrootcert=${homeAt(home).authorityCertificate}`,
      psql: `bin/borealis psql ${name}`,
    }
    parts.push(`cluster ${name}, PostgreSQL ${engineVersion}, ${writer.state}`)
    parts.push(
      Object.entries(fields)
        .map(([field, value]) => `  ${field.padEnd(9)} ${value}`)
        .join('\n'),
    )
  }
  if (api !== null)
    parts.push(
      [
        `the RDS API, for AWS's own tools:`,
        `  eval "$(bin/borealis credentials --format env)"`,
        `  aws --endpoint-url http://${api} rds describe-db-clusters`,
      ].join('\n'),
    )
  if (names.advice !== null) parts.push(names.advice)
  if (clusters.length === 0) parts.push('There is no cluster yet: bin/borealis cluster create NAME')
  return `\n${parts.join('\n\n')}\n`
}

/** Runs the region until it is told to stop. */
export async function upHere({ home, demo, readers, nodeSettings, memoryMib }: UpOptions): Promise<void> {
  const names = nameSettings()
  makeHome(home)
  const mounting = await mountingCommand(home)
  const region = await Region.open({ home, nodeSettings, memoryMib, mounting, names, api: apiAddress(), say: print })
  const commands = new RegionCommands(region)
  const stopped = Promise.withResolvers<void>()
  const stop = (): void => {
    if (region.state === 'stopping' || region.state === 'stopped') return
    print('stopping, in order; the next start finds the data again')
    region.stop().then(stopped.resolve, stopped.reject)
  }
  // Ctrl-C reaches us from the terminal and from the program that started us: once is enough.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)

  const isUp = Promise.withResolvers<readonly string[]>()
  isUp.promise.catch(() => {})
  const handlers: Handlers = {
    status: async () => regionStatus(region),
    ready: () => Promise.race([isUp.promise, stopped.promise.then(() => ['the region was stopped'])]),
    create: async (cluster) => {
      await commands.create(cluster)
      return null
    },
    branch: async (branch) => {
      await commands.branch(branch)
      return null
    },
    delete: async ({ name }) => {
      await commands.delete(name)
      return null
    },
    createInstance: (instance) => commands.createInstance(instance),
    deleteInstance: async ({ name }) => {
      await commands.deleteInstance(name)
      return null
    },
    reboot: async ({ name }) => {
      await commands.reboot(name)
      return null
    },
    failover: ({ name, to }) => commands.failover(name, to),
    patch: ({ name }) => commands.patch(name),
    down: async () => {
      stop()
      await stopped.promise
      return null
    },
  }
  const server = await serveCommands(home, handlers)
  void bringUp(region, commands, demo ? readers : null).then(isUp.resolve, (error: unknown) => {
    isUp.reject(error)
    stopped.reject(error)
  })
  try {
    await stopped.promise
  } catch (error) {
    await region.stop()
    throw error
  } finally {
    // Answers that are on their way still go out.
    await pause(50)
    server.close()
  }
}

/** @param readers of the demo cluster; null: there is to be none */
async function bringUp(region: Region, commands: RegionCommands, readers: number | null): Promise<string[]> {
  print('starting storage: three zones with two nodes each')
  await region.start()
  if (region.state !== 'running') return []
  const problems: string[] = []
  if (readers !== null && region.store().cluster(DEMO) === undefined) {
    print(`making cluster ${DEMO}`)
    try {
      await commands.create({ name: DEMO, engineVersion: undefined, readers })
    } catch (error) {
      problems.push(messageOf(error))
    }
  }
  problems.push(...(await commands.untilAvailable()))
  if (region.state !== 'running') return problems
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  print(connectionText(regionStatus(region)))
  print('Ctrl-C stops it; the next start finds the data again.')
  return problems
}

const POLL_MS = 50

/** Starts the region in a process of its own, and returns when it is up. */
export async function upDetached(options: UpOptions): Promise<void> {
  const { home } = options
  makeHome(home)
  const running = await untilReady(home).catch((error: unknown) => {
    if (error instanceof NotRunning) return undefined
    throw error
  })
  if (running === undefined) await startDetached(options)
  else print('the region runs already')
  print(connectionText(await ask(home, 'status', {})))
  print('bin/borealis down stops it; the next start finds the data again.')
}

async function untilReady(home: Home): Promise<true> {
  const problems = await ask(home, 'ready', {})
  if (problems.length > 0) throw new PlainError(`${problems[0]}; the region is up: see ${home.logs}`)
  return true
}

async function startDetached({ home, demo, readers, nodeSettings, memoryMib }: UpOptions): Promise<void> {
  const path = logFile(home, 'region')
  const log = openSync(path, 'a', 0o600)
  const before = statSync(path).size
  const args = [join(import.meta.dirname, 'main.ts'), 'up', '--readers', `${readers}`]
  if (!demo) args.push('--no-demo')
  if (memoryMib !== undefined) args.push('--memory-mib', `${memoryMib}`)
  for (const setting of nodeSettings) args.push('--set', setting)
  // The folder may have been given relative to ours.
  const env = { ...process.env, BOREALIS_HOME: home.root }
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log], cwd: '/', env })
  closeSync(log)
  let ended = false
  child.once('error', () => {
    ended = true
  })
  child.once('exit', () => {
    ended = true
  })
  while (!ended) {
    try {
      await untilReady(home)
      child.unref()
      return
    } catch (error) {
      if (!(error instanceof NotRunning)) throw error
      await pause(POLL_MS)
    }
  }
  const said = readFileSync(path).subarray(before).toString('utf8').trim().split('\n').at(-1)
  throw new PlainError(said === undefined || said === '' ? `the region did not start: see ${path}` : said)
}
