import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { availableVersions, MAJORS, selectVersion } from './versions.ts'

describe('versions of PostgreSQL', () => {
  it('17 is what one gets without asking', () => {
    assert.equal(selectVersion(undefined, 'x64').major, 17)
  })

  it('each major version that Aurora has is there, with its hash', () => {
    assert.deepEqual(
      availableVersions('x64').map(({ major }) => major),
      [...MAJORS],
    )
    for (const { major, name, packageVersion, integrity } of availableVersions('x64')) {
      assert.ok(name.startsWith(`${major}.`) && packageVersion.startsWith(`${name}.`), name)
      assert.match(integrity, /^sha512-[\w+/]{86}==$/)
    }
  })

  it('one is found by its major version and by its name', () => {
    const [first] = availableVersions('x64')
    assert.deepEqual(selectVersion('14', 'x64'), first)
    assert.deepEqual(selectVersion(first?.name, 'x64'), first)
  })

  it('one that is not there is refused with those that are', () => {
    assert.throws(() => selectVersion('13', 'x64'), /no PostgreSQL 13 here; there is 14\.\d+, 15\./)
    assert.throws(() => selectVersion('14', 'arm64'), /no PostgreSQL 14 here; there is 15\./)
    assert.throws(() => selectVersion('17', 'mips'), /none on mips/)
  })
})
