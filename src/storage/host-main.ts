/**
 * A process with storage nodes of one zone, each in a thread of its own:
 *
 *   node src/storage/host-main.ts --zone a --node a1=DIR:PORT --node a2=DIR:PORT [--host 127.0.0.1] [--advertise IP]
 *     [--set NAME=NUMBER ...] [--control SOCKET] [--faults FILE]
 *
 * `--set` replaces a setting of all its nodes (`node-options.ts`). `--control` takes commands, such as faults to inject,
 * and `--faults` keeps those until their time is over (`real-zone-control.ts`).
 *
 * Prints one line of JSON, {"ready":true,"zone","nodes":[{"node","address","incarnation"}]}, when all listen (port 0
 * picks one). SIGTERM and SIGINT stop it in order, status 0. When a node stops by itself, so does the process: one line
 * on stderr, status 1. Wrong usage is status 2.
 */
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { type NodeId, nodeId } from '../protocol/lsn.ts'
import { FaultBoard } from './node-faults.ts'
import { nodeOptionsFrom } from './node-options.ts'
import { type Boards, loadFaults, serveZone } from './real-zone-control.ts'
import { type NodeThread, startNodeThread } from './worker-thread.ts'

const USAGE =
  'usage: host-main.ts --zone ZONE --node NAME=FOLDER:PORT [--node ...] [--host IP] [--advertise IP] [--set NAME=NUMBER ...] [--control SOCKET] [--faults FILE]'

interface NodeArgument {
  readonly node: NodeId
  readonly folder: string
  readonly port: number
}

class UsageError extends Error {}

/** NAME=FOLDER:PORT; the folder may contain both signs. */
function parseNode(text: string): NodeArgument {
  const match = /^([^=]+)=(.+):(\d{1,5})$/.exec(text)
  const [, name, folder, port] = match ?? []
  if (name === undefined || folder === undefined || Number(port) > 65_535) {
    throw new UsageError(`--node ${text} is not NAME=FOLDER:PORT`)
  }
  return { node: nodeId(name), folder, port: Number(port) }
}

function parseArguments(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        zone: { type: 'string' },
        node: { type: 'string', multiple: true },
        host: { type: 'string', default: '127.0.0.1' },
        advertise: { type: 'string' },
        set: { type: 'string', multiple: true, default: [] },
        control: { type: 'string' },
        faults: { type: 'string' },
        module: { type: 'string' },
      },
    })
    if (values.zone === undefined || values.node === undefined) throw new UsageError('--zone and --node are needed')
    const options = nodeOptionsFrom(values.set)
    return { ...values, zone: values.zone, nodes: values.node.map(parseNode), options }
  } catch (error) {
    throw new UsageError(messageOf(error))
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Starts them all; none is left running when one fails. */
async function startAll(
  { zone, nodes, host, advertise, module, options }: ReturnType<typeof parseArguments>,
  boards: Boards,
): Promise<NodeThread[]> {
  const outcomes = await Promise.allSettled(
    nodes.map((node) =>
      startNodeThread({
        ...node,
        board: boards.get(node.node) as FaultBoard,
        zone,
        host,
        options,
        ...(advertise === undefined ? {} : { advertisedHost: advertise }),
        ...(module === undefined ? {} : { module }),
      }),
    ),
  )
  const failed = outcomes.findIndex(({ status }) => status === 'rejected')
  const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  if (failed < 0) return started
  await Promise.all(started.map((thread) => thread.stop()))
  const outcome = outcomes[failed]
  throw new Error(`node ${nodes[failed]?.node}: ${messageOf(outcome?.status === 'rejected' ? outcome.reason : '')}`)
}

/**
 * MiB. The collector would mark all of a heap of 10 for each few that were allocated: 20 to 26 times while a zone of two
 * nodes took 256 MB, 5 times with this (`npm run bench -- volume --quick --only stream`). For the threads of the nodes.
 */
const HEAP_BEFORE_COLLECTION = '--initial-old-space-size=64'

async function run(): Promise<void> {
  setFlagsFromString(HEAP_BEFORE_COLLECTION)
  const settings = parseArguments(process.argv.slice(2))
  const boards = new Map(settings.nodes.map(({ node }) => [node, new FaultBoard()]))
  if (settings.faults !== undefined) loadFaults(settings.faults, boards)
  const threads = await startAll(settings, boards)
  let stopping = false
  const stop = () => {
    stopping = true
    for (const thread of threads) void thread.stop()
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  const nodes = threads.map(({ address, incarnation }, i) => ({
    node: settings.nodes[i]?.node as NodeId,
    address,
    incarnation,
  }))
  const control =
    settings.control === undefined
      ? undefined
      : await serveZone(settings.control, settings.faults, boards, {
          report: () => ({ pid: process.pid, zone: settings.zone, nodes }),
          crash: (node) => threads[nodes.findIndex((each) => each.node === node)]?.crash(),
          stop,
          complain: (line) => complain(line, undefined),
        })
  process.stdout.write(`${JSON.stringify({ ready: true, zone: settings.zone, nodes })}\n`)
  await Promise.all(
    threads.map(async (thread, i) => {
      const failure = await thread.ended
      if (failure === undefined && stopping) return
      complain(`node ${settings.nodes[i]?.node} stopped: ${failure?.message ?? 'no reason given'}`, failure)
      process.exitCode = 1
      stop()
    }),
  )
  await control?.close()
}

function complain(line: string, error: unknown): void {
  const detail = process.env.BOREALIS_DEBUG === '1' && error instanceof Error ? `\n${error.stack}` : ''
  process.stderr.write(`${line.split('\n', 1)[0]}${detail}\n`)
}

try {
  await run()
} catch (error) {
  complain(error instanceof UsageError ? `${error.message}; ${USAGE}` : messageOf(error), error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
