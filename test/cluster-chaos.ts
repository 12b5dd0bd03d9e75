/**
 * `node test/cluster-chaos.ts --minutes N [--seed S] [--readers 2]`: what test/processes/cluster-chaos.test.ts does for a
 * minute, for as long as wanted. Status 1 when something was wrong. With `--asynchronous-commits` something is: commits
 * are acknowledged before they are durable, and those that are lost have to be found.
 */
import { parseArgs } from 'node:util'
import { runChaos } from './chaos/cluster-chaos.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: `${Date.now() % 0x7fff_ffff}` },
    readers: { type: 'string', default: '2' },
    'asynchronous-commits': { type: 'boolean', default: false },
  },
})

const startedMs = performance.now()
const report = await runChaos({
  seed: Number(values.seed),
  ms: Number(values.minutes) * 60_000,
  readers: Number(values.readers),
  asynchronous: values['asynchronous-commits'],
  say: (line) => console.error(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}`),
})
console.log(JSON.stringify(report, undefined, 2))
process.exitCode = report.problems.length > 0 ? 1 : 0
