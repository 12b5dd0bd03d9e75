/**
 * Every check there is: `npm test [-- --only STAGE[,STAGE]] [-- PART-OF-A-PATH ...]`. Started by `scripts/test.mjs`.
 * A stage that fails does not stop those after it. The last line is `N passed, N failed[, N skipped]`.
 */
import { parseArgs } from 'node:util'
import { STAGES, type Stage } from './stages.ts'
import { addTallies, NOTHING, ONE_FAILED, type Tally, tallyLine } from './tally.ts'

const USAGE = `npm test -- [--only STAGE[,STAGE]] [PART-OF-A-PATH ...], where STAGE is one of ${STAGES.map((s) => s.name).join(', ')}`

function wrongUsage(message: string): never {
  console.error(`${message}; usage: ${USAGE}`)
  process.exit(2)
}

function readArguments(): { stages: readonly Stage[]; only: readonly string[] } {
  let parsed: { values: { only?: string[] }; positionals: string[] }
  try {
    parsed = parseArgs({ options: { only: { type: 'string', multiple: true } }, allowPositionals: true })
  } catch (error) {
    wrongUsage(error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error))
  }
  const names = parsed.values.only?.flatMap((text) => text.split(','))
  const unknown = names?.find((name) => !STAGES.some((stage) => stage.name === name))
  if (unknown !== undefined) wrongUsage(`there is no stage ${unknown}`)
  return { stages: STAGES.filter(({ name }) => names?.includes(name) ?? true), only: parsed.positionals }
}

interface Result {
  readonly name: string
  readonly tally: Tally
  readonly seconds: number
}

async function runStage(stage: Stage, only: readonly string[]): Promise<Result> {
  console.log(`\n== ${stage.name}: ${stage.what}`)
  const startedMs = performance.now()
  let tally: Tally
  try {
    tally = await stage.run(only)
  } catch (error) {
    console.log(error)
    tally = ONE_FAILED
  }
  const seconds = (performance.now() - startedMs) / 1000
  console.log(`== ${stage.name}: ${tallyLine(tally)} (${seconds.toFixed(1)} s)`)
  return { name: stage.name, tally, seconds }
}

const { stages, only } = readArguments()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))

const results: Result[] = []
for (const stage of stages) results.push(await runStage(stage, only))
const total = results.reduce((sum, { tally }) => addTallies(sum, tally), NOTHING)
// A selection that matches nothing has shown nothing.
const nothingRan = total.passed + total.failed + total.skipped === 0
if (nothingRan) console.log(`no test file's path contains ${only.join(' or ')}`)

console.log('')
for (const { name, tally, seconds } of results) {
  console.log(`${name.padEnd(10)} ${`${seconds.toFixed(1)} s`.padStart(8)}  ${tallyLine(tally)}`)
}
console.log(tallyLine(total))
process.exitCode = total.failed > 0 || nothingRan ? 1 : 0
