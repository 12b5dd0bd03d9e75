import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

/** `path` or `path "words that stand in it"`, separated by semicolons. */
function enforcers(line: string): { readonly path: string; readonly words: string | undefined }[] {
  return line.split(';').map((part) => {
    const match = /^\s*(\S+)(?:\s+"([^"]+)")?\s*$/.exec(part)
    assert.ok(match, `"${part}" is not a path with words in quotes`)
    return { path: match[1] as string, words: match[2] }
  })
}

for (const spec of globSync('docs/spec/*.md')) {
  describe(`invariants of ${spec}`, () => {
    const text = readFileSync(spec, 'utf8')
    const invariants = [...text.matchAll(/^(I\d+)\. ([\s\S]*?)(?=^I\d+\. |(?![\s\S]))/gm)]

    it('are numbered from 1 without gaps', () => {
      assert.deepEqual(
        invariants.map(([, name]) => name),
        invariants.map((_, i) => `I${i + 1}`),
      )
      assert.ok(invariants.length > 0)
    })

    for (const [, name, body = ''] of invariants) {
      it(`${name} names what enforces it, and that exists`, () => {
        const line = /^Enforced by: (.+)$/m.exec(body)?.[1]
        assert.ok(line, `${name} has no line "Enforced by:"`)
        for (const { path, words } of enforcers(line)) {
          assert.ok(existsSync(path), `${name}: ${path} does not exist`)
          if (words !== undefined)
            assert.ok(readFileSync(path, 'utf8').includes(words), `${name}: "${words}" is not in ${path}`)
        }
      })
    }
  })
}
