import { posix } from 'node:path'
import { isTest, type SourceFile } from './source-file.ts'

/** From the ground up: each imports only from itself and from those before it (docs/architecture.md). */
export const HOUSES: readonly string[] = [
  'protocol',
  'storage',
  'volume',
  'filesystem',
  'fuse',
  'engine',
  'instance',
  'cluster',
  'gateway',
  'api',
  'console',
  'cli',
]

/** Imports that the order would allow and the design does not: the kernel's protocol and the engines see only files. */
const CLOSED: Readonly<Record<string, readonly string[]>> = {
  fuse: ['storage', 'volume'],
  engine: ['storage', 'volume', 'filesystem'],
}

const house = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1]

/** The path that a relative import means; undefined for a package or a module of Node. */
const target = (file: SourceFile, specifier: string): string | undefined =>
  specifier.startsWith('.') ? posix.normalize(posix.join(posix.dirname(file.path), specifier)) : undefined

export function importProblems(file: SourceFile): string[] {
  const from = house(file.path)
  const rank = from === undefined ? -1 : HOUSES.indexOf(from)
  if (from === undefined || rank < 0) return [`${file.path} is in none of the houses ${HOUSES.join(', ')}`]
  return file.imports.flatMap((specifier) => {
    const path = target(file, specifier)
    if (path === undefined) return []
    const to = house(path)
    if (to === undefined) return isTest(file.path) ? [] : [`${file.path} imports ${specifier}, which is outside of src`]
    if (to === from) return []
    const toRank = HOUSES.indexOf(to)
    if (toRank < 0 || toRank > rank) return [`${file.path} imports ${specifier}: ${from} must not know ${to}`]
    return CLOSED[from]?.includes(to) ? [`${file.path} imports ${specifier}: ${from} must not know ${to}`] : []
  })
}

interface Ban {
  readonly what: string
  readonly code: RegExp
}

const CLOCK: Ban = {
  what: 'a clock',
  code: /\bnew\s+Date\b|\bDate\s*\(|\bDate\.now\b|\bperformance\.now\b|\bprocess\.(?:hrtime|uptime)\b|\bTemporal\.Now\b/,
}
const RANDOMNESS: Ban = {
  what: 'randomness',
  code: /\bMath\.random\b|\brandom(?:Bytes|UUID|UUIDv7|Int|Fill|FillSync)\b|\bgetRandomValues\b/,
}
const TIMERS: Ban = {
  what: 'a timer',
  code: /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b|\bprocess\.nextTick\b|\bAtomics\.wait(?:Async)?\b/,
}
const PROMISES: Ban = { what: 'a promise', code: /\basync\b|\bawait\b|\bPromise\b/ }

const used = (file: SourceFile, bans: readonly Ban[]): string[] =>
  bans.filter(({ code }) => code.test(file.code)).map(({ what }) => `${file.path} uses ${what}`)

/** Everything but what is relative or in the list. */
const importedBesides = (file: SourceFile, allowed: readonly string[]): string[] =>
  file.imports
    .filter((specifier) => !specifier.startsWith('.') && !allowed.includes(specifier))
    .map((specifier) => `${file.path} imports ${specifier}`)

/** Calls functions of a library that are as pure as those of `node:zlib`. */
const ZSTD = 'src/protocol/real-zstd.ts'

/** `src/protocol` is pure: the same input gives the same output, at once. */
export const pureProblems = (file: SourceFile): string[] => [
  ...importedBesides(file, file.path === ZSTD ? ['node:zlib', 'node:ffi'] : ['node:zlib']),
  ...used(file, [CLOCK, RANDOMNESS, TIMERS, PROMISES]),
]

/** Modules that compute and nothing else: no clock, timer, socket, file, thread or process behind them. */
const COMPUTING = ['node:zlib', 'node:crypto', 'node:buffer', 'node:assert', 'node:util']

/**
 * The storage node and the driver get clock, randomness, disk and network as arguments, so that the simulator can be
 * all of them. Promises are for the driver's control operations.
 */
export const coreProblems = (file: SourceFile): string[] => [
  ...importedBesides(file, COMPUTING),
  ...used(file, [CLOCK, RANDOMNESS, TIMERS]),
]

/** The thin shells that give the cores a real clock, disk and network are known by their names. */
export const isShell = (path: string): boolean =>
  /(?:^|\/)(?:[^/]*-node|real-[^/]*|tcp-[^/]*|(?:[^/]*-)?main|[^/]*worker[^/]*|[^/]*sqlite[^/]*)\.ts$/.test(path)

export const LINES_MAX = 500

const NO_SUBJECT = /(?:^|[-_.])(?:utils?|helpers?|common|misc)(?:[-_.]|$)/i

/** Parts of the path that are named for no subject at all. */
export const namesWithoutSubject = (path: string): string[] => path.split('/').filter((name) => NO_SUBJECT.test(name))
