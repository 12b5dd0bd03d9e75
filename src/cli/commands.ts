/** Everything that `borealis` can be told to do, but for `up`. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { accessKeys, credentialsText } from '../cluster/account.ts'
import { ControlStore } from '../cluster/control-store.ts'
import type { Home } from '../cluster/host/home.ts'
import { clearLeftovers } from '../cluster/host/leftovers.ts'
import { identify, isAlive } from '../cluster/host/process-identity.ts'
import type { PastPoint } from '../cluster/past-point.ts'
import { PlainError } from '../cluster/plain-error.ts'
import { apiAddress } from './api-address.ts'
import { ask, NotRunning } from './control-socket.ts'
import { lockHome } from './region.ts'
import type { NewInstance } from './region-commands.ts'
import { nameSettings, REGION, removeNames } from './region-names.ts'
import { columns, type RegionStatus, statusText } from './region-status.ts'

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

export async function down(home: Home): Promise<void> {
  try {
    const { pid } = await ask(home, 'status', {})
    const region = identify(pid)
    await ask(home, 'down', {})
    // One that has ended and was not waited for is gone, too: in a container nobody may ever wait.
    while (region !== undefined && isAlive(region)) await pause(20)
    print('stopped')
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error
    if (!existsSync(home.region)) return print('nothing runs')
    const lock = lockHome(home)
    try {
      const left = await clearLeftovers(home)
      await removeNames(home, nameSettings())
      print(left > 0 ? 'cleared what was left of a region that was killed' : 'nothing runs')
    } finally {
      lock.release()
    }
  }
}

export async function status(home: Home, json: boolean): Promise<void> {
  const all = await ask(home, 'status', {})
  print(json ? JSON.stringify(all, undefined, 2) : statusText(all))
}

// -------------------------------------------------------------- clusters

export async function createCluster(
  home: Home,
  name: string,
  engineVersion: string | undefined,
  readers: number,
): Promise<void> {
  await ask(home, 'create', { name, engineVersion, readers }, print)
  const { host, port } = await writerOf(home, name)
  print(`cluster ${name} is available at ${host}:${port}: borealis psql ${name}`)
}

export async function branchCluster(
  home: Home,
  source: string,
  name: string,
  at: PastPoint | undefined,
): Promise<void> {
  await ask(home, 'branch', { source, name, at: at ?? null }, print)
  const { host, port } = await writerOf(home, name)
  const { branchOf } = (await ask(home, 'status', {})).clusters.find((each) => each.name === name) ?? {}
  print(`branch ${name} of ${source} at LSN ${branchOf?.lsn} is available at ${host}:${port}: borealis psql ${name}`)
}

export async function listClusters(home: Home): Promise<void> {
  const { clusters, instances } = await ask(home, 'status', {})
  print(
    columns([
      ['CLUSTER', 'ENGINE', 'STATUS', 'INSTANCES', 'BRANCH OF'],
      ...clusters.map(({ name, engine, engineVersion, status: now, branchOf }) => [
        name,
        `${engine} ${engineVersion}`,
        now,
        instances.filter(({ cluster }) => cluster === name).length,
        branchOf && `${branchOf.cluster} at LSN ${branchOf.lsn}`,
      ]),
    ]),
  )
}

export async function deleteCluster(home: Home, name: string): Promise<void> {
  await ask(home, 'delete', { name }, print)
  print(`cluster ${name} is deleted`)
}

export async function createInstance(home: Home, instance: NewInstance): Promise<void> {
  const name = await ask(home, 'createInstance', instance, print)
  const { instances } = await ask(home, 'status', {})
  const made = instances.find((each) => each.name === name)
  print(`instance ${name} of cluster ${instance.cluster} is available at ${made?.host}:${made?.port}, a ${made?.role}`)
}

export async function deleteInstance(home: Home, name: string): Promise<void> {
  await ask(home, 'deleteInstance', { name }, print)
  print(`instance ${name} is deleted; its cluster's data is not`)
}

export async function rebootInstance(home: Home, name: string): Promise<void> {
  await ask(home, 'reboot', { name }, print)
  print(`instance ${name} is available again`)
}

export async function failover(home: Home, name: string, to: string | undefined): Promise<void> {
  print(`${await ask(home, 'failover', { name, to: to ?? null }, print)} is the writer of ${name} now`)
}

export async function patchCluster(home: Home, name: string): Promise<void> {
  const pauseMs = await ask(home, 'patch', { name }, print)
  print(`cluster ${name} runs on the code as it is now; its clients waited ${Math.ceil(pauseMs)} ms, at most`)
}

/** From the control plane's database, also while no region runs. */
function passwordOf(home: Home, name: string): string {
  const store = existsSync(home.control) ? ControlStore.open(home.control) : undefined
  try {
    const password = store?.cluster(name)?.masterPassword
    if (password === undefined)
      throw new PlainError(`there is no cluster ${name} in ${home.root}: see borealis cluster list`)
    return password
  } finally {
    store?.close()
  }
}

export const printPassword = (home: Home, name: string): void => print(passwordOf(home, name))

/** Of the local account, also while no region runs. */
export function printCredentials(home: Home, format: 'profile' | 'env'): void {
  if (!existsSync(home.control)) throw new PlainError(`there is no region in ${home.root} yet: borealis up makes one`)
  const store = ControlStore.open(home.control)
  try {
    const [key] = accessKeys(store.database)
    if (key === undefined) throw new PlainError('the account has no access key')
    const { host, port } = apiAddress()
    print(credentialsText(format, key, { region: REGION, address: `${host}:${port}` }))
  } finally {
    store.close()
  }
}

// -------------------------------------------------------------- connections

interface Writer {
  readonly host: string
  readonly port: number
  readonly master: string
}

function findWriter({ clusters, instances }: RegionStatus, name: string): Writer | undefined {
  const cluster = clusters.find((each) => each.name === name)
  const writer = instances.find((each) => each.cluster === name && each.role === 'writer')
  return cluster && writer && { host: writer.host, port: writer.port, master: cluster.master }
}

async function writerOf(home: Home, name: string): Promise<Writer> {
  const writer = findWriter(await ask(home, 'status', {}), name)
  if (writer === undefined) throw new PlainError(`there is no cluster ${name}: see borealis cluster list`)
  return writer
}

/** @returns the status of psql */
export async function psql(home: Home, name: string, args: readonly string[]): Promise<number> {
  const { host, port, master } = await writerOf(home, name)
  const root = encodeURIComponent(home.authorityCertificate)
  const url = `postgresql://${master}@${host}:${port}/postgres?sslmode=verify-full&sslrootcert=${root}`
  const connection = {
    PGHOST: host,
    PGPORT: `${port}`,
    PGUSER: master,
    PGPASSWORD: passwordOf(home, name),
    PGDATABASE: 'postgres',
    PGSSLMODE: 'verify-full',
    PGSSLROOTCERT: home.authorityCertificate,
  }
  // Ctrl-C is for psql, which ends a query by it.
  process.on('SIGINT', () => {})
  const child = spawn('psql', [...args], { stdio: 'inherit', env: { ...process.env, ...connection } })
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      const how = `connect with any client to ${url}, password from borealis cluster password ${name}`
      reject(new PlainError(`psql cannot be started here: install it (postgresql-client), or ${how}`, { cause }))
    })
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  })
}
