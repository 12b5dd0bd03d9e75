import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { VolumeError } from '../src/protocol/errors.ts'
import type { Disk } from '../src/storage/disk.ts'
import { type DiskOptions, SimDisk, SSD_COSTS } from './disk.ts'
import { type CrashMoment, Effects, SimCrash } from './effects.ts'
import { Random } from './random.ts'

const OPTIONS: DiskOptions = { capacityBytes: 1 << 20, costs: SSD_COSTS, writeBackChance: 0, atomicBytes: 512 }

interface Machine {
  readonly sim: SimDisk
  readonly effects: Effects
  readonly disk: Disk
  /** Cuts the power and mounts the disk again. */
  restart(): Machine
}

function machine(seed: number, options: Partial<DiskOptions> = {}): Machine {
  const sim = new SimDisk(new Random(seed), { ...OPTIONS, ...options })
  const mount = (): Machine => {
    const effects = new Effects()
    return {
      sim,
      effects,
      disk: sim.mount(effects, () => {}),
      restart: () => {
        effects.kill()
        sim.losePower()
        return mount()
      },
    }
  }
  return mount()
}

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)
const code = (expected: string) => (error: VolumeError) => error.code === expected
const SEEDS = 200

/** The different outcomes of a story over many seeds. */
function outcomes(story: (m: Machine) => string, options: Partial<DiskOptions> = {}): Set<string> {
  return new Set(Array.from({ length: SEEDS }, (_, seed) => story(machine(seed, options))))
}

describe('a power cut', () => {
  it('keeps what was synced, in a folder that was synced', () => {
    const found = outcomes((m) => {
      const file = m.disk.create('a')
      file.write(100, filled(2_000, 7))
      file.sync()
      m.disk.syncFolder('')
      return String(
        m
          .restart()
          .disk.open('a')
          .read(100, 2_000)
          .every((byte) => byte === 7),
      )
    })
    assert.deepEqual([...found], ['true'])
  })

  it('may leave any subset of the sectors that were not synced', () => {
    const found = outcomes((m) => {
      const file = m.disk.create('a')
      file.write(0, filled(4 * 512, 1))
      file.sync()
      m.disk.syncFolder('')
      file.write(0, filled(4 * 512, 2))
      const after = m.restart().disk.open('a')
      return [0, 1, 2, 3].map((sector) => [...new Set(after.read(sector * 512, 512))].join()).join(' ')
    })
    assert.equal(found.size, 16, [...found].join('; '))
  })

  it('may take back the growth of a file, or leave zeros where it grew', () => {
    const found = outcomes((m) => {
      const file = m.disk.create('a')
      m.disk.syncFolder('')
      file.write(0, filled(1_024, 9))
      const after = m.restart().disk.open('a')
      return `${after.size()}:${[...after.read(0, after.size())].findIndex((byte) => byte !== 9)}`
    })
    assert.ok(found.has('0:-1') && found.has('1024:-1') && found.has('1024:0'), [...found].join(' '))
  })

  it('undoes creations, renames and removals in folders that were not synced, whole', () => {
    const found = outcomes((m) => {
      m.disk.makeFolder('f')
      m.disk.syncFolder('')
      m.disk.create('f/old').sync()
      m.disk.create('f/gone').sync()
      m.disk.syncFolder('f')
      m.disk.create('f/new').sync()
      m.disk.rename('f/new', 'f/old')
      m.disk.remove('f/gone')
      return m.restart().disk.list('f').join()
    })
    assert.deepEqual([...found].sort(), ['gone,new,old', 'gone,old', 'new,old', 'old'].sort())
  })

  it('leaves a renamed file under one of its names, with what was synced', () => {
    const found = outcomes((m) => {
      const write = (path: string, value: number): void => {
        const file = m.disk.create(path)
        file.write(0, filled(512, value))
        file.sync()
      }
      write('state', 1)
      m.disk.syncFolder('')
      write('state.new', 2)
      m.disk.rename('state.new', 'state')
      const { disk } = m.restart()
      return String(disk.open('state').read(0, 512)[0])
    })
    assert.deepEqual([...found].sort(), ['1', '2'])
  })

  it('undoes nothing in a folder that was synced, nor what that rests on', () => {
    const found = outcomes((m) => {
      m.disk.makeFolder('a/b')
      m.disk.syncFolder('')
      m.disk.syncFolder('a')
      m.disk.create('a/x')
      m.disk.rename('a/x', 'a/b/y')
      m.disk.syncFolder('a/b')
      const { disk } = m.restart()
      return `${disk.list('a')};${disk.list('a/b')}`
    })
    assert.deepEqual([...found], ['b;y'])
  })

  it('happens in the middle of a durable write, whose sectors survive in any subset', () => {
    const found = outcomes((m) => {
      const file = m.disk.create('a')
      file.allocate(4_096)
      file.sync()
      m.disk.syncFolder('')
      m.effects.crashAt(m.effects.count + 1, 'during')
      assert.throws(() => file.writeDurable(0, filled(4_096, 5)), SimCrash)
      const after = m.restart().disk.open('a')
      assert.equal(after.size(), 4_096)
      return [0, 1, 2, 3, 4, 5, 6, 7].map((sector) => after.read(sector * 512, 1)[0]).join('')
    })
    assert.ok(found.size > 30, `${found.size} outcomes`)
  })
})

