/**
 * A cluster with readers, under load, while everything happens to it that it has to survive: nothing that was
 * acknowledged is lost, nothing else appears, and everybody sees what docs/readers.md promises. For longer:
 * `node test/cluster-chaos.ts --minutes N`.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { assertMeaningful, runChaos } from '../chaos/cluster-chaos.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { printedSeed } from '../waiting.ts'

const skip = whyNoMount() ?? false

/** Of the events; what comes before and after takes about as long again. */
const CHAOS_MS = Number(process.env.BOREALIS_CHAOS_MS ?? 45_000)

describe('a cluster under chaos', { skip }, () => {
  it('keeps what it has acknowledged, and shows nothing else', async () => {
    const seed = printedSeed('cluster chaos')
    const lines: string[] = []
    const say = (line: string) => lines.push(line)
    const report = await runChaos({ seed, ms: CHAOS_MS, readers: 2, asynchronous: false, say }).catch(
      (error: unknown) => {
        console.log(lines.join('\n'))
        throw error
      },
    )
    console.log(JSON.stringify(report))
    assert.deepEqual(report.problems, [], lines.join('\n'))
    assertMeaningful(report)
  })
})
