/**
 * Pages are never torn: what the kernel does to writes of pages whose source it has to fetch, and what we do about it.
 * Found here (Linux 6.18): through the page cache pages are split; with direct I/O a write that touches no more than 256
 * pages of memory is one request, and a longer one from a source that is not aligned is cut inside of a page.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type Finished, Place, runProgram, startServer, whyNoMount } from '../fuse-mounts.ts'

const skip = whyNoMount() ?? false
const SPLITTER = join(import.meta.dirname, '../fuse-splitter.ts')
const ROUNDS = 300

type Taken = Record<string, [least: number, most: number, of: number]>

interface Counts {
  readonly fragments: number
  readonly shortened: number
  readonly refused: number
  readonly byAlignment: readonly number[]
}

async function split(...args: readonly string[]): Promise<{ taken: Taken; counts: Counts; output: string }> {
  using place = new Place()
  await using server = await startServer(place.path, '--memory', ...args)
  const finished: Finished = await runProgram(process.execPath, [SPLITTER, join(place.path, 'file'), `${ROUNDS}`])
  assert.equal(finished.status, 0, finished.output)
  const { counts } = await server.end()
  return {
    taken: JSON.parse(finished.output) as Taken,
    counts: counts as unknown as Counts,
    output: finished.output,
  }
}

const isPage = ([kind]: readonly [string, unknown]): boolean => kind.includes('there')

describe('a page from memory that is not there', { skip }, () => {
  it('is one request with direct I/O, however it lies; only long writes are cut inside of a page', async (t) => {
    const { taken, counts } = await split()
    for (const [kind, [least, most, of]] of Object.entries(taken)) {
      assert.deepEqual([least, most], [of, of], kind)
    }
    const [unaligned = 0, to512 = 0, to4096 = 0] = counts.byAlignment
    t.diagnostic(`${unaligned + to512 + to4096} requests were no whole pages, all of the two long writes`)
    assert.equal(unaligned + to512 + to4096 < 20, true)
  })

  it('is split by the page cache, which is why there is direct I/O', async (t) => {
    const { counts } = await split('--cached')
    const [unaligned = 0, to512 = 0, to4096 = 0] = counts.byAlignment
    t.diagnostic(`${unaligned + to512 + to4096} requests were no whole pages`)
  })

  it('on files of pages, no part of a page is ever written: what is cut is answered short', async () => {
    const { taken, counts } = await split('--paged', '--cached')
    for (const [kind, [least, most, of]] of Object.entries(taken).filter(isPage)) {
      assert.deepEqual([least, most], [of, of], kind)
    }
    assert.deepEqual(taken['long, aligned'], [3 << 20, 3 << 20, 3 << 20])
    for (const kind of ['long, not aligned', 'vectors, not aligned']) {
      const [least, most, of] = taken[kind] ?? [0, 0, 0]
      assert.equal(least, most)
      assert.equal(least % 8192, 0, kind)
      assert.equal(least > 0 && least < of, true, kind)
    }
    const { fragments, shortened, refused, byAlignment } = counts
    assert.deepEqual([fragments, shortened, refused], [2, 2, 0])
    // Those two alone.
    assert.deepEqual(
      byAlignment.slice(0, 3).reduce((sum, count) => sum + count),
      2,
    )
  })

  it('is refused where a write is no page at all, and nothing of it is there', async () => {
    using place = new Place()
    await using server = await startServer(place.path, '--memory', '--paged')
    const { output } = await runProgram('sh', [
      '-c',
      `printf x > "${place.path}/file"; stat -c %s "${place.path}/file"`,
    ])
    assert.match(output, /[Ii]nput\/output error|I\/O error/)
    assert.match(output, /\n0\n$/)
    assert.equal((await server.end()).counts?.refused, 1)
  })
})
