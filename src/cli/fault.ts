/** `borealis fault`: faults on purpose, each for a time, to see how everything else takes it. */
import { createConnection } from 'node:net'
import { parseArgs } from 'node:util'
import { type Home, instanceSocket, zoneSocket } from '../cluster/host/home.ts'
import { messageOf, PlainError, UsageError } from '../cluster/plain-error.ts'
import { CRASHES, type Crash, type InstanceCommand } from '../instance/instance-command.ts'
import { DELAY_MS_MAX, FAULT_SECONDS_MAX, type NodeFault } from '../storage/node-faults.ts'
import { askZone } from '../storage/real-zone-client.ts'
import type { FaultOfNode } from '../storage/real-zone-control.ts'
import { ask } from './control-socket.ts'
import { columns, type RegionStatus } from './region-status.ts'

const SECONDS = 60
const DELAY_MS = '20-100'

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

interface Target {
  readonly zone: string
  /** null: all of the zone */
  readonly node: string | null
}

function storageTarget({ storageNodes }: RegionStatus, name: string): Target | undefined {
  const node = storageNodes.find(({ id }) => id === name)
  if (node !== undefined) return { zone: node.zone, node: name }
  return storageNodes.some(({ zone }) => zone === name) ? { zone: name, node: null } : undefined
}

const zonesOf = ({ storageNodes }: RegionStatus): string[] => [...new Set(storageNodes.map(({ zone }) => zone))]

const statusOf = (home: Home): Promise<RegionStatus> => ask(home, 'status', {})

async function storageNamed(home: Home, name: string): Promise<Target> {
  const target = storageTarget(await statusOf(home), name)
  if (target === undefined) throw new PlainError(`there is no zone or storage node ${name}: see borealis status`)
  return target
}

/** @throws UsageError */
function parse(args: readonly string[], names: readonly string[]) {
  const options = { percent: { type: 'string' }, ms: { type: 'string' }, seconds: { type: 'string' } } as const
  let parsed: ReturnType<typeof parseArgs<{ args: string[]; options: typeof options; allowPositionals: true }>>
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(messageOf(error).split('. ')[0] ?? '')
  }
  const { values, positionals } = parsed
  const missing = names[positionals.length]
  if (missing !== undefined) throw new UsageError(`${missing} is missing`)
  return { values, name: positionals[0] ?? '', more: positionals.slice(1) }
}

/** @throws UsageError */
function numberWithin(text: string | undefined, otherwise: number, name: string, min: number, max: number): number {
  const value = text === undefined ? otherwise : Number(text)
  if (text === '' || !(value >= min && value <= max))
    throw new UsageError(`--${name} ${text}: it is between ${min} and ${max}`)
  return value
}

type Values = ReturnType<typeof parse>['values']

/** @throws UsageError */
function faultOf(kind: NodeFault['kind'], { percent: share, ms, seconds }: Values): NodeFault {
  const forSeconds = numberWithin(seconds, SECONDS, 'seconds', 1, FAULT_SECONDS_MAX)
  const untilMs = Date.now() + forSeconds * 1000
  if (kind === 'cut') return { kind, untilMs }
  const percent = numberWithin(share, 100, 'percent', 0, 100)
  if (kind === 'failing-disk') return { kind, percent, untilMs }
  const [least = '', most = least] = (ms ?? DELAY_MS).split('-')
  const msMin = numberWithin(least, 0, 'ms', 0, DELAY_MS_MAX)
  return { kind, percent, msMin, msMax: numberWithin(most, 0, 'ms', msMin, DELAY_MS_MAX), untilMs }
}

function text(fault: FaultOfNode): string {
  const left = `${Math.ceil((fault.untilMs - Date.now()) / 1000)} s left`
  if (fault.kind === 'cut') return left
  const share = `${fault.percent} %`
  return fault.kind === 'failing-disk' ? `${share}, ${left}` : `${share}, ${fault.msMin} to ${fault.msMax} ms, ${left}`
}

async function list(home: Home): Promise<void> {
  const reports = await Promise.all(
    zonesOf(await statusOf(home)).map(async (zone) => askZone(zoneSocket(home, zone)).catch(() => undefined)),
  )
  const faults = reports.flatMap((report) => report?.faults ?? [])
  if (faults.length === 0) return print('there are no faults')
  print(columns([['NODE', 'FAULT', ''], ...faults.map((fault) => [fault.node, fault.kind, text(fault)])]))
}

async function inject(home: Home, kind: NodeFault['kind'], args: readonly string[]): Promise<void> {
  const { values, name } = parse(args, ['NODE or ZONE'])
  const fault = faultOf(kind, values)
  const { zone, node } = await storageNamed(home, name)
  const { faults } = await askZone(zoneSocket(home, zone), { do: 'fault', node, fault })
  const made = faults.filter((each) => each.kind === kind && (node === null || each.node === node))
  for (const each of made) print(`${each.node}: ${kind}, ${text(each)}`)
}

async function heal(home: Home, args: readonly string[]): Promise<void> {
  const { name } = parse(args, [])
  const targets: Target[] =
    name === '' ? zonesOf(await statusOf(home)).map((zone) => ({ zone, node: null })) : [await storageNamed(home, name)]
  await Promise.all(targets.map(({ zone, node }) => askZone(zoneSocket(home, zone), { do: 'heal', node })))
  print('healed')
}

/** One line to an instance; it takes what it hears. */
async function tellInstance(home: Home, name: string, command: InstanceCommand): Promise<void> {
  const socket = createConnection(instanceSocket(home, name))
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (cause) => reject(new PlainError(`instance ${name} does not run`, { cause })))
    socket.once('connect', () => socket.end(`${JSON.stringify(command)}\n`, resolve))
  })
}

const isCrash = (what: string): what is Crash => (CRASHES as readonly string[]).includes(what)

async function crash(home: Home, args: readonly string[]): Promise<void> {
  const { name, more } = parse(args, ['INSTANCE, ZONE or NODE'])
  const [what = 'instance'] = more
  if (!isCrash(what)) throw new UsageError(`${what}: of an instance crashes ${CRASHES.join(', ')}`)
  const status = await statusOf(home)
  const target = storageTarget(status, name)
  if (target === undefined) {
    if (!status.instances.some((instance) => instance.name === name))
      throw new PlainError(`there is no instance, zone or storage node ${name}: see borealis status`)
    await tellInstance(home, name, { do: 'crash', what })
  } else {
    const { zone, node } = target
    if (node !== null) await askZone(zoneSocket(home, zone), { do: 'crash', node })
    else process.kill((await askZone(zoneSocket(home, zone))).pid, 'SIGKILL')
  }
  print(`${name} crashed`)
}

/** @throws UsageError; PlainError with what could not be */
export async function fault(home: Home, [what, ...args]: readonly string[]): Promise<void> {
  switch (what) {
    case 'list':
      return list(home)
    case 'crash':
      return crash(home, args)
    case 'slow-disk':
    case 'failing-disk':
    case 'cut':
      return inject(home, what, args)
    case 'heal':
      return heal(home, args)
    default:
      throw new UsageError(`fault ${what ?? ''}: it is list, crash, slow-disk, failing-disk, cut or heal`)
  }
}
