import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Registry, update } from '../src/volume/registry.ts'
import { EventQueue } from './events.ts'
import { Random } from './random.ts'
import { drainPromises } from './sealed-room.ts'
import { type RegistryOptions, RegistryStore, SimRegistry } from './sim-registry.ts'
import { Trace } from './trace.ts'

const CALM: RegistryOptions = { delayUsMax: 1_000, lostReplyChance: 0, timeoutUs: 5_000 }

function service(options: Partial<RegistryOptions> = {}, seed = 1) {
  const events = new EventQueue()
  const changes: string[] = []
  const store = new RegistryStore((key, value) => changes.push(`${key}=${value}`))
  const client = (name: string): SimRegistry =>
    new SimRegistry({
      name,
      store,
      events,
      random: new Random(seed).fork(name),
      trace: new Trace(events),
      options: { ...CALM, ...options },
      told: () => {},
    })
  const run = async (): Promise<void> => {
    do await drainPromises()
    while (events.step())
  }
  return { store, changes, client, run }
}

const add = (registry: Registry): Promise<number> => update(registry, 'n', (value) => String(Number(value ?? 0) + 1))

describe('the registry', () => {
  it('lets each change of a cell through once, however many race', async () => {
    const { store, changes, client, run } = service()
    const all = Promise.all(['a', 'b', 'c'].map((name) => add(client(name))))
    await run()
    await all
    assert.equal(store.get('n')?.value, '3')
    assert.deepEqual(changes, ['n=1', 'n=2', 'n=3'])
  })

  it('may have made a change whose caller hears that it timed out', async () => {
    const { changes, client, run } = service({ lostReplyChance: 1 })
    const change = client('a').cas('n', 0, '1')
    const rejected = assert.rejects(change, { code: 'TimedOut' })
    await run()
    await rejected
    assert.deepEqual(changes, ['n=1'])
  })

  it('is away for a while', async () => {
    const { store, changes, client, run } = service()
    store.state = 'away'
    const rejected = assert.rejects(client('a').list(''), { code: 'TimedOut' })
    await run()
    await rejected
    store.state = 'here'
    const change = client('a').cas('n', 0, '1')
    await run()
    assert.equal(await change, true)
    assert.deepEqual(changes, ['n=1'])
  })

  it('carries out what a client asked that is gone, and tells nobody', async () => {
    const { changes, client, run } = service()
    const gone = client('a')
    let heard = false
    void gone.cas('n', 0, '1').then(() => {
      heard = true
    })
    gone.crash()
    await run()
    assert.deepEqual([changes, heard], [['n=1'], false])
  })
})
