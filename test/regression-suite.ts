/**
 * PostgreSQL's own regression tests (`pg_regress`, its parallel schedule) against a server that runs. They come with the
 * source of PostgreSQL and are not ours to give away: docs/outside-suites.md says how to get them.
 */
import {
  appendFileSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Account } from '../src/engine/account.ts'
import { SUPERUSER } from '../src/engine/postgres/template.ts'
import { runProgram } from './fuse-mounts.ts'

/** What of `src/test/regress` the tests need, besides the programs and libraries in it. */
const INPUTS = ['sql', 'expected', 'data', 'input', 'output', 'parallel_schedule', 'resultmap']
const LIBRARIES = ['regress.so', 'autoinc.so', 'refint.so']

/** `test boolean ... ok  35 ms` up to 15, `ok 2 + boolean  35 ms` from 16 on. */
const RESULT_LINES = [
  /^(?:test)?\s+(?<name>\S+)\s+\.\.\. (?<result>ok|FAILED)/gm,
  /^(?<result>ok|not ok) \d+\s+[-+] (?<name>\S+)/gm,
]

export interface Server {
  /** Where its socket is; everybody gets in there. */
  readonly socketFolder: string
  readonly port: number
}

export interface RegressionResults {
  readonly passed: readonly string[]
  readonly failed: readonly string[]
  /** How the answers of those that failed differ from what was expected, without times. */
  readonly differences: string
  readonly seconds: number
}

function resultsOf(output: string): { passed: string[]; failed: string[] } {
  const results = RESULT_LINES.flatMap((line) => [...output.matchAll(line)].map(({ groups }) => groups ?? {}))
  const named = (isPassed: boolean) =>
    results.filter(({ result }) => (result === 'ok') === isPassed).map(({ name = '' }) => name)
  return { passed: named(true).sort(), failed: named(false).sort() }
}

export class RegressionSuite implements Disposable {
  /** `15.18` */
  readonly version: string
  readonly #tree: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'borealis-regress-'))
  readonly #account: Account | undefined

  /**
   * @param regress `src/test/regress` of a source tree that was built
   * @param account who the server runs as: its files are read and written by both
   */
  constructor(regress: string, account: Account | undefined) {
    this.#tree = join(regress, '..', '..', '..')
    this.#account = account
    this.version = versionOf(this.#tree)
    for (const name of [...INPUTS, ...LIBRARIES, 'pg_regress']) {
      const from = join(regress, name)
      if (existsSync(from)) cpSync(from, join(this.#folder, name), { recursive: true })
    }
    this.#give(this.#folder)
  }

  #give(path: string): void {
    if (this.#account !== undefined) chownSync(path, this.#account.uid, this.#account.gid)
  }

  /** All of the schedule. @throws when the tests did not get so far as to have results */
  async run(name: string, { socketFolder, port }: Server): Promise<RegressionResults> {
    const output = join(this.#folder, name)
    mkdirSync(output)
    this.#give(output)
    const startedMs = performance.now()
    const finished = await runProgram(
      join(this.#folder, 'pg_regress'),
      [
        `--inputdir=${this.#folder}`,
        `--outputdir=${output}`,
        `--dlpath=${this.#folder}`,
        `--bindir=${join(this.#tree, 'src', 'bin', 'psql')}`,
        `--schedule=${join(this.#folder, 'parallel_schedule')}`,
        `--host=${socketFolder}`,
        `--port=${port}`,
        `--user=${SUPERUSER}`,
      ],
      {
        ...this.#account,
        env: { PATH: process.env.PATH, LD_LIBRARY_PATH: join(this.#tree, 'src', 'interfaces', 'libpq') },
      },
    )
    const { passed, failed } = resultsOf(finished.output)
    if (passed.length === 0) throw new Error(`pg_regress: ${finished.output}`)
    const differences = join(output, 'regression.diffs')
    return {
      passed,
      failed,
      differences: existsSync(differences) ? readFileSync(differences, 'utf8').replaceAll(output, '') : '',
      seconds: (performance.now() - startedMs) / 1000,
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function versionOf(tree: string): string {
  const header = readFileSync(join(tree, 'src', 'include', 'pg_config.h'), 'utf8')
  const version = /^#define PG_VERSION "([^"]+)"/m.exec(header)?.[1]
  if (version === undefined) throw new Error(`${tree} is no source tree that was configured`)
  return version
}

/**
 * Lets everybody in who may open the socket, without a password: tests become other users. Until the next start.
 * @param run the folder of the instance's configuration
 */
export const letEverybodyIn = (run: string): void => {
  writeFileSync(join(run, 'pg_hba.conf'), 'local all all trust\n')
}

/** The tests print all system views: no database gets Aurora's any more. Until the next start. */
export const leaveDatabasesAsTheyAre = (run: string): void => {
  appendFileSync(join(run, 'borealis.conf'), `borealis.aurora_surface = 'off'\n`)
}