describe('a disk that writes pages whole', () => {
  it('tears a durable write between pages only', () => {
    const found = outcomes(
      (m) => {
        const file = m.disk.create('a')
        file.allocate(8_192)
        file.sync()
        m.disk.syncFolder('')
        m.effects.crashAt(m.effects.count + 1, 'during')
        assert.throws(() => file.writeDurable(0, filled(8_192, 5)), SimCrash)
        const after = m.restart().disk.open('a')
        return [0, 4_096].map((page) => [...new Set(after.read(page, 4_096))].join('')).join(' ')
      },
      { atomicBytes: 4_096 },
    )
    assert.deepEqual([...found].sort(), ['0 0', '0 5', '5 0', '5 5'])
  })
})

describe('a crash at a numbered effect', () => {
  const story = (m: Machine): void => {
    m.disk.makeFolder('f')
    const file = m.disk.create('f/a')
    file.write(0, filled(600, 3))
    file.sync()
    file.close()
    m.disk.syncFolder('f')
    m.disk.rename('f/a', 'f/b')
    m.disk.removeFolder('f')
  }

  it('can fall on every one of them, and nothing has an effect afterwards', () => {
    const whole = machine(1)
    story(whole)
    for (let effect = 1; effect <= whole.effects.count; effect++) {
      for (const moment of ['before', 'during', 'after'] satisfies CrashMoment[]) {
        const m = machine(effect)
        m.effects.crashAt(effect, moment)
        assert.throws(() => story(m), SimCrash)
        assert.equal(m.effects.count, effect)
        assert.equal(m.effects.alive, false)
        assert.throws(() => m.disk.create('late'), SimCrash)
        m.restart()
      }
    }
  })

  it('replays exactly', () => {
    const run = (): string => {
      const m = machine(5, { writeBackChance: 0.2 })
      m.effects.crashAt(4, 'during')
      assert.throws(() => story(m), SimCrash)
      const { disk } = m.restart()
      return disk
        .list('f')
        .map((name) => disk.open(`f/${name}`).size())
        .join()
    }
    assert.equal(run(), run())
  })
})

