import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Echo } from '../../test/echo-node.ts'
import { preamble, writeFrame } from './framing.ts'
import { parseAddress } from './real-socket.ts'

const program = fileURLToPath(new URL('./host-main.ts', import.meta.url))
const module = new URL('../../test/echo-node.ts', import.meta.url).href

class Host {
  readonly process: ChildProcess
  readonly ended: Promise<number | null>
  output = ''
  complaints = ''

  constructor(...args: string[]) {
    this.process = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stdout?.on('data', (chunk) => {
      this.output += chunk
    })
    this.process.stderr?.on('data', (chunk) => {
      this.complaints += chunk
    })
    this.ended = new Promise((resolve) => this.process.once('close', resolve))
  }

  async ready(): Promise<{ zone: string; nodes: { node: string; address: string; incarnation: string }[] }> {
    while (!this.output.includes('\n')) {
      const status = await Promise.race([
        this.ended,
        new Promise((resolve) => this.process.stdout?.once('data', resolve)),
      ])
      if (typeof status === 'number') throw new Error(`status ${status}: ${this.complaints}`)
    }
    return JSON.parse(this.output)
  }
}

describe('a process with storage nodes', () => {
  let root = ''
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'borealis-host-'))
  })
  after(() => rmSync(root, { recursive: true }))

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`says when it is ready and ends in order on ${signal}`, async () => {
      const [a1, a2] = [join(root, `${signal}1`), join(root, `${signal}:2=x`)]
      const host = new Host('--zone', 'a', '--node', `a1=${a1}:0`, '--node', `a2=${a2}:0`, '--module', module)
      const { zone, nodes } = await host.ready()
      assert.equal(zone, 'a')
      assert.deepEqual(
        nodes.map(({ node, incarnation }) => [node, incarnation]),
        [
          ['a1', 'a1 in a'],
          ['a2', 'a2 in a'],
        ],
      )
      assert.notEqual(nodes[0]?.address, nodes[1]?.address)
      host.process.kill(signal)
      assert.equal(await host.ended, 0)
      assert.equal(host.complaints, '')
      assert(existsSync(join(a1, 'closed')) && existsSync(join(a2, 'closed')))
    })
  }

  it('ends with status 1 and one line when a node stops; the others close', async () => {
    const [b1, b2] = [join(root, 'b1'), join(root, 'b2')]
    const host = new Host('--zone', 'b', '--node', `b1=${b1}:0`, '--node', `b2=${b2}:0`, '--module', module)
    const { nodes } = await host.ready()
    const frame = new Uint8Array(4 + 5)
    writeFrame(frame, 0, [Uint8Array.of(Echo.FAIL), Buffer.from('oops')], 5)
    const socket = connect(parseAddress(nodes[0]?.address ?? ''))
    socket.on('error', () => {})
    socket.write(Buffer.concat([preamble(), frame]))
    assert.equal(await host.ended, 1)
    socket.destroy()
    assert.equal(host.complaints, 'node b1 stopped: oops\n')
    assert.equal(existsSync(join(b1, 'closed')), false)
    assert(existsSync(join(b2, 'closed')))
  })

  it('ends with status 1 and one line when a node cannot start', async () => {
    const folder = join(root, 'same')
    const host = new Host('--zone', 'c', '--node', `c1=${folder}:0`, '--node', `c2=${folder}:0`, '--module', module)
    assert.equal(await host.ended, 1)
    assert.match(host.complaints, /^node c[12]: .*locked by process \d+\n$/)
    assert.equal(host.output, '')
  })

  const node = ['--zone', 'a', '--node', 'a1=x:0']
  for (const args of [
    [],
    ['--zone', 'a'],
    ['--zone', 'a', '--node', 'a1=x'],
    ['--bogus'],
    [...node, '--set', 'flushBytes'],
    [...node, '--set', 'flushBytes=0'],
    [...node, '--set', 'flushBytes=1e6'],
    [...node, '--set', 'constructor=1'],
  ]) {
    it(`ends with status 2 on wrong usage: ${args.join(' ')}`, async () => {
      const host = new Host(...args)
      assert.equal(await host.ended, 2)
      assert.match(host.complaints, /^[^\n]+usage: [^\n]+\n$/)
    })
  }
})
