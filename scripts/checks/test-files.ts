import { globSync } from 'node:fs'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { NOTHING, type Tally } from './tally.ts'

export interface TestFiles {
  readonly include: readonly string[]
  readonly exclude?: readonly string[]
  /** Files that run at the same time. */
  readonly atOnce: number
  /** A test that takes longer has failed. */
  readonly testLimitMs: number
  /** After this all that still runs is killed: a test in an endless loop, or a process with a timer left behind. */
  readonly stageLimitMs: number
}

/** The files of a stage, sorted; with `only`, those whose path contains one of the texts. */
export function findTestFiles(files: TestFiles, only: readonly string[]): string[] {
  return globSync([...files.include], { exclude: files.exclude === undefined ? [] : [...files.exclude] })
    .filter((path) => only.length === 0 || only.some((text) => path.includes(text)))
    .sort()
}

/** Runs files of `node:test`, each in a process of its own, and counts their tests (suites are not counted). */
export function runTestFiles(
  paths: readonly string[],
  { atOnce, testLimitMs, stageLimitMs }: TestFiles,
): Promise<Tally> {
  return new Promise((resolve, reject) => {
    const stopped = new AbortController()
    const stop = (): void => stopped.abort()
    // Test files would go on running after we were stopped.
    process.once('exit', stop)
    const limit = setTimeout(() => {
      console.log(`the test files that still run after ${stageLimitMs / 1000} s are stopped`)
      stop()
    }, stageLimitMs)
    const events = run({ files: [...paths], concurrency: atOnce, timeout: testLimitMs, signal: stopped.signal })
    let tally = NOTHING
    events.on('test:summary', ({ file, counts, success }) => {
      // One summary for each file, then one without a name for all.
      if (file !== undefined) return
      const failed = counts.tests - counts.passed - counts.skipped - counts.todo
      // A hook or a suite's body can fail where no test does.
      tally = {
        passed: counts.passed,
        failed: success ? failed : Math.max(failed, 1),
        skipped: counts.skipped + counts.todo,
      }
    })
    const report = events.compose(spec)
    report.on('data', (text: string | Uint8Array) => process.stdout.write(text))
    report.on('error', reject)
    report.on('end', () => {
      clearTimeout(limit)
      process.removeListener('exit', stop)
      resolve(stopped.signal.aborted && tally.failed === 0 ? { ...tally, failed: 1 } : tally)
    })
  })
}
