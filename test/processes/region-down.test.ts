/** Regions whose parents do not wait for them, as a program that is the first of its container does not. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { it } from 'node:test'
import { whyNoMount } from '../fuse-mounts.ts'
import { RegionHome } from '../region-home.ts'
import { until } from '../waiting.ts'

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')

it('down returns when all has ended, whoever was to wait for it', { skip: whyNoMount() ?? false }, async () => {
  await using home = await RegionHome.make([])
  // The shell becomes a program that knows nothing of the child that it has got.
  const command = [process.execPath, MAIN, 'up', '--no-demo']
  const parent = spawn('sh', ['-c', '"$0" "$@" & exec sleep 600', ...command], {
    env: home.environment,
    stdio: 'ignore',
  })
  const ended = once(parent, 'exit')
  try {
    await until('the region runs', () => home.status().catch(() => undefined))
    assert.match(await home.down(), /stopped/)
    assert.equal(parent.exitCode, null, 'nobody has waited for the region')
  } finally {
    parent.kill()
    await ended
  }
})
