import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { simulate } from './command.ts'
import { runSeed } from './fixtures/counting.ts'
import { seeded } from './scenario.ts'
import { runSeeds } from './seed-runner.ts'

const scenario = new URL('./fixtures/counting.ts', import.meta.url).href

async function command(...argv: string[]): Promise<{ status: number; lines: string[] }> {
  const lines: string[] = []
  const status = await simulate(argv, scenario, (line) => lines.push(line))
  return { status, lines }
}

describe('npm run sim', () => {
  it('closes with what passed and what failed', async () => {
    const { status, lines } = await command('--seeds', '5', '--from', '20', '--counts')
    assert.equal(status, 0)
    assert.deepEqual(lines, ['      1500 events', '5 passed, 0 failed'])
  })

  it('prints the failing seed, its rule, the last lines of its trace and how to replay it', async () => {
    const { status, lines } = await command('--seeds', '10', '--from', '20')
    assert.equal(status, 1)
    assert.match(lines.join('\n'), /seed 27 failed at \d\.\d{3} ms: no seed ends in seven: seed 27/)
    assert.ok(lines.includes('replay: npm run sim -- --seeds 1 --from 27 --trace'))
    assert.equal(lines.filter((line) => line.includes('n1 event')).length, 200)
    assert.equal(lines.at(-1), '9 passed, 1 failed')
  })

  it('prints the whole trace of a replay', async () => {
    const { lines } = await command('--seeds', '1', '--from', '27', '--trace')
    assert.equal(lines.filter((line) => line.includes('n1 event')).length, 300)
  })

  it('refuses arguments that it does not know', async () => {
    for (const argv of [['--seeds', 'many'], ['--seed', '1'], ['7']]) {
      const { status, lines } = await command(...argv)
      assert.equal(status, 2)
      assert.match(lines[0] ?? '', /usage: npm run sim/)
    }
  })

  it('stops a seed that hangs and goes on with the others', async () => {
    const failed: number[] = []
    let passed = 0
    await runSeeds({
      scenario,
      from: 11,
      seeds: 5,
      workers: 1,
      seedMsMax: 500,
      passed: () => passed++,
      failed: ({ seed }) => failed.push(seed),
    })
    assert.deepEqual(failed, [13])
    assert.equal(passed, 4)
  })
})

describe('a seed', () => {
  it('replays exactly', async () => {
    for (const seed of [1, 2, 3]) {
      const [one, two] = [await runSeed(seed, {}), await runSeed(seed, {})]
      assert.deepEqual(one, two)
    }
    assert.notEqual((await runSeed(1, {})).hash, (await runSeed(2, {})).hash)
  })

  it('sees nothing of the real world', async () => {
    for (const peek of [
      () => Date.now(),
      () => Math.random(),
      () => setTimeout(() => {}, 1),
      () => crypto.randomUUID(),
    ]) {
      await assert.rejects(
        seeded(async () => {
          peek()
        })(1, {}),
        /was called inside the simulation/,
      )
    }
    assert.ok(Date.now() > 0, 'the room is open again')
  })
})
