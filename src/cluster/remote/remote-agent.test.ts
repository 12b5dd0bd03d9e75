import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from 'node:tls'
import { createAuthority, issuePeer, issueServer } from '../../engine/certificates.ts'
import type { InstanceCommand } from '../../instance/instance-command.ts'
import { type HostAgent, type InstanceOrder, PLACE_TAKEN, type SeenInstance } from '../host-agent.ts'
import { HostAgents } from '../host-agents.ts'
import { AgentServer, type PeerCredentials } from './agent-server.ts'
import { AgentUnreachable, RemoteAgent } from './remote-agent.ts'

const HOST = '127.0.0.1'
const VALIDITY = { nowMs: Date.now(), days: 1 }
const authority = createAuthority('Test', VALIDITY)
const peer = (of = authority): PeerCredentials => ({
  ...issuePeer(of, [HOST], VALIDITY),
  authorityCertificate: authority.certificate,
})

const ORDER = { name: 'demo-1', run: 7 } as InstanceOrder

/** Remembers what it was asked. */
class ScriptedAgent implements HostAgent {
  readonly asked: unknown[][] = []
  readonly #seen = new Map<string, SeenInstance>()
  #listener: (name: string) => void = () => {}

  see(name: string, run: number, heardMs = performance.now()): void {
    const times = { heardMs, waitingSinceMs: null, availableSinceMs: heardMs - 50 }
    this.#seen.set(name, { name, run, phase: 'running', report: null, reason: null, ...times })
    this.#listener(name)
  }

  seen(): ReadonlyMap<string, SeenInstance> {
    return this.#seen
  }

  onChange(listener: (name: string) => void): void {
    this.#listener = listener
  }

  async start(order: InstanceOrder): Promise<void> {
    this.asked.push(['start', order])
    if (order.run === 13) throw Object.assign(new Error('5432 is in use'), { name: PLACE_TAKEN })
    if (order.run === 14) await new Promise(() => {})
    this.see(order.name, order.run)
  }

  async end(...given: Parameters<HostAgent['end']>): Promise<void> {
    this.asked.push(['end', ...given])
  }

  async remove(name: string): Promise<void> {
    this.#seen.delete(name)
    this.#listener(name)
  }

  tell(name: string, command: InstanceCommand): void {
    this.asked.push(['tell', name, command])
  }

  async logFiles(): Promise<[{ name: string; bytes: number; writtenMs: number }]> {
    return [{ name: 'postgresql.log', bytes: 3, writtenMs: 1 }]
  }

  async readLogFile(_: string, file: string): Promise<Uint8Array | undefined> {
    return file === 'postgresql.log' ? Uint8Array.of(0, 255, 10) : undefined
  }
}

async function until(is: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !is(); await pause(5))
    assert(performance.now() < end, 'it takes too long')
}

async function connected(remote: RemoteAgent): Promise<void> {
  for (;;) {
    try {
      await remote.logFiles('any')
      return
    } catch (error) {
      assert(error instanceof AgentUnreachable)
      await pause(5)
    }
  }
}

describe('a host agent on another machine', () => {
  it('does, sees and answers as one in the process does', async () => {
    const agent = new ScriptedAgent()
    const server = await AgentServer.listen(agent, peer(), HOST, 0)
    const remote = new RemoteAgent({ host: HOST, port: server.port, credentials: peer() })
    const changes: string[] = []
    remote.onChange((name) => changes.push(name))
    try {
      await connected(remote)
      await assert.rejects(remote.start({ ...ORDER, run: 13 }), { name: PLACE_TAKEN })
      await remote.start(ORDER)
      const seen = remote.seen().get('demo-1')
      assert.equal(seen?.run, 7)
      assert(Math.abs(performance.now() - (seen.heardMs ?? 0)) < 5000)
      assert(Math.abs((seen.heardMs ?? 0) - (seen.availableSinceMs ?? 0) - 50) < 1)
      assert.deepEqual(changes, ['demo-1'])
      remote.tell('demo-1', { do: 'replace' })
      await remote.end('demo-1', 'kill')
      assert.deepEqual(agent.asked.slice(-2), [
        ['tell', 'demo-1', { do: 'replace' }],
        ['end', 'demo-1', 'kill'],
      ])
      assert.deepEqual(await remote.logFiles('demo-1'), await agent.logFiles())
      assert.deepEqual([...((await remote.readLogFile('demo-1', 'postgresql.log', 0, 3)) ?? [])], [0, 255, 10])
      assert.equal(await remote.readLogFile('demo-1', 'other', 0, 3), undefined)
      await remote.remove('demo-1')
      assert.equal(remote.seen().size, 0)
    } finally {
      remote.close()
      await server.close()
    }
  })

  it('that cannot be reached lets what it said grow old, fails what was asked, and is found again', async () => {
    const agent = new ScriptedAgent()
    agent.see('demo-1', 1)
    const server = await AgentServer.listen(agent, peer(), HOST, 0)
    const { port } = server
    const remote = new RemoteAgent({ host: HOST, port, credentials: peer() })
    await until(() => remote.seen().has('demo-1'))
    const asked = remote.start({ ...ORDER, run: 14 })
    asked.catch(() => {})
    await until(() => agent.asked.length === 1)
    await server.close()
    await assert.rejects(asked, AgentUnreachable)
    await assert.rejects(remote.end('demo-1', 'stop'), AgentUnreachable)
    const { heardMs = 0 } = remote.seen().get('demo-1') ?? {}
    await pause(50)
    assert.equal(remote.seen().get('demo-1')?.heardMs, heardMs)
    agent.see('demo-1', 2)
    const again = await AgentServer.listen(agent, peer(), HOST, port)
    try {
      await until(() => remote.seen().get('demo-1')?.run === 2)
    } finally {
      remote.close()
      await again.close()
    }
  })

  it('serves nobody without a certificate for clients of the region’s authority', async () => {
    const server = await AgentServer.listen(new ScriptedAgent(), peer(), HOST, 0)
    const others = createAuthority('Test', VALIDITY)
    const strangers = [undefined, issuePeer(others, [HOST], VALIDITY), issueServer(authority, [HOST], VALIDITY)]
    try {
      for (const stranger of strangers) {
        const credentials = stranger === undefined ? {} : { cert: stranger.certificate, key: stranger.key }
        const socket = connect({ host: HOST, port: server.port, ca: authority.certificate, ...credentials })
        let heard = ''
        socket.on('data', (bytes) => {
          heard += bytes
        })
        socket.on('error', () => {})
        await new Promise((resolve) => socket.once('close', resolve))
        assert.equal(heard, '')
      }
    } finally {
      await server.close()
    }
  })
})

it('several hosts are one, by the zones of their instances', async () => {
  const [a, b] = [new ScriptedAgent(), new ScriptedAgent()]
  const byZone = new Map<string, HostAgent>([
    ['a', a],
    ['b', b],
    ['c', b],
  ])
  const all = new HostAgents(byZone, (name) => ({ one: 'a', two: 'c' })[name])
  await all.start({ ...ORDER, name: 'one' })
  await all.start({ ...ORDER, name: 'two' })
  assert.deepEqual([...a.seen().keys(), ...b.seen().keys(), ...all.seen().keys()], ['one', 'two', 'one', 'two'])
  await assert.rejects(all.end('three', 'stop'), /no host has instance three/)
})
