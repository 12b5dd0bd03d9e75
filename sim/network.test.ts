import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EventQueue } from './events.ts'
import { type Endpoint, Network, type NetworkOptions } from './network.ts'
import { Random } from './random.ts'

const CALM: NetworkOptions = {
  delayUsMin: 50,
  delayUsMax: 200,
  tailChance: 0,
  tailFactor: 1,
  lossChance: 0,
  duplicateChance: 0,
  reorderChance: 0,
  keepAliveUs: 10_000,
  reconnectUs: 5_000,
}

class Listener implements Endpoint {
  readonly heard: number[] = []
  readonly notices: string[] = []
  readonly connections: number[] = []
  message(_connection: number, message: Uint8Array): void {
    this.heard.push(message[0] as number)
  }
  connectionUp(connection: number, other: string): void {
    this.connections.push(connection)
    this.notices.push(`up ${other}`)
  }
  connectionDown(_connection: number, other: string): void {
    this.notices.push(`down ${other}`)
  }
}

function pair(options: Partial<NetworkOptions> = {}, seed = 1) {
  const events = new EventQueue()
  const network = new Network(events, new Random(seed), { ...CALM, ...options })
  const writer = new Listener()
  const node = new Listener()
  network.attach('writer', 'z1', writer)
  network.attach('node', 'z2', node)
  network.want('writer', 'node')
  const run = (us: number): void => {
    const endUs = events.nowUs + us
    events.at(endUs, () => {})
    while ((events.nextUs() ?? endUs + 1) <= endUs) events.step()
  }
  const say = (n: number): boolean => {
    const connection = network.connectionTo('writer', 'node')
    return connection !== undefined && network.send(connection, 'writer', [Uint8Array.of(n)])
  }
  run(1_000)
  return { events, network, writer, node, run, say }
}

describe('a connection', () => {
  it('tells both ends when it is up, and carries messages in order', () => {
    const { network, writer, node, run, say } = pair()
    assert.deepEqual([writer.notices, node.notices], [['up node'], ['up writer']])
    for (let n = 0; n < 100; n++) say(n)
    assert.equal(network.bufferedBytes(writer.connections[0] as number, 'writer'), 100)
    run(1_000)
    assert.deepEqual(
      node.heard,
      Array.from({ length: 100 }, (_, n) => n),
    )
    assert.equal(network.bufferedBytes(writer.connections[0] as number, 'writer'), 0)
    network.send(node.connections[0] as number, 'node', [Uint8Array.of(7), Uint8Array.of(8)])
    run(1_000)
    assert.deepEqual(writer.heard, [7])
  })

  it('loses, repeats and reorders as often as it is told to', () => {
    const { network, node, run, say } = pair({ lossChance: 0.2, duplicateChance: 0.2, reorderChance: 0.5 })
    for (let n = 0; n < 200; n++) say(n)
    run(10_000)
    const { lost, duplicated, sent, delivered } = network.counters
    assert.equal(delivered, sent - lost + duplicated)
    assert.ok(lost > 20 && duplicated > 20)
    assert.notDeepEqual(
      node.heard,
      node.heard.toSorted((a, b) => a - b),
    )
  })

  it('closes when the process at its other end dies, and comes back with it', () => {
    const { network, writer, node, run, say } = pair()
    say(1)
    network.detach('node', false)
    run(500)
    assert.deepEqual(node.heard, [], 'a message to a dead process vanishes')
    assert.deepEqual(writer.notices, ['up node', 'down node'])
    assert.equal(say(2), false)
    const again = new Listener()
    network.attach('node', 'z2', again)
    run(20_000)
    assert.deepEqual(writer.notices, ['up node', 'down node', 'up node'])
    say(3)
    run(1_000)
    assert.deepEqual(again.heard, [3])
  })

  it('dies silently with the machine: the other end notices after the keep-alive time', () => {
    const { network, writer, run } = pair()
    network.detach('node', true)
    run(5_000)
    assert.deepEqual(writer.notices, ['up node'])
    run(10_000)
    assert.deepEqual(writer.notices, ['up node', 'down node'])
  })

  it('tells the node when the writer is gone, and is not made again', () => {
    const { network, node, run } = pair()
    network.detach('writer', false)
    run(50_000)
    assert.deepEqual(node.notices, ['up writer', 'down writer'])
    network.attach('writer', 'z1', new Listener())
    run(50_000)
    assert.deepEqual(node.notices, ['up writer', 'down writer'])
  })

  it('can be reset at any time', () => {
    const { network, writer, node, run } = pair()
    network.reset(network.openConnections[0] as number)
    run(50_000)
    assert.deepEqual(writer.notices, ['up node', 'down node', 'up node'])
    assert.deepEqual(node.notices, ['up writer', 'down writer', 'up writer'])
  })
})

describe('a partition', () => {
  it('swallows messages, breaks connections after a while, and heals', () => {
    const { network, writer, node, run, say } = pair()
    network.isolateZone('z2')
    say(1)
    run(1_000)
    assert.deepEqual(node.heard, [])
    run(20_000)
    assert.deepEqual(writer.notices, ['up node', 'down node'])
    assert.deepEqual(node.notices, ['up writer', 'down writer'])
    network.healAll()
    run(20_000)
    say(2)
    run(1_000)
    assert.deepEqual(node.heard, [2])
  })

  it('may be of one direction', () => {
    const { network, writer, node, run, say } = pair({ keepAliveUs: 1_000_000 })
    network.partition(['node'], ['writer'], 'oneWay')
    say(1)
    run(1_000)
    network.send(node.connections[0] as number, 'node', [Uint8Array.of(2)])
    run(1_000)
    assert.deepEqual(node.heard, [1])
    assert.deepEqual(writer.heard, [])
  })

  it('that swizzles cuts every link of its addresses and heals all of them', () => {
    const { network, events, run } = pair()
    for (const name of ['b', 'c', 'd']) network.attach(name, 'z3', new Listener())
    network.swizzle(['node', 'b'], 1_000)
    let most = 0
    for (let i = 0; i < 16; i++) {
      events.after(i * 1_000, () => {
        most = Math.max(most, network.cuts)
      })
    }
    run(30_000)
    assert.equal(most, 2 * 7, 'seven links, both ways')
    assert.equal(network.cuts, 0)
  })
})

it('a network replays exactly', () => {
  const run = (): number[] => {
    const { node, run, say } = pair({ lossChance: 0.1, duplicateChance: 0.1, reorderChance: 0.3, tailChance: 0.1 }, 9)
    for (let n = 0; n < 200; n++) say(n)
    run(10_000)
    return node.heard
  }
  assert.deepEqual(run(), run())
})
