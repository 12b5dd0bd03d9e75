// Sets up what a fresh clone lacks. Runs on any Node >= 20, so: plain JavaScript and nothing from node_modules.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'

export const root = join(import.meta.dirname, '..')
const pinnedNode = join(root, 'node_modules', '.bin', 'node')

const readJson = (...path) => JSON.parse(readFileSync(join(root, ...path), 'utf8'))

/** Why `npm ci` is needed, or undefined when everything the lockfile names is there. */
function whatIsMissing() {
  if (!existsSync(join(root, 'node_modules', '.package-lock.json'))) return 'nothing is installed yet'
  const installed = readJson('node_modules', '.package-lock.json').packages
  for (const [path, entry] of Object.entries(readJson('package-lock.json').packages)) {
    // Optional packages are builds for other platforms.
    if (path === '' || entry.optional) continue
    if (installed[path]?.version !== entry.version) return `${path} is not ${entry.version}`
  }
  return pinnedNodeProblem()
}

function pinnedNodeProblem() {
  const wanted = `v${readJson('package.json').dependencies.node}`
  if (process.version === wanted && process.execPath.startsWith(join(root, 'node_modules'))) return undefined
  if (!existsSync(pinnedNode)) return `Node ${wanted} is not there`
  const found = spawnSync(pinnedNode, ['--version'], { encoding: 'utf8' }).stdout?.trim()
  return found === wanted ? undefined : `node_modules has Node ${found || 'that does not start'}, not ${wanted}`
}

/**
 * The environment without this project's own programs in front of PATH: `npm ci` removes them while it runs, so npm
 * itself has to run on the host's Node.
 */
function hostEnvironment() {
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.endsWith(join('node_modules', '.bin')))
  return { ...process.env, PATH: path.join(delimiter) }
}

/** Brings node_modules to what the lockfile says. Answers the path of the pinned Node; ends the process if it cannot. */
export function setUp() {
  const reason = whatIsMissing()
  if (reason === undefined) return pinnedNode
  console.error(`setting up: ${reason}; npm ci`)
  const npm = spawnSync('npm', ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'], {
    cwd: root,
    env: hostEnvironment(),
    // npm's report goes to stderr: stdout belongs to the program that is started next.
    stdio: ['ignore', 2, 2],
  })
  if (npm.error) fail(`npm could not be started (${npm.error.message}): install Node 20 or newer with npm`)
  if (npm.status !== 0) fail('npm ci failed: see its messages above, then start this again')
  const problem = pinnedNodeProblem()
  if (problem !== undefined) {
    fail(`after npm ci, ${problem}: is npm set to ignore install scripts? Then run npm ci --ignore-scripts=false`)
  }
  return pinnedNode
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

/**
 * Where Node keeps our code as it has compiled it, by its content: a process starts in a fifth of the time. It inherits
 * to all that is started from here.
 */
const compileCache = join(root, 'node_modules', '.cache', 'node')

/** Runs a program of this repository on the pinned Node in our place: its output, signals and exit status are ours. */
export function handOver(program, args, { cwd = root } = {}) {
  const env = { NODE_COMPILE_CACHE: compileCache, ...process.env }
  const child = spawn(setUp(), [join(root, program), ...args], { cwd, env, stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`the pinned Node did not start: ${error.message}`))
  child.on('exit', (status, signal) => process.exit(status ?? 128 + (constants.signals[signal] ?? 0)))
}
