/**
 * The assertions of `pjdfstest`, a suite for POSIX file systems, and how they come out in a folder. It is not ours to give
 * away: docs/outside-suites.md says how to get it.
 */
import { appendFileSync, cpSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from './fuse-mounts.ts'

/** The suite knows what to ask of ext4 and what of others: everywhere the same is asked. */
const AS_EXT4 = '\nfs=EXT4\n'

const ASSERTION = /^(ok|not ok) (\d+)(?: (.*))?$/gm
const PLAN = /^1\.\.(\d+)/m

/** Names differ from one run to the next. */
const RANDOM_NAME = /pjdfstest_[0-9a-f]+/g

export interface Assertions {
  readonly passed: number
  /** `rename/09.t 14: ...`; also those that should have been there. */
  readonly failed: readonly string[]
}

/** What one script printed. */
function assertionsOf(script: string, output: string): Assertions {
  const all = [...output.matchAll(ASSERTION)]
  const failed = all
    .filter(([, result]) => result !== 'ok')
    .map(([, , number, why = '']) => `${script} ${number}: ${why.replace(RANDOM_NAME, 'NAME')}`)
  const planned = PLAN.exec(output)?.[1]
  if (planned === undefined) failed.push(`${script} has no plan: ${output.slice(0, 200)}`)
  else if (all.length !== Number(planned)) failed.push(`${script} has ${all.length} results of ${planned}`)
  return { passed: all.length - all.filter(([, result]) => result !== 'ok').length, failed }
}

export class PjdfstestSuite implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'borealis-pjdfstest-'))
  readonly scripts: readonly string[]

  /** @param built a folder with the program `pjdfstest` and the scripts in `tests` */
  constructor(built: string) {
    for (const name of ['pjdfstest', 'tests']) {
      if (!existsSync(join(built, name))) throw new Error(`there is no ${name} in ${built}`)
      cpSync(join(built, name), join(this.#folder, name), { recursive: true })
    }
    appendFileSync(join(this.#folder, 'tests', 'conf'), AS_EXT4)
    this.scripts = globSync('**/*.t', { cwd: join(this.#folder, 'tests') }).sort()
  }

  /** All scripts, one after the other, in the folder. */
  async run(folder: string): Promise<Assertions> {
    let passed = 0
    const failed: string[] = []
    for (const script of this.scripts) {
      const { output } = await runProgram('sh', [join(this.#folder, 'tests', script)], { cwd: folder })
      const assertions = assertionsOf(script, output)
      passed += assertions.passed
      failed.push(...assertions.failed)
    }
    return { passed, failed }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
