/**
 * PostgreSQL recovers from any LSN of the volume, and after any crash: a few of each. Many of each:
 *
 *   node test/lsn-recovery.ts --lsns 200
 *   node test/crash-loops.ts --rounds 50
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { crashOnce } from '../crash-loops.ts'
import { VICTIMS } from '../crashes.ts'
import { whyNoMount } from '../fuse-mounts.ts'
import { type History, makeHistory, pickPoint, provePoint } from '../lsn-recovery.ts'
import { printedSeed } from '../waiting.ts'

const skip = whyNoMount() ?? false

const LSNS = 6
const CLIENTS = 6
/** One crash falls into it. */
const LOAD_MS = 8000

describe('a cluster that was loaded and whose parts were killed', { skip }, () => {
  const seed = printedSeed('postgres-recovery')
  const random = new Random(seed)
  let history: History

  before(async () => {
    history = await makeHistory(seed, CLIENTS, LOAD_MS)
    console.log(`${history.cluster.load.acknowledged} transfers were acknowledged`)
  })
  after(async () => {
    await history?.cluster[Symbol.asyncDispose]()
  })

  for (let i = 0; i < LSNS; i++) {
    const kind = i % 2 === 0 ? 'view' : 'branch'
    it(`recovers at an LSN of its history, as a ${kind}, with what was durable then and nothing else`, async () => {
      const { problems, ...report } = await provePoint(history, pickPoint(history, random), kind)
      console.log(JSON.stringify(report))
      assert.deepEqual(problems, [])
    })
  }

  for (const victim of VICTIMS) {
    it(`loses nothing when ${victim} is killed under load`, async () => {
      history.cluster.start()
      const { problems, ...report } = await crashOnce(history.cluster, victim, random)
      console.log(JSON.stringify(report))
      assert.deepEqual(problems, [])
    })
  }
})
