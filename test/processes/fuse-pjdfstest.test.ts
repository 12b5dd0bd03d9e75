/**
 * `pjdfstest`, a suite for POSIX file systems: what it asserts comes out on the mount as on the disk. Needs the suite:
 * BOREALIS_PJDFSTEST is a folder with the program and its tests (docs/outside-suites.md).
 */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, statfsSync } from 'node:fs'
import { describe, it } from 'node:test'
import { Place, startServer, whyNoMount } from '../fuse-mounts.ts'
import { PjdfstestSuite } from '../pjdfstest-suite.ts'

/** Thousands of programs, on a busy machine with 2 cores. */
const timeout = 60 * 60_000

const built = process.env.BOREALIS_PJDFSTEST

function whyNot(): string | undefined {
  if (built === undefined)
    return 'BOREALIS_PJDFSTEST is not set: docs/outside-suites.md says where the suite comes from'
  return process.getuid?.() === 0 ? whyNoMount() : 'we are not root, which the suite asks for'
}

describe('pjdfstest', { skip: whyNot() ?? false }, () => {
  it('comes out on the mount as on the disk', { timeout }, async (t) => {
    using suite = new PjdfstestSuite(built!)
    using place = new Place()
    const disk = place.beside('disk')
    mkdirSync(disk)
    t.diagnostic(`statfs says file system 0x${statfsSync(disk).type.toString(16)} (ext4 is 0xef53)`)
    const onDisk = await suite.run(disk)
    t.diagnostic(`${suite.scripts.length} scripts; on the disk ${onDisk.passed} passed, ${onDisk.failed.length} failed`)
    await using server = await startServer(place.path)
    const onMount = await suite.run(place.path)
    t.diagnostic(`on the mount ${onMount.passed} passed, ${onMount.failed.length} failed`)
    assert.deepEqual(onMount, onDisk)
    assert.deepEqual(readdirSync(place.path), [])
    assert.equal((await server.end()).status, 0)
  })
})
