import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { groupIndex, type Lsn, lsn, volumeId } from '../src/protocol/lsn.ts'
import {
  checkCollected,
  checkCopies,
  checkRead,
  checkSameScl,
  Progress,
  type ReadOutcome,
  WriterLedger,
} from './checks.ts'
import { Oracle, Violation, type VolumeModel } from './oracle.ts'

const block = (value: number): Uint8Array => new Uint8Array(64).fill(value)
const breaks = (rule: string) => (error: unknown) => error instanceof Violation && error.rule === rule

function volume(): VolumeModel {
  const model = new Oracle().create(volumeId(1), 64)
  const writer = model.recovered(1, lsn(0), lsn(0))
  writer.acknowledge(lsn(0))
  model.written(writer, { after: lsn(0), cpl: lsn(100), changes: new Map([[5, block(1)]]) })
  model.written(writer, { after: lsn(100), cpl: lsn(200), changes: new Map([[5, block(2)]]) })
  writer.acknowledge(lsn(200))
  return model
}

describe('a read', () => {
  const model = volume()
  const read = (at: number, outcome: ReadOutcome) => () =>
    checkRead({ model, block: 5, at: lsn(at), who: 'reader' }, outcome)

  it('may be refused or right', () => {
    for (const [at, outcome] of [
      [99, { data: new Uint8Array(0) }],
      [100, { data: block(1) }],
      [200, { data: block(2) }],
      [900, { refused: 'ReadPointAhead' }],
    ] satisfies [number, ReadOutcome][]) {
      assert.doesNotThrow(read(at, outcome))
    }
  })

  it('may not be of another version, nor of the future', () => {
    assert.throws(read(199, { data: block(2) }), breaks('every read equals the model'))
    assert.throws(read(200, { data: new Uint8Array(0) }), breaks('every read equals the model'))
    assert.throws(read(201, { data: block(2) }), breaks('no future LSN is answered with data'))
  })

  it('is not answered by a node that may have collected it', () => {
    const grant = { cutoff: lsn(150), pins: [lsn(100)] }
    const collected = breaks('no collected LSN is answered with data')
    assert.throws(() => checkCollected(grant, lsn(120), { data: block(1) }, 'n1'), collected)
    checkCollected(grant, lsn(120), { refused: 'ReadPointTooOld' }, 'n1')
    checkCollected(grant, lsn(100), { data: block(1) }, 'n1')
    checkCollected(grant, lsn(150), { data: block(1) }, 'n1')
  })
})

describe('the copies', () => {
  const model = volume()
  const copies = (read: (n: number, at: Lsn) => ReadOutcome) => () =>
    checkCopies({
      model,
      group: groupIndex(0),
      blocks: [5],
      points: [lsn(100), lsn(200)],
      copies: [{ name: 'n1', read }],
    })

  it('serve every retained LSN alike', () => {
    assert.doesNotThrow(copies((n, at) => ({ data: model.block(n, at) })))
    assert.throws(
      copies(() => ({ refused: 'Corrupt' })),
      breaks('every full copy serves what is retained'),
    )
    assert.throws(
      copies(() => ({ data: block(2) })),
      breaks('every read equals the model'),
    )
  })

  it('end with the same log', () => {
    checkSameScl(
      'g0',
      new Map([
        ['n1', lsn(5)],
        ['n2', lsn(5)],
      ]),
    )
    assert.throws(
      () =>
        checkSameScl(
          'g0',
          new Map([
            ['n1', lsn(5)],
            ['n2', lsn(4)],
          ]),
        ),
      breaks('all members reach the same SCL'),
    )
  })
})

describe('writers and progress', () => {
  it('an epoch is acknowledged to one writer', () => {
    const ledger = new WriterLedger()
    ledger.acknowledged(volumeId(1), 3, 'w1')
    ledger.acknowledged(volumeId(1), 3, 'w1')
    ledger.acknowledged(volumeId(1), 4, 'w2')
    assert.throws(() => ledger.acknowledged(volumeId(1), 3, 'w2'), breaks('one writer per epoch'))
  })

  it('what began has to end', () => {
    const progress = new Progress()
    const sync = progress.began('sync of w1', 10)
    progress.began('open of w2', 20)
    progress.ended(sync)
    assert.throws(() => progress.requireNoneOpen(120), /1 operations did not end: open of w2 for 100 ms/)
  })
})
