import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nodeId } from '../src/protocol/lsn.ts'
import type { CreateNode } from '../src/storage/node-port.ts'
import { SimDisk, SSD_COSTS } from './disk.ts'
import { Effects, SimCrash } from './effects.ts'
import { EventQueue } from './events.ts'
import { Network } from './network.ts'
import { NodeHost } from './node-host.ts'
import { Random } from './random.ts'
import { SimFabric } from './sim-fabric.ts'
import { Trace } from './trace.ts'

/**
 * A stand-in for a storage node: it keeps numbers in a file, one per page, and acknowledges each once it is durable.
 * On its start it counts what it has, as a node replays its log.
 */
const createRegister: CreateNode = (env, disk) => {
  const exists = disk.exists('numbers')
  const file = exists ? disk.open('numbers') : disk.create('numbers')
  if (!exists) {
    file.sync()
    disk.syncFolder('')
  }
  const kept: number[] = []
  for (let page = 0; (page + 1) * 4_096 <= file.size(); page++) {
    const number = file.read(page * 4_096, 4_096)[4_095] as number
    if (number > 0) kept.push(number)
    else break
  }
  let staged: { connection: number; body: Uint8Array }[] = []
  return {
    incarnation: '1',
    receive: (connection, _type, body) => void staged.push({ connection, body: body.slice() }),
    connectionClosed: () => {},
    commit: () => {
      for (const { connection, body } of staged) {
        const number = body[0] as number
        if (!kept.includes(number)) {
          const page = new Uint8Array(4_096)
          page[4_095] = number
          file.writeDurable(kept.length * 4_096, page)
          kept.push(number)
        }
        env.reply(connection, [Uint8Array.of(2, number)])
      }
      staged = []
    },
    background: () => false,
    tick: () => {},
    close: () => file.close(),
  }
}

function story(seed: number, crash?: (host: NodeHost) => void) {
  const events = new EventQueue()
  const random = new Random(seed)
  const trace = new Trace(events)
  const network = new Network(events, random.fork('network'), {
    delayUsMin: 50,
    delayUsMax: 200,
    tailChance: 0,
    tailFactor: 1,
    lossChance: 0.1,
    duplicateChance: 0.1,
    reorderChance: 0.1,
    keepAliveUs: 5_000,
    reconnectUs: 1_000,
  })
  const disk = new SimDisk(random.fork('disk'), {
    capacityBytes: 1 << 20,
    costs: SSD_COSTS,
    writeBackChance: 0,
    atomicBytes: 4_096,
  })
  const stops: unknown[] = []
  const host = new NodeHost({
    config: { node: nodeId('n1'), zone: 'z1', address: 'n1' },
    create: createRegister,
    disk,
    events,
    network,
    random: random.fork('host'),
    trace,
    clockSkewMs: 0,
    stopped: (stopped, reason) => {
      stops.push(reason)
      events.after(2_000, () => stopped.start())
    },
  })
  const acknowledged = new Set<number>()
  const fabric = new SimFabric({
    name: 'w1',
    zone: 'z2',
    events,
    network,
    effects: new Effects(),
    trace,
    told: (error) => assert.equal(error, undefined),
  })
  fabric.onMessage((_address, _type, body) => acknowledged.add(body[0] as number))
  crash?.(host)
  host.start()
  const resend = (number: number): void => {
    if (acknowledged.has(number)) return
    fabric.send('n1', [Uint8Array.of(1), Uint8Array.of(number)])
    events.after(3_000, () => resend(number))
  }
  for (let number = 1; number <= 10; number++) events.at(number * 500, () => resend(number))
  events.at(100_000, () => {})
  while ((events.nextUs() ?? Number.POSITIVE_INFINITY) <= 100_000) events.step()
  return { acknowledged, host, disk, trace, stops }
}

describe('a host', () => {
  it('runs a node that acknowledges what it stored', () => {
    const { acknowledged, stops } = story(1)
    assert.equal(acknowledged.size, 10)
    assert.deepEqual(stops, [])
  })

  it('can crash at each of its effects, in each moment, and comes back with all it acknowledged', () => {
    const effects = story(1).host.effects
    assert.ok(effects > 20)
    for (let effect = 1; effect <= effects; effect++) {
      for (const moment of ['before', 'during', 'after'] as const) {
        const { acknowledged, stops, host } = story(effect, (h) => h.crashAt(effect, moment))
        assert.equal(acknowledged.size, 10, `${moment} effect ${effect}`)
        assert.equal(host.state, 'up')
        assert.ok(stops.length === 1 && stops[0] instanceof SimCrash, `${moment} effect ${effect}: ${stops}`)
      }
    }
  })

  it('replays exactly', () => {
    const hash = (seed: number): string => story(seed, (host) => host.crashAt(9, 'during')).trace.hash
    assert.equal(hash(3), hash(3))
    assert.notEqual(hash(3), hash(4))
  })

  it('says when a node throws, and what', () => {
    const { stops } = story(1, (host) => {
      let starts = 0
      const options = host.options as { create: CreateNode }
      options.create = (env, disk, config) => {
        if (++starts === 1) throw new RangeError('born dead')
        return createRegister(env, disk, config)
      }
    })
    assert.deepEqual(
      stops.map((reason) => (reason as Error).message),
      ['born dead'],
    )
  })
})
