import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Random } from '../../sim/random.ts'
import { clusterRecord, instanceRecord, PORT, reportOf, seenInstance } from '../../test/cluster-records.ts'
import { ClusterWorld } from '../../test/cluster-world.ts'
import type { InstanceReport } from '../instance/instance-report.ts'
import {
  againMs,
  type ClusterView,
  CUT_OFF_MS_MAX,
  FENCED_PAUSE_MS,
  HUNG_MS_MAX,
  LONE_MS_MAX,
  planCluster,
  primaryOf,
  READER_HUNG_MS_MAX,
  SILENT_MS_MAX,
  START_SILENT_MS_MAX,
} from './cluster-plan.ts'
import type { InstanceRecord } from './cluster-records.ts'
import type { SeenInstance } from './host-agent.ts'

const NOW_MS = 1_000_000
const PRIMARY = { host: '127.20.0.1', port: PORT }
const three = ['demo-1', 'demo-2', 'demo-3'].map((name) => instanceRecord(name))
const writerSays = (change: Partial<InstanceReport> = {}, seen: Partial<SeenInstance> = {}): SeenInstance =>
  seenInstance(reportOf('demo-1', { role: 'writer', ...change }), { heardMs: NOW_MS, ...seen })
const readerSays = (name: string, change: Partial<InstanceReport> = {}, seen: Partial<SeenInstance> = {}) =>
  seenInstance(reportOf(name, { primary: PRIMARY, ...change }), { heardMs: NOW_MS, ...seen })

interface Sketch {
  readonly cluster?: Parameters<typeof clusterRecord>[0]
  readonly instances?: readonly InstanceRecord[]
  readonly seen?: readonly SeenInstance[]
  readonly failures?: ReadonlyMap<string, number>
  readonly storageAnswersSinceMs?: number | null
  readonly lookingSinceMs?: number
}

/** Three instances that do what they should, but for what is given: of an instance that is given twice the last counts. */
const viewOf = ({
  cluster,
  instances = three,
  seen = [],
  failures,
  storageAnswersSinceMs = null,
  lookingSinceMs = 0,
}: Sketch): ClusterView => ({
  cluster: clusterRecord(cluster),
  instances,
  seen: new Map([writerSays(), readerSays('demo-2'), readerSays('demo-3'), ...seen].map((each) => [each.name, each])),
  failures: failures ?? new Map(),
  storageAnswersSinceMs,
  lookingSinceMs,
})
const plan = (sketch: Sketch) => planCluster(viewOf(sketch), NOW_MS)
const without = (view: ClusterView, ...names: readonly string[]): ClusterView => ({
  ...view,
  seen: new Map([...view.seen].filter(([name]) => !names.includes(name))),
})
const ago = (ms: number): Partial<SeenInstance> => ({ heardMs: NOW_MS - ms })

/** The reason for which another is to be the writer; undefined when none is. */
function failoverTo(sketch: Sketch): readonly [to: string, why: string] | undefined {
  const [step, ...rest] = plan(sketch)
  if (step?.do !== 'decide' || step.decision.kind !== 'failover') return undefined
  assert.deepEqual(rest, [], 'a decision comes alone')
  return [step.decision.to, step.decision.why]
}

describe('a cluster that is as it should be', () => {
  it('has nothing to be done', () => assert.deepEqual(plan({}), []))
  it('has its end of a failover noted when the new writer is available, not before', () => {
    const failover = { from: 'demo-2', to: 'demo-1', sinceMs: 0, why: '' }
    assert.deepEqual(plan({ cluster: { failover } }), [{ do: 'decide', decision: { kind: 'failed-over' } }])
    assert.deepEqual(plan({ cluster: { failover }, seen: [writerSays({ state: 'starting' })] }), [])
  })
})