describe('faults of the medium', () => {
  const stored = (m: Machine): void => {
    const file = m.disk.create('a')
    file.write(0, filled(4_096, 1))
    file.sync()
    m.disk.syncFolder('')
  }

  it('rot changes one stored bit and is known until it is written over durably', () => {
    const m = machine(1)
    stored(m)
    const damage = m.sim.rot()
    assert.equal(damage?.path, 'a')
    const file = m.disk.open('a')
    assert.equal(file.read(0, 4_096).filter((byte) => byte !== 1).length, 1)
    file.write(0, filled(4_096, 2))
    assert.equal(m.sim.damage().length, 1, 'the write may still be lost')
    file.sync()
    assert.equal(m.sim.damage().length, 0)
  })

  it('rot comes back when the write that covered it is lost', () => {
    const found = outcomes((m) => {
      stored(m)
      m.sim.rot()
      m.disk.open('a').write(0, filled(4_096, 2))
      const after = m.restart()
      const wrong = after.disk
        .open('a')
        .read(0, 4_096)
        .filter((byte) => byte !== 1 && byte !== 2).length
      assert.equal(wrong, after.sim.damage().length)
      return String(wrong)
    })
    assert.deepEqual([...found].sort(), ['0', '1'])
  })

  it('an unreadable sector throws until it is written', () => {
    const m = machine(2)
    stored(m)
    const damage = m.sim.spoil()
    const file = m.disk.open('a')
    assert.throws(() => file.read(0, 4_096), code('Corrupt'))
    file.write(damage?.from ?? 0, filled(512, 4))
    assert.equal(file.read(0, 4_096).length, 4_096)
  })

  it('damage is gone with its file, once the removal is durable', () => {
    const m = machine(3)
    stored(m)
    m.sim.rot()
    m.disk.remove('a')
    assert.equal(m.sim.damage().length, 1)
    m.disk.syncFolder('')
    assert.equal(m.sim.damage().length, 0)
  })

  it('a misdirected write leaves the target as it was and may land on other bytes', () => {
    const found = outcomes((m) => {
      for (const path of ['a', 'b']) {
        const file = m.disk.create(path)
        file.write(0, filled(8_192, 1))
        file.sync()
      }
      m.sim.misdirectNext()
      m.disk.open('a').writeDurable(0, filled(4_096, 2))
      const hits = (path: string): number =>
        m.disk
          .open(path)
          .read(0, 8_192)
          .filter((byte) => byte === 2).length
      assert.equal(
        m.disk
          .open('a')
          .read(0, 4_096)
          .filter((byte) => byte === 2).length,
        0,
      )
      const kinds = new Set(m.sim.damage().map((damage) => damage.kind))
      assert.ok(kinds.has('stale'))
      assert.equal(kinds.has('overwritten'), hits('a') + hits('b') > 0)
      return hits('a') > 0 ? 'same' : hits('b') > 0 ? 'other' : 'nowhere'
    })
    assert.deepEqual([...found].sort(), ['nowhere', 'other', 'same'])
  })

  it('a full disk refuses to grow', () => {
    const m = machine(4, { capacityBytes: 10_000 })
    const file = m.disk.create('a')
    file.allocate(8_000)
    assert.throws(() => file.write(8_000, filled(2_001, 1)), code('DiskFull'))
    assert.equal(m.disk.freeBytes(), 2_000)
    m.disk.remove('a')
    assert.equal(m.disk.freeBytes(), 10_000)
  })

  it('a slow disk costs its process time', () => {
    const sim = new SimDisk(new Random(1), OPTIONS)
    let spent = 0
    const disk = sim.mount(new Effects(), (us) => {
      spent += us
    })
    const file = disk.create('a')
    file.sync()
    const healthy = spent
    sim.slowdown = 100
    file.sync()
    assert.ok(spent - healthy > 50 * healthy)
  })
})

describe('the disk as a node sees it', () => {
  it('refuses what is not there and what is not whole pages', () => {
    const { disk } = machine(1)
    assert.throws(() => disk.open('none'), code('NotFound'))
    assert.throws(() => disk.create('no/folder'), code('NotFound'))
    const file = disk.create('a')
    assert.throws(() => file.read(0, 1), code('Corrupt'))
    assert.throws(() => file.writeDurable(512, filled(4_096, 0)), code('BadRequest'))
    file.close()
    assert.throws(() => file.size(), code('Invariant'))
  })

  it('lists names in order and lets open files outlive their names', () => {
    const { disk } = machine(1)
    disk.makeFolder('f/g')
    for (const name of ['c', 'a', 'b']) disk.create(`f/${name}`).close()
    assert.deepEqual(disk.list('f'), ['a', 'b', 'c', 'g'])
    const file = disk.open('f/a')
    file.write(0, filled(3, 3))
    disk.remove('f/a')
    assert.deepEqual([...file.read(0, 3)], [3, 3, 3])
    disk.removeFolder('f')
    assert.deepEqual(disk.list(''), [])
    assert.deepEqual(disk.list('f'), [])
  })
})
