/** `borealis COMMAND`: what was asked for, done; or one line on stderr that says what was wrong and what to do. */
import { parseArgs } from 'node:util'
import { CLUSTER_NAME_RULE, isClusterName } from '../cluster/cluster-name.ts'
import { ourHome } from '../cluster/host/home.ts'
import { instanceClass } from '../cluster/instance-classes.ts'
import { parsePoint } from '../cluster/past-point.ts'
import { messageOf, UsageError } from '../cluster/plain-error.ts'
import { nodeOptionsFrom } from '../storage/node-options.ts'
import {
  branchCluster,
  createCluster,
  createInstance,
  deleteCluster,
  deleteInstance,
  down,
  failover,
  listClusters,
  patchCluster,
  printCredentials,
  printPassword,
  psql,
  rebootInstance,
  status,
} from './commands.ts'
import { fault } from './fault.ts'
import { READERS_MAX } from './region-commands.ts'
import { DEMO_READERS, upDetached, upHere } from './up.ts'
import { checkCluster } from './volume-check.ts'
import { mountVolume } from './volume-mount.ts'

const USAGE = `usage: borealis COMMAND

  up [--no-demo] [--detach] [--readers N]
                                  start the region; without --detach it ends with Ctrl-C;
                                  the demo cluster is made with one reader, or N
  down                            stop it, losing nothing
  status [--json]                 everything that runs
  cluster create NAME [--engine postgres] [--engine-version 17] [--readers N]
  cluster branch NAME NEW [--at LSN|TIME]
                                  a cluster with NAME's data of that point, now without --at
  cluster list
  cluster delete NAME             with all its data
  cluster password NAME           of the master user
  instance create CLUSTER [NAME] [--tier 0-15] [--class db.t4g.small]
                                  another reader
  instance delete NAME            the cluster's data stays
  instance reboot NAME
  failover NAME [--to INSTANCE]   make a reader the writer
  fault crash INSTANCE [instance|dispatcher|node], fault crash ZONE|NODE
  fault slow-disk|failing-disk|cut ZONE|NODE [--percent 100] [--ms 20-100] [--seconds 60]
  fault list, fault heal [ZONE|NODE]
                                  faults on purpose, each for a time
  patch NAME                      new code under a running cluster: sessions go on after a pause
  credentials [--format profile|env]
                                  the access key of the local account, for AWS's tools
  psql NAME [ARGUMENTS]           connect as the master user
  volume check NAME               compare all copies, and check the files; status 1 when
                                  something is wrong
  volume mount NAME FOLDER [--at LSN|TIME] [--overlay]
                                  the files of that point, until Ctrl-C; with --overlay changes
                                  are taken, and gone with it

Data is in BOREALIS_HOME (~/.borealis). Why something failed, with BOREALIS_DEBUG=1 in detail.`

type Options = NonNullable<Parameters<typeof parseArgs>[0]>['options']

/**
 * @param names of what has to come
 * @param more how much may come after it
 * @throws UsageError
 */
function parse<O extends NonNullable<Options>>(
  args: readonly string[],
  options: O,
  names: readonly string[] = [],
  more = 0,
) {
  let parsed: ReturnType<typeof parseArgs<{ args: string[]; options: O; allowPositionals: true }>>
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(messageOf(error).split('. ')[0] ?? '')
  }
  const { values, positionals } = parsed
  const missing = names[positionals.length]
  if (missing !== undefined) throw new UsageError(`${missing} is missing`)
  if (positionals.length > names.length + more)
    throw new UsageError(`${positionals[names.length + more]} is one argument too many`)
  return { values, positionals }
}

const home = ourHome()

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

function readersFrom(text: string): number {
  const readers = Number(text)
  if (!Number.isSafeInteger(readers) || readers < 0 || readers > READERS_MAX)
    throw new UsageError(`--readers ${text}: a cluster has 0 to ${READERS_MAX} readers`)
  return readers
}

async function up(args: readonly string[]): Promise<void> {
  const { values } = parse(args, {
    'no-demo': { type: 'boolean', default: false },
    detach: { type: 'boolean', default: false },
    readers: { type: 'string', default: `${DEMO_READERS}` },
    // For tests: small nodes and engines.
    set: { type: 'string', multiple: true, default: [] },
    'memory-mib': { type: 'string' },
  })
  const memoryMib = values['memory-mib'] === undefined ? undefined : Number(values['memory-mib'])
  if (memoryMib !== undefined && !(Number.isSafeInteger(memoryMib) && memoryMib > 0))
    throw new UsageError('--memory-mib is a positive whole number')
  nodeOptionsFrom(values.set)
  const readers = readersFrom(values.readers)
  const options = { home, demo: !values['no-demo'], readers, nodeSettings: values.set, memoryMib }
  await (values.detach ? upDetached(options) : upHere(options))
}