describe('another is made the writer', () => {
  it('when the writer has ended', () =>
    assert.deepEqual(failoverTo({ seen: [writerSays({}, { phase: 'gone', reason: 'it was killed' })] }), [
      'demo-2',
      'it was killed',
    ]))
  it('when it says nothing for too long, and no sooner', () => {
    assert.deepEqual(failoverTo({ seen: [writerSays({}, ago(SILENT_MS_MAX))] }), undefined)
    assert.equal(failoverTo({ seen: [writerSays({}, ago(SILENT_MS_MAX + 1))] })?.[0], 'demo-2')
  })
  it('when it has said nothing since it was started, much later', () => {
    const silent = (ms: number) => ({ seen: [writerSays({}, { report: null, ...ago(ms) })] })
    assert.equal(failoverTo(silent(START_SILENT_MS_MAX)), undefined)
    assert.equal(failoverTo(silent(START_SILENT_MS_MAX + 1))?.[0], 'demo-2')
  })
  it('when its engine does not answer', () => {
    assert.equal(failoverTo({ seen: [writerSays({ answeredMsAgo: HUNG_MS_MAX })] }), undefined)
    assert.match(failoverTo({ seen: [writerSays({ answeredMsAgo: HUNG_MS_MAX + 1 })] })?.[1] ?? '', /not answered/)
  })
  it('not for what its engine did not answer before it was available, as while its server was replaced', () => {
    const since = (ms: number) => writerSays({ answeredMsAgo: 60_000 }, { availableSinceMs: NOW_MS - ms })
    assert.deepEqual(plan({ seen: [since(HUNG_MS_MAX)] }), [])
    assert.equal(failoverTo({ seen: [since(HUNG_MS_MAX + 1)] })?.[0], 'demo-2')
  })
  it('when it alone does not reach the storage', () => {
    const waiting = (ms: number, answersMs: number | null) => ({
      seen: [writerSays({ storage: 'waiting', answeredMsAgo: 60_000 }, { waitingSinceMs: NOW_MS - ms })],
      storageAnswersSinceMs: answersMs === null ? null : NOW_MS - answersMs,
    })
    assert.equal(failoverTo(waiting(CUT_OFF_MS_MAX, 60_000)), undefined)
    assert.equal(failoverTo(waiting(CUT_OFF_MS_MAX + 1, 60_000))?.[1], 'it is cut off from its storage')
    // Nobody reaches it: another could do no better.
    assert.deepEqual(plan(waiting(60_000, null)), [])
    // It is back, and the writer will notice in a moment.
    assert.deepEqual(plan(waiting(60_000, CUT_OFF_MS_MAX)), [])
  })
  it('when it is being deleted', () => {
    const instances = [instanceRecord('demo-1', { stage: 'deleting' }), ...three.slice(1)]
    assert.equal(failoverTo({ instances })?.[0], 'demo-2')
  })
  it('not when it was the control plane that stood still', () => {
    const seen = [...three.keys()].map((i) =>
      i === 0 ? writerSays({}, ago(60_000)) : readerSays(`demo-${i + 1}`, {}, ago(60_000)),
    )
    assert.deepEqual(plan({ seen, lookingSinceMs: NOW_MS - SILENT_MS_MAX }), [])
    assert.equal(plan({ seen, lookingSinceMs: NOW_MS - SILENT_MS_MAX - 1 })[0]?.do, 'decide')
  })
  it('not while its engine recovers in place, or its server is being replaced', () => {
    for (const state of ['recovering', 'replacing', 'starting', 'opening'] as const)
      assert.deepEqual(plan({ seen: [writerSays({ state, answeredMsAgo: null })] }), [])
  })
  it('not when somebody else has opened the volume: it takes it back, after a pause', () => {
    const fenced = (ms: number) => ({ seen: [writerSays({ state: 'fenced' }, { phase: 'gone', ...ago(ms) })] })
    assert.deepEqual(plan(fenced(FENCED_PAUSE_MS - 1)), [])
    const [step] = plan(fenced(FENCED_PAUSE_MS))
    assert(step?.do === 'decide' && step.decision.kind === 'again' && step.decision.instance === 'demo-1')
  })
  it('by tier, and only one that is available', () => {
    const tiers = three.map((each, i) => ({ ...each, settings: { ...each.settings, promotionTier: 3 - i } }))
    const gone = writerSays({}, { phase: 'gone' })
    assert.equal(failoverTo({ instances: tiers, seen: [gone] })?.[0], 'demo-3')
    for (const unable of [
      readerSays('demo-3', { state: 'starting' }),
      readerSays('demo-3', { run: 7 }),
      readerSays('demo-3', {}, ago(SILENT_MS_MAX + 1)),
      readerSays('demo-3', {}, { phase: 'gone' }),
    ])
      assert.equal(failoverTo({ instances: tiers, seen: [gone, unable] })?.[0], 'demo-2')
  })
})

