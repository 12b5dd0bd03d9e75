import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type NamedAddress, withBlock } from './hosts-block.ts'

const OWNER = { hash: 'k3j9x0q2m4zt', home: '/root/.borealis' }
const OTHER = { hash: 'aaaabbbbcccc', home: '/other' }
const entry = (name: string, address = '127.20.0.2'): NamedAddress => ({ name, address })
const HOSTS = '127.0.0.1 localhost\n::1 localhost ip6-localhost\n'

const put = (text: string, entries: readonly NamedAddress[], owner = OWNER) =>
  withBlock(Buffer.from(text), owner, entries).toString()

/** Lines as they may be in such a file, markers among them, and bytes that are no UTF-8. */
const line = fc.oneof(
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom('', '# a comment', '127.0.0.1 localhost', '\r', `# END borealis ${OWNER.hash}`)
    .map((text) => Buffer.from(text)),
)
const file = fc
  .tuple(fc.array(line, { maxLength: 8 }), fc.boolean())
  .map(([lines, ended]) =>
    Buffer.concat(lines.flatMap((each, i) => (ended || i < lines.length - 1 ? [each, Buffer.from('\n')] : [each]))),
  )
const entries = fc.array(
  fc.record({
    name: fc.constantFrom('a.example', 'b.example', 'c.example'),
    address: fc.constantFrom('127.20.0.2', '127.20.0.3'),
  }),
  { minLength: 1, maxLength: 4 },
)

describe('the block in a hosts file', () => {
  it('stands before everything else', () => {
    assert.equal(
      put(HOSTS, [entry('a.example'), entry('b.example', '127.20.0.3')]),
      `# BEGIN borealis k3j9x0q2m4zt: names of the region in /root/.borealis; what is changed here is lost
127.20.0.2      a.example
127.20.0.3      b.example
# END borealis k3j9x0q2m4zt
${HOSTS}`,
    )
  })

  it('goes without a trace: every byte of the rest is as it was', () => {
    fc.assert(
      fc.property(file, entries, (before, list) => {
        const after = withBlock(withBlock(before, OWNER, list), OWNER, [])
        assert.deepEqual(after, before)
      }),
    )
  })

  it('is replaced where it stands, and there is never a second one', () => {
    fc.assert(
      fc.property(file, file, entries, entries, (above, below, first, second) => {
        const ended = above.length === 0 || above.at(-1) === 10 ? above : Buffer.concat([above, Buffer.from('\n')])
        const block = (list: readonly NamedAddress[]) => withBlock(Buffer.alloc(0), OWNER, list)
        const around = (list: readonly NamedAddress[]) => Buffer.concat([ended, block(list), below])
        assert.deepEqual(withBlock(around(first), OWNER, second), around(second))
      }),
    )
  })

  it('of another region is left alone', () => {
    fc.assert(
      fc.property(file, entries, entries, (before, ours, theirs) => {
        const both = withBlock(withBlock(before, OTHER, theirs), OWNER, ours)
        assert.deepEqual(withBlock(both, OWNER, []), withBlock(before, OTHER, theirs))
        assert.deepEqual(withBlock(both, OTHER, []), withBlock(before, OWNER, ours))
      }),
    )
  })

  it('is known again when an editor has changed the ends of its lines, or has cut off the last', () => {
    const ours = put('', [entry('a.example')])
    assert.equal(put(`${HOSTS}${ours.replaceAll('\n', '\r\n')}# after\n`, []), `${HOSTS}# after\n`)
    assert.equal(put(`${HOSTS}${ours.slice(0, -1)}`, []), HOSTS)
    assert.equal(put(`${HOSTS}${ours.slice(0, -1)}`, [entry('b.example')]), HOSTS + put('', [entry('b.example')]))
  })

  it('of which there are two becomes one', () => {
    const ours = put('', [entry('a.example')])
    assert.equal(put(`${ours}${HOSTS}${ours}`, [entry('b.example')]), put(HOSTS, [entry('b.example')]))
  })

  it("without an end is somebody's edit, and stays", () => {
    const broken = put('', [entry('a.example')]).replace(/# END.*\n/, '') + HOSTS
    assert.equal(put(broken, [entry('b.example')]), put('', [entry('b.example')]) + broken)
    const beforeAnothers = broken + put('', [entry('a.example')], OTHER) + put('', [entry('a.example')])
    assert.equal(put(beforeAnothers, []), broken + put('', [entry('a.example')], OTHER))
  })

  it('is not mistaken for that of a region whose hash begins with its own', () => {
    const longer = put(HOSTS, [entry('a.example')], { ...OWNER, hash: `${OWNER.hash}z` })
    assert.equal(put(longer, []), longer)
  })

  it('names a home with any characters in one line', () => {
    const written = put('', [entry('a.example')], { ...OWNER, home: '/home/jürgen\n1.2.3.4 example' })
    assert.equal(written.split('\n').length, 4)
    assert.match(written, /the region in \/home\/jürgen\?1\.2\.3\.4 example;/)
  })
})
