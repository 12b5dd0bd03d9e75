import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lsn, volumeId } from '../src/protocol/lsn.ts'
import { type ModelMtr, Oracle, type Timeline, Violation, type VolumeModel } from './oracle.ts'

const BLOCK_BYTES = 64
const block = (value: number): Uint8Array => new Uint8Array(BLOCK_BYTES).fill(value)
const ID = volumeId(1)

const mtr = (after: number, cpl: number, changes: Record<number, number>): ModelMtr => ({
  after: lsn(after),
  cpl: lsn(cpl),
  changes: new Map(Object.entries(changes).map(([n, value]) => [Number(n), value === 0 ? undefined : block(value)])),
})
const valueAt = (model: VolumeModel, n: number, at: number): number => model.block(n, lsn(at))[0] as number
const breaks = (rule: string) => (error: unknown) => error instanceof Violation && error.rule === rule

/** A volume whose first writer wrote up to 300 and had 200 acknowledged. */
function written(): { oracle: Oracle; model: VolumeModel; first: Timeline } {
  const oracle = new Oracle()
  const model = oracle.create(ID, BLOCK_BYTES)
  const first = model.recovered(1, lsn(0), lsn(0))
  first.acknowledge(first.start)
  model.written(first, mtr(0, 100, { 1: 11, 2: 12 }))
  model.written(first, mtr(100, 200, { 2: 22 }))
  model.written(first, mtr(200, 300, { 1: 31, 2: 0 }))
  first.acknowledge(lsn(200))
  return { oracle, model, first }
}

describe('the model of a volume', () => {
  it('shows whole mini-transactions at any LSN', () => {
    const { model } = written()
    assert.deepEqual(
      [99, 100, 199, 200, 299, 300].map((at) => valueAt(model, 2, at)),
      [0, 12, 12, 22, 22, 0],
    )
    assert.deepEqual(
      [99, 100, 299, 300].map((at) => valueAt(model, 1, at)),
      [0, 11, 11, 31],
    )
    assert.deepEqual(model.consistencyPoints(), [100, 200, 300])
  })

  it('goes on from where a recovery found it to end', () => {
    const { model } = written()
    const second = model.recovered(2, lsn(200), lsn(1_000))
    second.acknowledge(second.start)
    model.written(second, mtr(200, 1_100, { 1: 41 }))
    assert.deepEqual(
      [200, 300, 1_000, 1_100].map((at) => valueAt(model, 1, at)),
      [11, 11, 11, 41],
    )
    assert.deepEqual(model.consistencyPoints(), [100, 200, 1_100])
  })

  it('lets a writer that was replaced go on without effect, and remembers its view', () => {
    const { model, first } = written()
    model.recovered(2, lsn(300), lsn(1_000))
    model.written(first, mtr(300, 400, { 1: 99 }))
    assert.equal(valueAt(model, 1, 1_000), 31)
    assert.equal(first.block(1, lsn(400))?.[0], 99)
    first.acknowledge(lsn(300))
    assert.throws(() => first.acknowledge(lsn(400)), breaks('no acknowledged sync is lost'))
    assert.throws(() => model.written(first, mtr(400, 1_400, {})), breaks('LSNs are never used twice'))
  })

  it('lets an opening that nobody heard of be forgotten', () => {
    const { model } = written()
    model.recovered(2, lsn(300), lsn(1_000))
    model.recovered(3, lsn(200), lsn(1_000))
    assert.equal(valueAt(model, 1, 1_000), 11)
  })

  it('branches share the past and nothing else', () => {
    const { oracle, model, first } = written()
    const branch = oracle.branch(volumeId(2), ID, lsn(150))
    const writer = branch.recovered(1, lsn(150), lsn(500))
    branch.written(writer, mtr(150, 600, { 2: 77 }))
    model.written(first, mtr(300, 400, { 2: 88 }))
    assert.deepEqual(
      [100, 150, 600].map((at) => valueAt(branch, 2, at)),
      [12, 12, 77],
    )
    assert.equal(valueAt(branch, 1, 600), 11)
    assert.equal(valueAt(model, 2, 600), 88)
    assert.deepEqual(branch.consistencyPoints(), [600])
    assert.deepEqual([...branch.current.blocks()].sort(), [1, 2])
  })

  it('says which reads have to succeed', () => {
    const { model } = written()
    model.retain({ cutoff: lsn(150), pins: [lsn(100)] })
    assert.deepEqual(
      [50, 100, 150, 200, 300, 301].map((at) => model.readable(lsn(at))),
      ['may', 'must', 'must', 'must', 'may', 'never'],
    )
    assert.throws(() => model.retain({ cutoff: lsn(149), pins: [] }), breaks('the cutoff never goes back'))
  })
})

describe('the model notices', () => {
  it('the loss of an acknowledged sync', () => {
    const { model } = written()
    assert.throws(() => model.recovered(2, lsn(100), lsn(1_000)), breaks('no acknowledged sync is lost'))
  })

  it('the loss of a recovery that was acknowledged', () => {
    const { model } = written()
    const second = model.recovered(2, lsn(300), lsn(1_000))
    second.acknowledge(second.start)
    assert.throws(() => model.recovered(3, lsn(200), lsn(2_000)), breaks('no acknowledged sync is lost'))
  })

  it('the loss of an LSN that a branch rests on', () => {
    const { oracle, model } = written()
    oracle.branch(volumeId(2), ID, lsn(300))
    assert.throws(() => model.recovered(2, lsn(200), lsn(1_000)), breaks('no acknowledged sync is lost'))
  })

  it('half a mini-transaction', () => {
    const { model } = written()
    assert.throws(() => model.recovered(2, lsn(250), lsn(1_000)), breaks('recovery ends at a consistency point'))
  })

  it('an end that nobody wrote', () => {
    const { model } = written()
    assert.throws(() => model.recovered(2, lsn(301), lsn(1_000)), breaks('recovery invents nothing'))
  })

  it('LSNs given out twice', () => {
    const { model } = written()
    assert.throws(() => model.recovered(2, lsn(200), lsn(250)), breaks('LSNs are never used twice'))
    const other = written().model
    const second = other.recovered(2, lsn(200), lsn(1_000))
    assert.throws(() => other.written(second, mtr(200, 900, {})), breaks('LSNs are never used twice'))
  })

  it('two recoveries of one epoch', () => {
    const { model } = written()
    assert.throws(() => model.recovered(1, lsn(200), lsn(1_000)), breaks('one writer per epoch'))
  })
})