describe('a writer without a reader that could follow it', () => {
  const [only] = three as [InstanceRecord]
  const alone = (seen: SeenInstance, failures = 1) =>
    planCluster(
      without(
        viewOf({ instances: [only], seen: [seen], failures: new Map([['demo-1', failures]]) }),
        'demo-2',
        'demo-3',
      ),
      NOW_MS,
    )
  const isAgain = (steps: ReturnType<typeof alone>) =>
    steps.length === 1 && steps[0]?.do === 'decide' && steps[0].decision.kind === 'again'

  it('is started again, later and later', () => {
    for (const failures of [1, 2, 5, 50]) {
      const gone = (ms: number) => writerSays({}, { phase: 'gone', ...ago(ms) })
      assert.deepEqual(alone(gone(againMs(failures) - 1), failures), [])
      assert.equal(isAgain(alone(gone(againMs(failures)), failures)), true)
    }
    assert.deepEqual([againMs(1), againMs(2), againMs(50)], [100, 200, 10_000])
  })
  it('is killed and started again when it hangs, not as soon as if another could go on', () => {
    for (const hung of [(ms: number) => writerSays({ answeredMsAgo: ms }), (ms: number) => writerSays({}, ago(ms))]) {
      assert.deepEqual(alone(hung(LONE_MS_MAX)), [])
      assert.equal(isAgain(alone(hung(LONE_MS_MAX + 1))), true)
    }
  })
})

describe('an instance', () => {
  it('of another run than is wanted is ended, as it is to be', () => {
    for (const ending of ['stop', 'kill'] as const) {
      const instances = [
        three[0] as InstanceRecord,
        instanceRecord('demo-2', { run: 2, ending }),
        three[2] as InstanceRecord,
      ]
      assert.deepEqual(plan({ instances }), [{ do: 'end', instance: 'demo-2', how: ending }])
    }
  })
  it('that is wanted and not there is started', () =>
    assert.deepEqual(planCluster(without(viewOf({}), 'demo-1', 'demo-3'), NOW_MS), [
      { do: 'start', instance: 'demo-1' },
      { do: 'start', instance: 'demo-3' },
    ]))
  it('is not started as a reader before there is something to read', () =>
    assert.deepEqual(
      planCluster(without(viewOf({ cluster: { hasData: false } }), 'demo-1', 'demo-2', 'demo-3'), NOW_MS),
      [{ do: 'start', instance: 'demo-1' }],
    ))
  it('that was adopted and has not spoken yet is waited for', () => {
    const adopted = (name: string, ms: number) => seenInstance(reportOf(name), { run: null, report: null, ...ago(ms) })
    for (const name of ['demo-1', 'demo-2']) assert.deepEqual(plan({ seen: [adopted(name, SILENT_MS_MAX)] }), [])
    assert.deepEqual(plan({ seen: [adopted('demo-2', SILENT_MS_MAX + 1)] }), [
      { do: 'end', instance: 'demo-2', how: 'kill' },
    ])
  })
  it('that follows somebody else is told whom to follow', () => {
    const lost = readerSays('demo-3', { primary: { host: '127.20.0.7', port: PORT } })
    assert.deepEqual(plan({ seen: [lost] }), [{ do: 'follow', instance: 'demo-3', primary: PRIMARY }])
    // While it starts it hears nothing; it was told whom when it was started.
    assert.deepEqual(plan({ seen: [readerSays('demo-3', { state: 'starting', primary: null })] }), [])
  })
  it('is made anew as a reader when it wants to be, or hangs', () => {
    for (const seen of [
      readerSays('demo-2', { rebuild: 'its overlay is full' }),
      readerSays('demo-2', { answeredMsAgo: READER_HUNG_MS_MAX + 1 }),
      readerSays('demo-2', {}, ago(SILENT_MS_MAX + 1)),
    ]) {
      const [step] = plan({ seen: [seen] })
      assert(step?.do === 'decide' && step.decision.kind === 'again' && step.decision.reason === 'rebuilt')
    }
    assert.deepEqual(plan({ seen: [readerSays('demo-2', { answeredMsAgo: READER_HUNG_MS_MAX })] }), [])
  })
  it('that is deleted is stopped, then removed', () => {
    const instances = [...three.slice(0, 2), instanceRecord('demo-3', { stage: 'deleting' })]
    assert.deepEqual(plan({ instances }), [{ do: 'end', instance: 'demo-3', how: 'stop' }])
    const gone = { seen: [readerSays('demo-3', {}, { phase: 'gone' })] }
    assert.deepEqual(plan({ instances, ...gone }), [{ do: 'remove', instance: 'demo-3' }])
  })
})