async function cluster([what, ...args]: readonly string[]): Promise<void> {
  switch (what) {
    case 'create': {
      const { values, positionals } = parse(
        args,
        {
          engine: { type: 'string', default: 'postgres' },
          'engine-version': { type: 'string' },
          readers: { type: 'string', default: '0' },
        },
        ['NAME'],
      )
      if (values.engine !== 'postgres') throw new UsageError(`--engine ${values.engine}: there is postgres, so far`)
      const readers = readersFrom(values.readers)
      const [name = ''] = positionals
      if (!isClusterName(name)) throw new UsageError(`${name} is no name for a cluster: ${CLUSTER_NAME_RULE}`)
      return createCluster(home, name, values['engine-version'], readers)
    }
    case 'branch': {
      const { values, positionals } = parse(args, { at: { type: 'string' } }, ['NAME', 'NEW'])
      const [source = '', name = ''] = positionals
      if (!isClusterName(name)) throw new UsageError(`${name} is no name for a cluster: ${CLUSTER_NAME_RULE}`)
      return branchCluster(home, source, name, values.at === undefined ? undefined : parsePoint(values.at))
    }
    case 'list':
      parse(args, {})
      return listClusters(home)
    case 'delete':
      return deleteCluster(home, parse(args, {}, ['NAME']).positionals[0] ?? '')
    case 'password':
      return printPassword(home, parse(args, {}, ['NAME']).positionals[0] ?? '')
    default:
      throw new UsageError(`cluster ${what ?? ''}: it is create, branch, list, delete or password`)
  }
}

async function instance([what, ...args]: readonly string[]): Promise<void> {
  switch (what) {
    case 'create': {
      const options = { tier: { type: 'string', default: '1' }, class: { type: 'string' } } as const
      const { values, positionals } = parse(args, options, ['CLUSTER'], 1)
      const [cluster = '', name = null] = positionals
      const tier = Number(values.tier)
      if (!Number.isSafeInteger(tier) || tier < 0 || tier > 15)
        throw new UsageError(`--tier ${values.tier}: it is 0 to 15`)
      if (values.class !== undefined && instanceClass(values.class) === undefined)
        throw new UsageError(`--class ${values.class}: there is no such class, but db.t4g.medium or db.r6g.large`)
      return createInstance(home, { cluster, name, tier, instanceClass: values.class ?? null })
    }
    case 'delete':
      return deleteInstance(home, parse(args, {}, ['NAME']).positionals[0] ?? '')
    case 'reboot':
      return rebootInstance(home, parse(args, {}, ['NAME']).positionals[0] ?? '')
    default:
      throw new UsageError(`instance ${what ?? ''}: it is create, delete or reboot`)
  }
}

/** @returns the status of this process */
async function volume([what, ...args]: readonly string[]): Promise<number> {
  switch (what) {
    case 'check':
      return checkCluster(home, parse(args, {}, ['NAME']).positionals[0] ?? '', print)
    case 'mount': {
      const options = { at: { type: 'string' }, overlay: { type: 'boolean', default: false } } as const
      const { values, positionals } = parse(args, options, ['NAME', 'FOLDER'])
      const [name = '', folder = ''] = positionals
      const at = values.at === undefined ? undefined : parsePoint(values.at)
      await mountVolume(home, { name, folder, at, overlay: values.overlay })
      return 0
    }
    default:
      throw new UsageError(`volume ${what ?? ''}: it is check or mount`)
  }
}

/** @returns the status of this process */
async function run([command, ...args]: readonly string[]): Promise<number> {
  switch (command) {
    case 'up':
      await up(args)
      return 0
    case 'down':
      parse(args, {})
      await down(home)
      return 0
    case 'status':
      await status(home, parse(args, { json: { type: 'boolean', default: false } }).values.json === true)
      return 0
    case 'cluster':
      await cluster(args)
      return 0
    case 'instance':
      await instance(args)
      return 0
    case 'failover': {
      const { values, positionals } = parse(args, { to: { type: 'string' } }, ['NAME'])
      await failover(home, positionals[0] ?? '', values.to)
      return 0
    }
    case 'fault':
      await fault(home, args)
      return 0
    case 'credentials': {
      const { values } = parse(args, { format: { type: 'string', default: 'profile' } })
      if (values.format !== 'profile' && values.format !== 'env')
        throw new UsageError(`--format ${values.format}: it is profile or env`)
      printCredentials(home, values.format)
      return 0
    }
    case 'patch':
      await patchCluster(home, parse(args, {}, ['NAME']).positionals[0] ?? '')
      return 0
    case 'psql': {
      const [name, ...rest] = args
      if (name === undefined || name.startsWith('-')) throw new UsageError('psql: NAME of a cluster is missing')
      return psql(home, name, rest)
    }
    case 'volume':
      return volume(args)
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(`${USAGE}\n`)
      return 0
    case undefined:
      throw new UsageError('a command is missing')
    default:
      throw new UsageError(`there is no command ${command}`)
  }
}

/** Errors of other houses whose message is for people too; everything else is ours to explain. */
function complain(error: unknown): number {
  const isUsage =
    error instanceof UsageError ||
    (error instanceof Error && 'code' in error && (error.code === 'BadRequest' || error.code === 'UnknownVersion'))
  const hint = isUsage && error instanceof UsageError ? '; borealis help lists the commands' : ''
  process.stderr.write(`borealis: ${messageOf(error)}${hint}\n`)
  if (process.env.BOREALIS_DEBUG === '1' && error instanceof Error) {
    process.stderr.write(`${error.stack}\n`)
    for (let { cause } = error; cause instanceof Error; cause = cause.cause)
      process.stderr.write(`cause: ${cause.stack}\n`)
  }
  return isUsage ? 2 : 1
}

let code: number
try {
  code = await run(process.argv.slice(2))
} catch (error) {
  code = complain(error)
}
process.exit(code)