describe('a cluster', () => {
  it('that is stopped has its instances stopped, and nobody is promoted for that', () => {
    const gone = writerSays({}, { phase: 'gone' })
    assert.deepEqual(plan({ cluster: { wanted: 'stopped' }, seen: [gone] }), [
      { do: 'end', instance: 'demo-2', how: 'stop' },
      { do: 'end', instance: 'demo-3', how: 'stop' },
    ])
  })
  it('gets its volume first, and loses it last', () => {
    assert.deepEqual(plan({ cluster: { stage: 'creating' } }), [{ do: 'make-volume' }])
    assert.deepEqual(plan({ cluster: { stage: 'deleting' }, instances: [] }), [{ do: 'remove-volume' }])
    const instances = three.map((each) => ({ ...each, stage: 'deleting' as const }))
    assert.equal(
      plan({ cluster: { stage: 'deleting' }, instances }).some((step) => step.do === 'remove-volume'),
      false,
    )
  })
  it('whose last instance was deleted has no writer', () =>
    assert.deepEqual(plan({ instances: [] }), [{ do: 'decide', decision: { kind: 'no-writer' } }]))
  it('without a writer takes any instance, available or not', () => {
    const view = without(viewOf({ cluster: { writer: null }, instances: [three[2] as InstanceRecord] }), 'demo-3')
    const why = 'there is no writer'
    assert.deepEqual(planCluster(view, NOW_MS), [{ do: 'decide', decision: { kind: 'failover', to: 'demo-3', why } }])
    assert.equal(primaryOf(view), null)
  })
})

// ---------------------------------------------------------------- the model

const who = fc.nat(4)
const EVENTS = {
  crash: (world: ClusterWorld, name: string) => world.crash(name),
  crashEngine: (world: ClusterWorld, name: string) => {
    const process = world.processes.get(name)
    if (process !== undefined) process.recoveringUntilMs = world.nowMs + 1500
  },
  hangEngine: (world: ClusterWorld, name: string) => {
    const process = world.processes.get(name)
    if (process !== undefined) process.hungSinceMs ??= world.nowMs
  },
  standStill: (world: ClusterWorld, name: string) => {
    const process = world.processes.get(name)
    if (process !== undefined) process.isSilent = true
  },
  goOn: (world: ClusterWorld, name: string) => {
    const process = world.processes.get(name)
    if (process !== undefined) process.isSilent = false
  },
  cutOff: (world: ClusterWorld, name: string) => {
    const process = world.processes.get(name)
    if (process !== undefined) process.isCutOff = true
  },
  rebuild: (world: ClusterWorld, name: string) => {
    const process = world.processes.get(name)
    if (process?.role === 'reader') process.wantsRebuild = true
  },
  failStart: (world: ClusterWorld, name: string) => world.failNextStart(name),
  fence: (world: ClusterWorld) => world.fence(),
  loseStorage: (world: ClusterWorld) => {
    world.storageIsUp = false
  },
  getStorage: (world: ClusterWorld) => {
    world.storageIsUp = true
  },
  stallControl: (world: ClusterWorld) => world.stallControl(6000),
  killControl: (world: ClusterWorld) => world.killControl(),
  startControl: (world: ClusterWorld) => world.startControl(),
  failover: (world: ClusterWorld) => world.ask((control) => control.failoverCluster('demo', null)),
  failoverTo: (world: ClusterWorld, name: string) => world.ask((control) => control.failoverCluster('demo', name)),
  reboot: (world: ClusterWorld, name: string) => world.ask((control) => control.rebootInstance(name, false)),
  delete: (world: ClusterWorld, name: string) => world.ask((control) => control.deleteInstance(name)),
  create: (world: ClusterWorld) => world.createInstance(),
  stop: (world: ClusterWorld) => world.ask((control) => control.stopCluster('demo')),
  start: (world: ClusterWorld) => world.ask((control) => control.startCluster('demo')),
  deleteAll: (world: ClusterWorld) =>
    world.ask((control) => {
      for (const { name, status } of control.instancesOf('demo'))
        if (status !== 'deleting') control.deleteInstance(name)
      control.deleteCluster('demo')
    }),
} as const satisfies Record<string, (world: ClusterWorld, name: string) => void>

type EventName = keyof typeof EVENTS
/** What ends a cluster for good, or everything for a while, is rare. */
const RARE: readonly EventName[] = ['deleteAll', 'stop', 'loseStorage']
const names = Object.keys(EVENTS) as EventName[]
const event = fc.record({
  what: fc.oneof(
    { weight: 40, arbitrary: fc.constantFrom(...names.filter((name) => !RARE.includes(name))) },
    { weight: 2, arbitrary: fc.constantFrom(...RARE) },
  ),
  who,
  thenMs: fc.constantFrom(0, 100, 300, 1000, 3000, 8000),
})

/** Stopping one that does not answer any more takes an agent so long, and starts that failed are repeated within 10 s. */
const SETTLED_MS_MAX = 150_000

/** Whether it is what is wanted, all of it. */
function isSettled(world: ClusterWorld): boolean {
  const { cluster, instances, processes, acknowledging } = world
  if (cluster === undefined || cluster.wanted === 'stopped' || instances.length === 0)
    return processes.size === 0 && instances.every(({ stage }) => stage === 'live')
  const primary = primaryOf({ cluster, instances })
  return (
    cluster.failover === null &&
    processes.size === instances.length &&
    acknowledging.length === 1 &&
    acknowledging[0]?.name === cluster.writer &&
    instances.every(({ name, run, stage, availableRun }) => {
      const process = processes.get(name)
      const isReader = name !== cluster.writer
      return (
        stage === 'live' &&
        availableRun === run &&
        process?.run === run &&
        process.role === (isReader ? 'reader' : 'writer') &&
        process.isWell(world.nowMs) &&
        (!isReader || process.primary?.host === primary?.host)
      )
    })
  )
}

describe('a cluster to which anything happens', () => {
  const life = fc.record({
    seed: fc.nat(),
    instances: fc.integer({ min: 1, max: 4 }),
    events: fc.array(event, { minLength: 5, maxLength: 25 }),
  })

  it('has one writer in each term and one role in each run, and is as it should be when nothing happens any more', () => {
    const seen = { failovers: 0, lives: 0, slowestMs: 0 }
    fc.assert(
      fc.property(life, ({ seed, instances, events }) => {
        const world = new ClusterWorld(new Random(seed))
        world.createCluster(instances)
        // Things happen while it comes up, too.
        world.pass(seed % 4 === 0 ? new Random(seed).below(6000) : 10_000)
        for (const { what, who: number, thenMs } of events) {
          const all = world.instances
          EVENTS[what](world, all[number % Math.max(all.length, 1)]?.name ?? '')
          world.pass(thenMs)
        }
        world.heal()
        // What was said before that is still acted upon until each has spoken again.
        world.pass(2000)
        const settledMs = world.passUntil(() => isSettled(world), SETTLED_MS_MAX)
        assert(settledMs !== undefined, `it does not become what is wanted: ${world.picture()}`)
        // It stays so: nobody changes his mind.
        const decisions = world.decisions.length
        world.pass(30_000)
        assert.deepEqual(world.decisions.slice(decisions), [])
        assert.equal(isSettled(world), true, world.picture())
        seen.failovers += world.decisions.filter(({ kind }) => kind === 'failover').length
        seen.slowestMs = Math.max(seen.slowestMs, settledMs)
        seen.lives++
      }),
      { numRuns: Number(process.env.BOREALIS_RUNS ?? 300) },
    )
    console.log(`${seen.lives} lives, ${seen.failovers} failovers, at rest after ${seen.slowestMs} ms at most`)
    assert(seen.failovers > seen.lives / 5, 'hardly anything happened')
  })

  it('is not given to an instance that is being deleted, also when that is asked for', () => {
    const world = new ClusterWorld(new Random(1))
    world.createCluster(3)
    assert(world.passUntil(() => isSettled(world), SETTLED_MS_MAX) !== undefined)
    const { writer } = world.cluster ?? {}
    const reader = world.instances.find(({ name }) => name !== writer)?.name ?? ''
    world.ask((control) => control.deleteInstance(reader))
    world.ask((control) => control.failoverCluster('demo', reader))
    assert.equal(world.cluster?.writer, writer)
  })

  it('promotes nobody for what is no fault of the writer: storage, or the control plane itself', () => {
    const harmless = [
      'loseStorage',
      'getStorage',
      'stallControl',
      'killControl',
      'startControl',
      'crashEngine',
    ] as const
    const harmlessLife = fc.record({
      seed: fc.nat(),
      events: fc.array(
        fc.record({ what: fc.constantFrom(...harmless), who, thenMs: fc.constantFrom(100, 3000, 8000) }),
      ),
    })
    fc.assert(
      fc.property(harmlessLife, ({ seed, events }) => {
        const world = new ClusterWorld(new Random(seed))
        world.createCluster(3)
        assert(world.passUntil(() => isSettled(world), SETTLED_MS_MAX) !== undefined)
        const before = world.decisions.length
        for (const { what, who: number, thenMs } of events) {
          EVENTS[what](world, `demo-${number + 1}`)
          world.pass(thenMs)
        }
        world.heal()
        world.pass(30_000)
        assert.deepEqual(world.decisions.slice(before), [])
      }),
      { numRuns: 50 },
    )
  })
})
